"""Few have a turn at once, and those who wait go around."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from app.application.ports.errors import Unavailable
from app.application.turns import Paced, Turns
from tests.unit.virtual_time import run


def test_turns_go_around_and_urgent_ones_are_first() -> None:
    async def go() -> None:
        turns, had = Turns(1, 100, 100), list[str]()

        async def one(who: str, urgent: bool = False) -> None:
            async with turns.turn(who, urgent):
                await asyncio.sleep(1)
                had.append(who)

        asked = ["a", "a", "a", "b", "c", "b"]
        tasks = [asyncio.create_task(one(who)) for who in asked]
        await asyncio.sleep(0.5)
        tasks += [asyncio.create_task(one(who, urgent=True)) for who in ("u", "u", "v")]
        await asyncio.gather(*tasks)
        assert had == ["a", "u", "v", "u", "a", "b", "c", "a", "b"]
        assert turns._free == 1 and len(turns._urgent) == len(turns._others) == 0

    run(go())


def test_a_line_has_an_end_for_all_and_for_each() -> None:
    async def go() -> None:
        turns, over = Turns(2, 5, 3), asyncio.Event()

        async def hold(who: str) -> None:
            async with turns.turn(who):
                await over.wait()

        tasks = [asyncio.create_task(hold(who)) for who in ("a", "a", "a", "a", "a", "b", "c")]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await hold("a")
        with pytest.raises(Unavailable):
            await hold("d")
        over.set()
        await asyncio.gather(*tasks)
        async with asyncio.timeout(1):
            await hold("d")
        assert turns._free == 2

    run(go())


def test_who_gives_up_leaves_its_place_and_its_turn_to_the_next() -> None:
    async def go() -> None:
        turns, had = Turns(1, 10, 10), list[str]()

        async def one(who: str) -> None:
            async with turns.turn(who):
                await asyncio.sleep(1)
                had.append(who)

        first, second, third, fourth = (asyncio.create_task(one(who)) for who in "abcd")
        await asyncio.sleep(0.5)
        second.cancel()
        await asyncio.sleep(0.4)
        first.add_done_callback(lambda _: third.cancel())  # in the moment in which its turn comes
        await asyncio.wait([first, second, third, fourth])
        assert had == ["a", "d"] and third.cancelled() and turns._free == 1

    run(go())


def test_a_crowd_takes_a_third_of_the_loop_in_turns() -> None:
    async def go() -> None:
        turns, had, at = Paced(5, 3), list[str](), list[float]()

        async def one(who: str) -> None:
            await turns.turn(who)
            had.append(who)
            at.append(time.perf_counter())
            time.sleep(0.02)

        async def others() -> None:
            while True:
                time.sleep(0.007)
                await asyncio.sleep(0)

        tasks = [asyncio.create_task(one(who)) for who in ("a", "a", "a", "a", "b")]
        await asyncio.sleep(0)
        assert [task.done() for task in tasks] == [False, False, False, True, False]
        with pytest.raises(Unavailable):
            tasks[3].result()
        tasks[0].cancel()
        busy = asyncio.create_task(others())
        await asyncio.gather(*tasks, return_exceptions=True)
        assert had == ["b", "a", "a"] and all(b - a > 0.05 for a, b in itertools.pairwise(at))
        busy.cancel()
        await asyncio.sleep(0.1)
        at.clear()
        await asyncio.gather(*(one("c") for _ in range(3)))
        assert all(b - a < 0.035 for a, b in itertools.pairwise(at)), "where nobody else has work there is no wait"

    asyncio.run(go())
