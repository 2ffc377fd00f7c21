"""Envelopes that form by themselves, in order, within their bounds."""

from __future__ import annotations

import asyncio

import pytest

from app.adapters.broker.collector import BYTES_MAX, COMMANDS_MAX, Budget, Collector
from app.application.ports.errors import OutcomeUnknown, Unavailable
from app.domain.command import Command
from tests import actions as c
from tests.unit.virtual_time import run


def command(n: int) -> Command:
    return Command("chat", "anna", str(n), c.SendMessage(str(n)))


def test_one_alone_goes_at_once_and_what_comes_meanwhile_is_the_next() -> None:
    async def go() -> None:
        collector = Collector(Budget())
        waiting = asyncio.create_task(collector.next())
        await asyncio.sleep(0)
        futures = [collector.add(command(0), b"x")]
        assert [w.command.id for w in await waiting] == ["0"]
        futures += [collector.add(command(n), b"x") for n in range(1, COMMANDS_MAX + 5)]
        taken = await collector.next()
        assert [w.command.id for w in taken] == [str(n) for n in range(1, COMMANDS_MAX + 1)]
        assert not futures[1].done(), "nothing is accepted before it is settled"
        collector.settle(taken)
        assert futures[1].result() is None and not futures[-1].done()
        assert len(await collector.next()) == 4

    run(go())


def test_an_envelope_has_a_size_but_a_large_command_goes_alone() -> None:
    async def go() -> None:
        collector = Collector(Budget())
        for size in (BYTES_MAX - 10, 10, 1, 2 * BYTES_MAX, 5):
            collector.add(command(size), b"x" * size)
        assert [[len(w.packed) for w in await collector.next()] for _ in range(4)] == [
            [BYTES_MAX - 10, 10], [1], [2 * BYTES_MAX], [5],
        ]  # fmt: skip

    run(go())


def test_what_waits_in_the_whole_process_is_bounded_and_room_comes_back() -> None:
    async def go() -> None:
        budget = Budget(100)
        one, two = Collector(budget), Collector(budget)
        first = one.add(command(1), b"x" * 60)
        with pytest.raises(Unavailable, match="too much"):
            await two.add(command(2), b"x" * 41)
        two.add(command(3), b"x" * 40)
        taken = await one.next()
        one.settle(taken, OutcomeUnknown("no confirm"))
        with pytest.raises(OutcomeUnknown):
            await first
        assert not two.add(command(4), b"x" * 60).done()

    run(go())


def test_when_the_broker_is_lost_all_that_waits_is_refused_and_what_was_cancelled_is_passed_over() -> None:
    async def go() -> None:
        budget = Budget(100)
        collector = Collector(budget)
        futures = [collector.add(command(n), b"x" * 25) for n in range(3)]
        futures[1].cancel()
        collector.refuse_all(Unavailable("gone"))
        for future in (futures[0], futures[2]):
            assert isinstance(future.exception(), Unavailable)
        waiting = asyncio.create_task(collector.next())
        await asyncio.sleep(1)
        assert not waiting.done() and budget.take(100)
        waiting.cancel()

    run(go())
