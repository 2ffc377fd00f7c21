"""What a read takes is given back when it ends: statements are built once, since the parts of one name each other in a circle
and would wait for the collector, which seldom comes."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from app.adapters.store.database import Database
from app.application.ports.history import Search
from app.domain.command import Command
from app.domain.text import words
from tests import actions as c
from tests.contracts.store_setting import Store
from tests.world import new_id

CALLS = 20
MOST = 40
"""Objects a call that may be left in circles: what a plain statement of SQLAlchemy's leaves. One with subqueries leaves 380."""


async def left_behind(call: Callable[[], Awaitable[Any]]) -> Counter[str]:
    await call()
    await call()
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(CALLS):
            await call()
        gc.collect()
        return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()


@pytest.fixture
async def reads(database: Database) -> dict[str, Callable[[], Awaitable[Any]]]:
    store = Store(database)
    anna, bert = await store.person(), await store.person()
    chat_id = await store.group(anna, bert)
    sends = [Command(chat_id, anna, new_id(), c.SendMessage(f"words {n}")) for n in range(5)]
    await store.do(*sends)
    [message_id] = [one.id for one in (await store.history.messages(chat_id, None, None, 1)).messages]
    await store.do(Command(chat_id, bert, new_id(), c.AddReaction(message_id, "👍")))
    h, found = store.history, Search(words("words"))
    now = datetime.now(UTC)
    of_list: dict[str, Any] = {"limit": 50, "unread_max": 100}
    return {
        "the list of chats": lambda: h.memberships(anna, archived=None, before=None, **of_list),
        "of chats not archived": lambda: h.memberships(anna, archived=False, before=None, hidden=False, **of_list),
        "of chats, further": lambda: h.memberships(anna, archived=None, before=(now, chat_id), **of_list),
        "one chat of it": lambda: h.memberships(anna, archived=None, before=None, chat_ids=[chat_id], **of_list),
        "a page": lambda: h.messages(chat_id, None, None, 50),
        "a message": lambda: h.message(chat_id, message_id),
        "members": lambda: h.members(chat_id, None, 50),
        "bans": lambda: h.bans(chat_id, None, 50),
        "pins": lambda: h.pins(chat_id, None, 50),
        "search": lambda: h.search(anna, found, 50),
        "events": lambda: store.timeline.events(chat_id, 0, 100),
        "a session": lambda: store.accounts.session_alive(new_id(), anna),
        "a person": lambda: store.accounts.by_id(anna),
        "people": lambda: store.accounts.search("u", None, 50),
        "sessions": lambda: store.accounts.sessions(anna, None, 50),
    }


async def test_no_read_leaves_circles(reads: dict[str, Callable[[], Awaitable[Any]]]) -> None:
    left = {name: await left_behind(call) for name, call in reads.items()}
    too_much = {name: found.most_common(5) for name, found in left.items() if found.total() > MOST * CALLS}
    assert not too_much
