"""JSON in and out, and times."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.adapters.wire.text import parse
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
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1"):
        assert code_of('{"a": "ü"}'.encode(encoding)) == "bad_json", encoding
    assert code_of('\ufeff{"a": 1}') == "bad_json"


@pytest.mark.parametrize(
    "twice",
    ['{"a": 1, "a": 1}', '{"a": 1, "\\u0061": 2}', '{"x": [{"b": "", "c": 1, "b": ""}]}', '{"a": "\\"", "a": "\\\\"}'],
)  # fmt: skip
def test_a_key_twice_is_no_object(twice: str) -> None:
    assert code_of(twice) == code_of(twice.encode()) == "invalid"


def test_texts_with_quotes_and_backslashes_are_what_they_are() -> None:
    for value in (
        {"a": 'say "hi"', 'k"ey': "\\"},
        ['"', '\\"', "", {"": {"": ""}}],
        {"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]},
    ):
        for ascii_ in (True, False):
            assert parse(json.dumps(value, ensure_ascii=ascii_)) == value


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\"\\", max_size=3), inner, max_size=4),
))  # fmt: skip
def test_whatever_is_json_comes_in_as_it_is(value: object) -> None:
    assert parse(json.dumps(value)) == parse(json.dumps(value, ensure_ascii=False).encode()) == value


def test_what_no_double_and_no_stack_holds_is_invalid() -> None:
    for number in ("1e400", "-1e400", "1" + "0" * 400, "1" + "0" * 5_000):
        assert code_of(number) == code_of(f'{{"a": [{number}]}}') == "invalid"
    assert parse("1e308") == 1e308 and parse(str(2**63)) == 2**63
    assert parse("[" * 64 + "]" * 64) and code_of("[" * 65 + "]" * 65) == "invalid"
    deep = '{"a":' * 65 + '"\\u0061"' + "}" * 65
    assert code_of(deep) == "invalid" and parse(deep[5:-1])


def test_times_are_utc_with_milliseconds() -> None:
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
