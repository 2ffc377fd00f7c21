"""JSON as RFC 8259 has it, in and out."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from app.domain.errors import Code, ParleyError

_encoder = msgspec.json.Encoder()
_DOUBLE_MAX = sys.float_info.max


def encode(value: Any) -> str:
    return _encoder.encode(value).decode()


def encode_bytes(value: Any) -> bytes:
    return _encoder.encode(value)


ITEMS_BYTES_MAX = 1024 * 1024 - 4 * 1024
"""Of an answer, which takes 1 MiB with what stands around them."""


def encode_list(items: Iterable[Any]) -> tuple[bytes, int]:
    """(a list of as many of these as an answer takes, one at least; how many)"""
    size, encoded = 0, list[bytes]()
    for item in items:
        one = encode_bytes(item)
        size += len(one) + 1
        if size > ITEMS_BYTES_MAX and encoded:
            break
        encoded.append(one)
    return b"[" + b",".join(encoded) + b"]", len(encoded)


DEPTH_MAX = 64
"""Levels of objects and lists in each other."""


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ParleyError(Code.INVALID, "an object has a key twice")
    return made


def _texts_in(value: Any, depth: int = 1) -> int:
    """How many texts there are in it, keys too. Raises ParleyError `invalid` for what not every store and client holds."""
    if isinstance(value, str):
        return 1
    if isinstance(value, (dict, list)):
        if depth > DEPTH_MAX:
            raise ParleyError(Code.INVALID, f"nested in more than {DEPTH_MAX} levels")
        inner = value.values() if isinstance(value, dict) else value
        return (len(value) if isinstance(value, dict) else 0) + sum(_texts_in(one, depth + 1) for one in inner)
    if isinstance(value, (int, float)) and not -_DOUBLE_MAX <= value <= _DOUBLE_MAX:
        raise ParleyError(Code.INVALID, "a number is larger than a double holds")
    return 0


def parse(text: str | bytes) -> Any:
    """JSON in UTF-8. Raises ParleyError: not JSON is `bad_json`; a lone surrogate, a key twice in an object, a number that
    no double holds, or nesting beyond DEPTH_MAX `invalid`."""
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError:
            raise ParleyError(Code.BAD_JSON, "JSON is UTF-8") from None
    try:
        value = msgspec.json.decode(text)
        # Each text stands between two quotes: where that is all of them, no key was told twice.
        if text.count('"') == 2 * _texts_in(value):
            return value
    except RecursionError:
        raise ParleyError(Code.INVALID, "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeEncodeError, ValueError):
        pass
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_key_twice)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ParleyError(Code.INVALID, "a text holds a lone surrogate") from None
    except RecursionError:
        raise ParleyError(Code.INVALID, "nested too deeply") from None
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's own bound; JSON has none
            raise ParleyError(Code.INVALID, "a number is larger than a double holds") from None
        raise ParleyError(Code.BAD_JSON, "this is not JSON") from None
    _texts_in(value)
    return value
