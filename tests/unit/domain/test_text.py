"""What a text may be."""

from __future__ import annotations

import pytest

from app.domain.errors import ParleyError
from app.domain.text import check_body, check_text, is_silent


def code_of(text: str, most: int = 10) -> str:
    try:
        assert check_body(text, most) == text
    except ParleyError as error:
        return error.code
    return ""


def test_a_body_is_a_text_with_something_to_see_and_not_too_long() -> None:
    assert code_of("x" * 10) == "" and code_of("x" * 11) == "too_large"
    assert code_of("👍" * 10) == "", "counted in code points"
    for silent in ("", " ", "\n\t", "\u200b\u200d", "\u2028", "\u3000"):
        assert code_of(silent) == "empty" and is_silent(silent)
    assert code_of("a\x00") == "invalid" and code_of("\ud800") == "invalid"
    assert code_of(" x ") == "" and not is_silent("\u200b.")
    with pytest.raises(ParleyError, match="title holds a NUL character"):
        check_text("\x00", "title")
    with pytest.raises(ParleyError, match="q holds a lone surrogate"):
        check_text("\udfff", "q")


def test_what_is_wrong_with_a_text_is_said() -> None:
    for body, words in (("x" * 11, "body is longer than 10 characters"), (" ", "body has nothing to see in it"),
                        ("\x00", "body holds a NUL character"), ("\ud800", "body holds a lone surrogate")):  # fmt: skip
        with pytest.raises(ParleyError) as refused:
            check_body(body, 10)
        assert refused.value.reason == words
