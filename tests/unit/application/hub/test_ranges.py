"""Ranges of a timeline: one read for all who are behind at the same place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.application.background import Background
from app.application.hub.ranges import READS_AT_ONCE, Ranges
from app.application.ports.errors import Transient
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, USERS, MemoryStore
from tests.unit.virtual_time import run

ANNA = USERS[0]
CHAT, OTHER = CHATS


class Slow(MemoryStore):
    """Takes a second for a read. most: reads that were under way at once."""

    def __init__(self) -> None:
        super().__init__()
        self.running = self.most = 0

    async def events(self, chat_id: str, after: int, limit: int) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(1)
            return await super().events(chat_id, after, limit)
        finally:
            self.running -= 1


def test_all_who_are_behind_at_one_place_are_served_by_one_read() -> None:
    async def go() -> None:
        store: Any = Slow()
        store.do(CHAT, ANNA, c.CreateChat("group", None, ()))
        for n in range(3):
            store.do(CHAT, ANNA, c.SendMessage(f"{n}"))
        troubles: list[BaseException] = []
        ranges = Ranges(store, CODEC, Background(lambda what, error: troubles.append(error)))
        read = await asyncio.gather(
            *(ranges.read(CHAT, 1) for _ in range(10)), ranges.read(CHAT, 2), ranges.read(OTHER, 0)
        )
        assert store.calls == ["events"] * 3 and [(s.first, s.last) for s in read[0]] == [(2, 4)]
        assert all(each is read[0] for each in read[:10]) and [(s.first, s.last) for s in read[10]] == [(3, 4)]
        assert read[11] == []
        store.do(CHAT, ANNA, c.SendMessage("new"))
        assert (await ranges.read(CHAT, 1))[-1].last == 5, "what was read is not kept"

        given_up = asyncio.create_task(ranges.read(CHAT, 0))
        other = asyncio.create_task(ranges.read(CHAT, 0))
        await asyncio.sleep(0.1)
        given_up.cancel()
        assert (await other)[0].first == 1, "one who gives up takes it from nobody"

        store.fail = 1
        failed = await asyncio.gather(*(ranges.read(CHAT, 0) for _ in range(2)), return_exceptions=True)
        assert [type(each) for each in failed] == [Transient, Transient] and troubles == []
        with pytest.raises(asyncio.CancelledError):
            await given_up

        await asyncio.gather(*(ranges.read(CHAT, after) for after in range(30)))
        assert store.most == READS_AT_ONCE

    run(go())


def test_what_all_wait_for_is_read_before_what_one_is_behind_with() -> None:
    async def go() -> None:
        store: Any = Slow()
        store.do(CHAT, ANNA, c.CreateChat("group"))
        ranges = Ranges(store, CODEC, Background(lambda what, error: None))
        many = [asyncio.create_task(ranges.read(CHAT, after, "behind")) for after in range(2 * READS_AT_ONCE)]
        await asyncio.sleep(0.1)
        many.append(asyncio.create_task(ranges.read(CHAT, 2 * READS_AT_ONCE, "behind")))
        await asyncio.sleep(0.1)
        live = asyncio.create_task(ranges.read(CHAT, 2 * READS_AT_ONCE))
        await asyncio.sleep(2.0)
        assert live.done() and not many[-1].done() and store.most == READS_AT_ONCE
        await asyncio.gather(*many)

    run(go())
