"""Events, held against the document."""

from __future__ import annotations

import json

from app.adapters.wire.registry import event_json
from app.domain.events import Event, Opaque
from tests.unit.adapters.wire.history import history
from tests.unit.memory import CHATS, CODEC, START, USERS
from tests.world import assert_documented

CHAT, (ANNA, BEN) = CHATS[0], USERS[:2]


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
