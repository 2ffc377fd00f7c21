"""JSON in and out, times, problems, and each word that the core says held against the document."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.adapters.wire.problems import HTTP_STATUS, error_frame, problem_json, status_of
from app.adapters.wire.registry import event_json, frame_examples, socket_requests
from app.adapters.wire.text import encode, parse, rfc3339, rfc3339_or_none
from app.adapters.wire.values import Id, Time
from app.application.ports.history import Membership
from app.domain.command import Command
from app.domain.errors import Code, ParleyError
from app.domain.events import Event, Opaque
from app.domain.state import Outcome
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, START, USERS, MemoryStore, account
from tests.world import assert_documented

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


def test_every_code_has_its_status_and_a_problem_says_what_it_knows() -> None:
    assert set(HTTP_STATUS) == set(Code) and status_of("of a newer version") == 409
    assert problem_json(ParleyError(Code.MUTED, policies=("p",))) == {
        "type": "urn:parley:problem:muted", "title": "muted", "status": 403, "detail": "you are muted in this chat",
        "code": "muted", "policies": ["p"],
    }  # fmt: skip
    assert problem_json(ParleyError(Code.RATE_LIMITED, "slow", retry_after_ms=5, policies=("p",)), 400) == {
        "type": "urn:parley:problem:rate_limited", "title": "rate limited", "status": 400, "detail": "slow",
        "code": "rate_limited", "policies": ["p"], "retry_after_ms": 5,
    }  # fmt: skip
    assert error_frame(None, ParleyError(Code.INVALID, "x")) == {"type": "error", "code": "invalid", "reason": "x"}


def history() -> MemoryStore:
    store = MemoryStore()
    store.do(CHAT, ANNA, c.CreateChat("assistant", "t", (BEN,), "m", "i"))
    store.do(CHAT, ANNA, c.SendMessage("hi"))
    reply = store.log[-1].payload.id
    message = store.log[-2].payload.id
    for actor, action in (
        (BEN, c.AddReaction(message, "👍")), (BEN, c.RemoveReaction(message, "👍")), (ANNA, c.PinMessage(message)),
        (ANNA, c.UnpinMessage(message)), (ANNA, c.EditMessage(message, "x")), (BEN, c.StopReply(reply)),
        (ANNA, c.DeleteMessage(message)), (ANNA, c.UpdateChat(("title",), "y")), (ANNA, c.UpdateMember(BEN, ("role",), "admin")),
        (ANNA, c.BanMember(BEN)), (ANNA, c.UnbanMember(BEN)), (ANNA, c.AddMember(BEN, "reader")),
    ):  # fmt: skip
        assert store.do(CHAT, actor, action).outcome.code is None
    return store


def test_each_event_is_as_the_document_says() -> None:
    from app.domain.decide import EVENTS

    store = history()
    for event in store.log:
        assert_documented(json.loads(CODEC.event(event)))
    assert {event.type for event in store.log} == set(EVENTS)


def test_an_event_that_nobody_knows_is_its_place_alone() -> None:
    event = Event("poll.opened", CHAT, 5, START, ANNA, Opaque(), "command")
    assert event_json(event) == {
        "type": "poll.opened", "chat_id": CHAT, "seq": 5, "at": "2026-01-01T00:00:00.000Z", "actor_id": ANNA,
    }  # fmt: skip


def test_each_word_of_the_core_is_as_the_document_says() -> None:
    store = history()
    listed = [Membership(store.state.chats[CHAT], store.state.members[(CHAT, ANNA)], 1, 2, None)]
    send, pin = Command(CHAT, ANNA, ANNA, c.SendMessage("x")), Command(CHAT, ANNA, BEN, c.PinMessage("m"))
    refusal = Outcome("message.pin", None, "muted", "why", ("p",))
    said = [
        CODEC.welcome(ANNA, account(ANNA), "e", listed, True), CODEC.synced(CHAT, "r", 5), CODEC.synced(CHAT, None, 5),
        CODEC.reset(CHAT, None, 5, "ahead"), CODEC.gone(CHAT, "r"), CODEC.chat_joined(listed[0], 4), CODEC.accepted("r", send),
        CODEC.accepted("r", pin), CODEC.committed("r", pin.key, Outcome("message.pin", 5)),
        CODEC.committed("r", send.key, Outcome("message.send")), CODEC.rejected("r", pin.key, refusal),
        CODEC.rejected(None, send.key, Outcome("message.send", None, "muted", "why")),
        CODEC.error("r", ParleyError(Code.RATE_LIMITED, retry_after_ms=5)), CODEC.delta(CHAT, "m", 1, 0, "t"),
        CODEC.snapshot(CHAT, "m", 1, 3, "t"), CODEC.typing(CHAT, ANNA, 6000), CODEC.read_marked(CHAT, ANNA, 5),
        CODEC.draining(500), CODEC.pong("r"), CODEC.ok("r", {"expires_in": 5}), CODEC.auth_expiring(60),
    ]  # fmt: skip
    frames: list[dict[str, Any]] = [json.loads(line) for line in said]
    for frame in frames:
        assert_documented(frame)
    assert {frame["type"] for frame in frames} >= {
        n for n in frame_examples() if "." not in n or n.startswith("reply.")
    }
    assert frames[6]["client_message_id"] == ANNA and frames[7]["command_id"] == BEN
    assert frames[8] == {"type": "committed", "ref": "r", "chat_id": CHAT, "command_id": BEN, "seq": 5}
    assert frames[10]["code"] == "muted" and frames[10]["command_id"] == BEN and "client_message_id" in frames[11]
    assert set(socket_requests()) >= {"hello", "message.pin"}


def test_a_welcome_leaves_out_what_is_long_before_it_is_too_long() -> None:
    from dataclasses import replace

    store = history()
    chat = store.state.chats[CHAT]
    assert chat.assistant is not None
    long = replace(chat, assistant=replace(chat.assistant, instructions="i" * 8_000))
    message = replace(store.state.messages[next(iter(store.state.messages))], body="x" * 8_000, deleted_at=None)
    listed = [Membership(long, store.state.members[(CHAT, ANNA)], 0, 0, message)] * 200
    line = CODEC.welcome(ANNA, account(ANNA), "e", listed, False)
    chats = json.loads(line)["chats"]
    assert len(line.encode()) < 1024 * 1024 and len(chats) == 200
    assert chats[0]["last_message"]["body"] and chats[0]["assistant"]["instructions"]
    assert chats[-1]["last_message"] is None and chats[-1]["assistant"]["instructions"] is None
    assert encode({"ü": 1}) == '{"ü":1}'
