"""Each word that the core says, held against the document."""

from __future__ import annotations

import json
from typing import Any

from app.adapters.wire.registry import EVENTS, frame_examples, socket_requests
from app.adapters.wire.text import encode
from app.application.ports.history import Membership
from app.domain.command import Command
from app.domain.errors import Code, ParleyError
from app.domain.state import Outcome
from tests import actions as c
from tests.unit.adapters.wire.history import history
from tests.unit.memory import CHATS, CODEC, USERS, account
from tests.world import assert_documented

CHAT, (ANNA, BEN) = CHATS[0], USERS[:2]


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
        CODEC.snapshot(CHAT, "m", 1, 3, "t"), CODEC.reply_queued(CHAT, "m", 1), CODEC.reply_thinking(CHAT, "m", 1, 9), CODEC.reply_waiting(CHAT, "m", 1, "cut", 9, "other"), CODEC.typing(CHAT, ANNA, 6000), CODEC.read_marked(CHAT, ANNA, 5),
        CODEC.draining(500), CODEC.pong("r"), CODEC.ok("r", {"expires_in": 5}), CODEC.auth_expiring(60),
    ]  # fmt: skip
    frames: list[dict[str, Any]] = [json.loads(line) for line in said]
    for frame in frames:
        assert_documented(frame)
    assert {frame["type"] for frame in frames} >= {
        n for n in frame_examples() if "." not in n or (n.startswith("reply.") and n not in EVENTS)
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
