"""JSON as RFC 8259 has it, in and out, and times as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from app.domain.errors import Code, ParleyError

_encoder = msgspec.json.Encoder()


def encode(value: Any) -> str:
    return _encoder.encode(value).decode()


def encode_bytes(value: Any) -> bytes:
    return _encoder.encode(value)


@lru_cache(maxsize=4096)
def rfc3339(at: datetime) -> str:
    """UTC with milliseconds: 2026-01-31T12:00:00.000Z"""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def rfc3339_or_none(at: datetime | None) -> str | None:
    return rfc3339(at) if at is not None else None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def parse(text: str | bytes) -> Any:
    """Raises ParleyError: not JSON is `bad_json`; a lone surrogate, or nesting beyond reason, `invalid`."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise ParleyError(Code.INVALID, "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        pass
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ParleyError(Code.INVALID, "a text holds a lone surrogate") from None
    except RecursionError:
        raise ParleyError(Code.INVALID, "nested too deeply") from None
    except ValueError:
        raise ParleyError(Code.BAD_JSON, "this is not JSON") from None
    return value
