"""The command bus inside one process: submit is done when the command is committed, so `accepted` is true here too."""

from __future__ import annotations

import asyncio

from app.adapters.broker.collector import Budget, Collector
from app.application.ports.bus import Delivery, Process
from app.application.ports.errors import Unavailable
from app.application.ports.held import NothingHeld
from app.domain.command import Command
from app.domain.ids import shard_of


class InProcessBus(NothingHeld):
    """Implements CommandBus and CommandSource. All shards are decided by one serial loop; what arrives while a batch
    commits is the next batch."""

    def __init__(self, shards: int) -> None:
        self._shards = shards
        self._collector = Collector(Budget())

    def submit(self, command: Command) -> asyncio.Future[None]:
        return self._collector.add(command, b"\x00" * (400 + 4 * len(getattr(command.action, "body", ""))))

    def why_not(self) -> str | None:
        return None

    async def consume(self, process: Process) -> None:
        """Decide what is submitted, for ever. Cancelled between batches it leaves nothing half done."""
        while True:
            taken = await self._collector.next()
            by_lane: dict[int, Delivery] = {}
            for waiting in taken:
                lane = shard_of(waiting.command.chat_id, self._shards)
                by_lane.setdefault(lane, Delivery(lane, [])).commands.append(waiting.command)
            left = await asyncio.shield(asyncio.ensure_future(process(list(by_lane.values()))))
            not_done = {id(command) for delivery in left for command in delivery.commands}
            self._collector.settle([waiting for waiting in taken if id(waiting.command) not in not_done])
            self._collector.settle(
                [waiting for waiting in taken if id(waiting.command) in not_done],
                Unavailable("only a newer version knows this command"),
            )

    def assign(self, mine: set[int]) -> None:
        """One process holds them all."""

    def active(self) -> set[int]:
        return set(range(self._shards))

    async def drain(self) -> None:
        """What is not decided was not accepted."""


class OneWorker:
    """Implements Workers, where one process holds all shards."""

    async def beat(self, worker_id: str) -> list[str]:
        return [worker_id]

    async def leave(self, worker_id: str) -> None:
        """Nobody is there to take over."""
