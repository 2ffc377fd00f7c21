"""python -m tests.faults.planted ROLE: the program, with places where it dies and defects put into it from outside.

CUT_POINTS names a folder: a file of a point's name in it kills the process that gets there first, by SIGKILL, as a power
cut would. PLANTED_DEFECT names a defect, which the checker must find. The program itself knows nothing of either: its
ports are wrapped before it starts, and what no wrapper reaches is replaced.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from app.adapters.broker.rabbitmq.consumer import RabbitConsumer
from app.application.ports.bus import CommandBus, CommandSource, Delivery, Process
from app.application.ports.fan_out import LiveTexts
from app.application.ports.held import Keep
from app.application.ports.jobs import Job, Jobs
from app.application.ports.store import CommandLog, Heal, LogTransaction
from app.domain import replies
from app.domain.command import Command
from app.domain.fold import Fold
from app.domain.state import Decided, State
from app.infrastructure import telemetry
from app.infrastructure.roles.process import serve
from app.infrastructure.settings import load_settings
from app.infrastructure.wiring import World

POINTS = {
    "confirm": "gateway",
    "commit": "worker",
    "announce": "worker",
    "ack": "worker",
    "claim": "assistant",
    "first_delta": "assistant",
    "end": "assistant",
}
"""Each with the role that gets there. confirm: the broker has it, nobody told. commit: before it. announce: committed,
nobody told. ack: announced, not acked. claim: a reply was claimed. first_delta: before it. end: the reply's end was
accepted."""

DEFECTS = (
    "no_dedupe", "ack_before_commit", "accepted_before_confirm", "refusal_without_trace", "no_poll", "seq_from_a_counter",
)  # fmt: skip

_folder = os.environ.get("CUT_POINTS", "")
_defect = os.environ.get("PLANTED_DEFECT", "")


def cut(point: str) -> None:
    if not _folder:
        return
    try:
        os.rename(Path(_folder) / point, Path(_folder) / f"{point}.hit.{os.getpid()}")
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class _Bus:
    """Implements CommandBus. What is done when a future ends stands before what the product does then."""

    def __init__(self, bus: CommandBus) -> None:
        self._bus = bus

    def why_not(self) -> str | None:
        return self._bus.why_not()

    async def start(self, keep: Keep) -> None:
        await self._bus.start(keep)

    async def close(self) -> None:
        await self._bus.close()

    def submit(self, command: Command) -> asyncio.Future[None]:
        future = self._bus.submit(command)
        point = "end" if isinstance(command.action, replies.CompleteReply) else "confirm"
        future.add_done_callback(lambda done: cut(point) if not done.cancelled() and not done.exception() else None)
        if _defect != "accepted_before_confirm":
            return future
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        early: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        early.set_result(None)
        return early


class _Transaction:
    """Implements LogTransaction."""

    def __init__(self, transaction: LogTransaction) -> None:
        self._transaction = transaction

    async def read(self, commands: Sequence[Command]) -> State:
        state = await self._transaction.read(commands)
        if _defect == "no_dedupe":
            state.known.clear()
        return state

    async def write(self, decided: Decided) -> None:
        if _defect == "refusal_without_trace":
            changes = decided.state.changes
            changes.traces = [result for result in changes.traces if result.outcome.code is None]
        await self._transaction.write(decided)
        cut("commit")


class _Log:
    """Implements CommandLog."""

    def __init__(self, log: CommandLog) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, shards: Sequence[int], decided: Decided, heads: Mapping[str, int]) -> bool:
        cut("commit")
        done = await self._log.append(shards, decided, heads)
        if done:
            cut("announce")
        return done

    @asynccontextmanager
    async def transaction(self, shards: Sequence[int]) -> AsyncIterator[LogTransaction]:
        async with self._log.transaction(shards) as transaction:
            yield _Transaction(transaction)
        cut("announce")


class _Source:
    """Implements CommandSource."""

    def __init__(self, source: CommandSource) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def consume(self, process: Process) -> None:
        async def cut_off(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
            left = await process(deliveries)
            cut("ack")
            return left

        await self._source.consume(cut_off)


class _Jobs:
    """Implements Jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    async def claim(self, holder: str, most: int, lease_s: float, room: Mapping[str, int] | None = None) -> list[Job]:
        jobs = await self._jobs.claim(holder, most, lease_s, room)
        if jobs:
            cut("claim")
        return jobs


class _Live:
    """Implements LiveTexts."""

    def __init__(self, live: LiveTexts) -> None:
        self._live = live

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live, name)

    async def append(self, key: tuple[str, str], attempt: int, index: int, delta: str, whole: str) -> bool:
        if index == 0:
            cut("first_delta")
        return await self._live.append(key, attempt, index, delta, whole)


class _Heal:
    """Implements Heal, and finds nothing."""

    def __init__(self, heal: Heal) -> None:
        self._heal = heal

    async def epoch(self) -> str:
        return await self._heal.epoch()

    async def poll(self) -> None:
        return None


def wrap(world: World) -> None:
    world.bus = _Bus(world.bus)
    world.log = _Log(world.log)
    world.source = _Source(world.source)
    world.jobs = _Jobs(world.jobs)
    world.live = _Live(world.live)
    if _defect == "no_poll":
        world.heal = _Heal(world.heal)


async def _ack_then_process(self: RabbitConsumer, process: Process) -> None:
    """In place of RabbitConsumer._batches."""
    while True:
        async with self._between:
            taken = self._take()
            if taken:
                await self._ack(message for message, _ in taken)
                await process([delivery for _, delivery in taken])
        if not taken:
            self._arrived.clear()
            await self._arrived.wait()


def _seq_from_a_counter() -> Callable[[Fold, str], Any]:
    """In place of Fold.next_place: a sequence of the database's, which a rollback doesn't take back."""
    next_place, drawn = Fold.next_place, itertools.count(1)

    def place(self: Fold, chat_id: str) -> Any:
        if next(drawn) % 50 == 0:
            next_place(self, chat_id)
        return next_place(self, chat_id)

    return place


def main() -> None:
    if _defect == "ack_before_commit":
        RabbitConsumer._batches = _ack_then_process  # type: ignore[method-assign]
    elif _defect == "seq_from_a_counter":
        Fold.next_place = _seq_from_a_counter()  # type: ignore[method-assign, assignment]
    settings = load_settings()
    telemetry.configure_logs(settings.log_level)
    uvloop.run(serve(settings, sys.argv[1], wrap))


if __name__ == "__main__":
    main()
