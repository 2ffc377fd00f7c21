"""Asks that meet are asked once; nobody waits for long, and nobody's end is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.adapters.together import CALLS_MAX, CROWD_S, PATIENCE_S, Together
from app.application.ports.errors import DeadlineMissed, Transient
from tests.unit.virtual_time import run

LOAD_S = 0.002


class Loader:
    """Doubles what it is asked; 13 has no answer, 666 raises, 99 takes for ever. fail: what the next calls raise."""

    def __init__(self, most: int = 10) -> None:
        self.calls: list[list[int]] = []
        self.fail: list[Exception] = []
        self.together = Together(self.load, most)

    async def load(self, keys: Sequence[int]) -> dict[int, int]:
        self.calls.append(list(keys))
        if 99 in keys:
            await asyncio.sleep(1_000)
        await asyncio.sleep(LOAD_S)
        if self.fail:
            raise self.fail.pop(0)
        if 666 in keys:
            raise ValueError("no")
        return {key: 2 * key for key in keys if key != 13}


def test_one_who_asks_alone_does_not_wait() -> None:
    async def go() -> None:
        loader, loop = Loader(), asyncio.get_running_loop()
        for n in range(3):
            began = loop.time()
            assert await loader.together.ask(n) == 2 * n
            assert loop.time() - began == pytest.approx(LOAD_S)
            await asyncio.sleep(1)
        assert loader.calls == [[0], [1], [2]] and await loader.together.ask(13) is None

    run(go())


def test_who_asks_in_the_same_turn_or_soon_after_is_asked_for_together() -> None:
    async def go() -> None:
        loader = Loader()
        first = asyncio.gather(*(loader.together.ask(n) for n in (1, 2, 1, 3)))
        await asyncio.sleep(LOAD_S / 2)  # one is under way
        behind = [asyncio.create_task(loader.together.ask(n)) for n in (3, 4)]
        await asyncio.sleep(LOAD_S)  # and has ended: what comes now goes with those behind it
        last = asyncio.create_task(loader.together.ask(5))
        assert await first == [2, 4, 2, 6]
        assert [await one for one in (*behind, last)] == [6, 8, 10]
        assert loader.calls == [[1, 2, 3], [3, 4, 5]], "an answer is never older than its question"

    run(go())


def test_so_many_at_once_and_not_more() -> None:
    async def go() -> None:
        loader = Loader(most=4)
        assert await asyncio.gather(*(loader.together.ask(n) for n in range(10))) == [2 * n for n in range(10)]
        assert loader.calls == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    run(go())


def test_what_is_wrong_with_one_key_only_who_asked_it_hears() -> None:
    async def go() -> None:
        loader = Loader()
        asked = [asyncio.create_task(loader.together.ask(n)) for n in (1, 2, 666, 3)]
        await asyncio.sleep(LOAD_S / 2)
        behind = asyncio.create_task(loader.together.ask(4))
        done = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) if isinstance(one, Exception) else one for one in done] == [2, 4, ValueError, 6]
        assert await behind == 8 and loader.calls == [[1, 2, 666, 3], [1, 2], [666, 3], [666], [3], [4]]

    run(go())


def test_of_an_outage_all_who_wait_hear_at_once() -> None:
    async def go() -> None:
        loader = Loader(most=2)
        loader.fail = [Transient("away")]
        done = await asyncio.gather(*(loader.together.ask(n) for n in range(7)), return_exceptions=True)
        assert [type(one) for one in done] == [Transient] * 7 and loader.calls == [[0, 1]]
        assert await loader.together.ask(5) == 10, "who asks behind it is asked for anew"

    run(go())


def test_what_took_too_long_is_less_the_next_time_and_grows_again() -> None:
    async def go() -> None:
        loader = Loader(most=8)
        loader.fail = [DeadlineMissed("5 s")]
        done = await asyncio.gather(*(loader.together.ask(n) for n in range(24)), return_exceptions=True)
        assert [isinstance(one, DeadlineMissed) for one in done] == [True] * 8 + [False] * 16
        assert [len(keys) for keys in loader.calls] == [8, 4, 8, 4]

    run(go())


def test_behind_a_call_that_hangs_others_go_past_it() -> None:
    async def go() -> None:
        loader, loop = Loader(), asyncio.get_running_loop()
        hanging = [asyncio.create_task(loader.together.ask(99))]
        await asyncio.sleep(0.01)
        began = loop.time()
        assert await loader.together.ask(1) == 2
        assert loop.time() - began < PATIENCE_S + CROWD_S + LOAD_S
        assert await loader.together.ask(2) == 4
        for _ in range(CALLS_MAX):  # and however many hang, there are so many calls
            hanging.append(asyncio.create_task(loader.together.ask(99)))
            await asyncio.sleep(2 * PATIENCE_S)
        assert sum(99 in keys for keys in loader.calls) == CALLS_MAX
        for one in hanging:
            one.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    run(go())


def test_who_leaves_takes_nobody_along() -> None:
    async def go() -> None:
        loader = Loader()
        leaving, staying = (asyncio.create_task(loader.together.ask(n)) for n in (1, 1))
        await asyncio.sleep(LOAD_S / 2)
        leaving.cancel()
        assert await staying == 2
        left = asyncio.create_task(loader.together.ask(666))  # what it would have heard is nobody's
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.sleep(CROWD_S + LOAD_S)
        assert await loader.together.ask(4) == 8

    run(go())
