"""What a text may be, wherever it comes from."""

from __future__ import annotations

import unicodedata

from app.domain.errors import Code, ParleyError

TITLE_MAX = 200
_SILENT_CATEGORIES = frozenset(("Zs", "Zl", "Zp", "Cc", "Cf"))


def check_text(value: str, what: str = "text") -> str:
    """Text that every store and every client can hold: no NUL, no lone surrogate. Raises ParleyError `invalid`."""
    if "\x00" in value:
        raise ParleyError(Code.INVALID, f"{what} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ParleyError(Code.INVALID, f"{what} holds a lone surrogate") from None
    return value


def is_silent(value: str) -> bool:
    """Nothing but white space, control and format characters."""
    if value.isprintable() and not value.isspace():  # the usual text, at C's speed
        return not value
    return all(unicodedata.category(c) in _SILENT_CATEGORIES for c in value)


def check_body(body: str, body_max: int) -> str:
    """A message's text. body_max: in code points. Raises ParleyError `too_large`, `invalid`, `empty`."""
    if len(body) > body_max:
        raise ParleyError(Code.TOO_LARGE, f"body is longer than {body_max} characters")
    check_text(body, "body")
    if is_silent(body):
        raise ParleyError(Code.EMPTY, "body has nothing to see in it")
    return body
