"""JSON in and out, and times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from app.adapters.wire.text import parse, rfc3339, rfc3339_or_none
from app.adapters.wire.values import Id, Time
from app.domain.errors import ParleyError
from tests.unit.memory import CHATS, START, USERS

CHAT, (ANNA, BEN) = CHATS[0], USERS[:2]


def code_of(text: str | bytes) -> str:
    with pytest.raises(ParleyError) as refused:
        parse(text)
    return refused.value.code


def test_json_is_as_its_rfc_has_it() -> None:
    assert parse('{"a": [1, 2.5, null, true, "ü"]}') == {"a": [1, 2.5, None, True, "ü"]} and parse(b"5") == 5
    for bad in ("", "{", "NaN", "[Infinity]", "'a'", "{a: 1}", b"\xff", "1 2"):
        assert code_of(bad) == "bad_json"
    assert code_of('"\\ud800"') == "invalid" and code_of('{"\\udfff": 1}') == "invalid"
    assert code_of("[" * 100_000) in ("invalid", "bad_json")


def test_times_are_utc_with_milliseconds() -> None:
    assert rfc3339(START) == "2026-01-01T00:00:00.000Z"
    assert rfc3339(datetime(2026, 1, 1, 2, 0, 0, 123999, timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00.123Z"
    assert rfc3339_or_none(None) is None and rfc3339_or_none(START) == rfc3339(START)
    time: TypeAdapter[datetime] = TypeAdapter(Time)
    assert time.validate_python("2026-01-01T02:00:00.1239+02:00") == datetime(2026, 1, 1, 0, 0, 0, 123000, UTC)
    assert time.validate_python("2026-01-01 00:00:00z") == START
    for bad in ("2026-01-01", "2026-01-01T00:00:00", 5, "0001-01-01T00:00:00+14:00", "2026-13-01T00:00:00Z", START):
        with pytest.raises(ValidationError):
            time.validate_python(bad)
    ids: TypeAdapter[str] = TypeAdapter(Id)
    assert ids.validate_python(CHAT) == CHAT
    for no_id in (CHAT.upper(), CHAT + "\n", CHAT[:-1], 5, None):
        with pytest.raises(ValidationError):
            ids.validate_python(no_id)
