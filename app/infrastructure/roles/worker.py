"""A worker: decides commands, and shares the lanes with the others that live."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic

from app.application.background import survived
from app.application.lanes import fair_share
from app.application.ports.errors import Transient
from app.infrastructure import telemetry, wiring
from app.infrastructure.observed import observed_process
from app.infrastructure.roles.role import Life
from app.infrastructure.wiring import World

PRUNE_S = 60.0
ANEW_S = 3_600.0
"""How often rows of older versions are looked for."""
DRAIN_BATCH_S = 10.0


class WorkerRole:
    def __init__(self, world: World) -> None:
        self._world = world
        self._process = observed_process(wiring.make_worker(world).process, world.traced, world.database.clock)
        self._expirer = wiring.make_expirer(world)
        self._leaving = False
        self._sharing = asyncio.Lock()

    async def start(self, life: Life) -> None:
        await life.hold(self._world.policies, self._world.live, self._world.source)
        life.keep("worker", self._world.source.consume(self._process))
        life.keep("lanes", self._share_lanes())
        life.keep("pruner", self._prune())
        life.keep("decisions", self._world.decisions.run(self._world.log.now))
        life.keep("expirer", self._expirer.run())
        life.keep("ambient", wiring.make_ambient(self._world).run())
        life.keep("words", wiring.make_indexer(self._world).run())

    def handle(self, channel: str, payload: bytes) -> None:
        pass

    def reset(self) -> None:
        pass

    needs = frozenset(("commands",))

    def parts(self) -> dict[str, str | None]:
        return {
            "commands": self._world.source.why_not(),
            "fan-out": self._world.fan_out.why_not(),
        }

    def measure(self) -> None:
        telemetry.BROKER.labels("consume").set(self._world.source.why_not() is None)
        telemetry.LANES.labels("active").set(len(self._world.source.active()))

    async def _share_lanes(self) -> None:
        """Say that we live, see who else does, hold what is ours."""
        while True:
            async with self._sharing:
                if self._leaving:
                    return
                with survived("lanes", telemetry.recurring_of):
                    alive = await self._world.workers.beat(self._world.process_id)
                    mine = fair_share(self._world.process_id, alive, self._world.lanes.count)
                    self._world.source.assign(mine)
                    telemetry.LANES.labels("assigned").set(len(mine))
            await asyncio.sleep(1)

    async def _prune(self) -> None:
        log, accounts, anew_at = self._world.log, self._world.accounts, 0.0
        while True:
            work = [log.prune, accounts.prune]
            if anew_at <= monotonic():  # also what older processes write beside us
                work += [accounts.fold_names, log.one_form_of_emoji]
                anew_at = monotonic() + ANEW_S
            for do in work:
                with survived("pruner", telemetry.recurring_of):
                    await do()
            await asyncio.sleep(PRUNE_S)

    async def drain(self) -> None:
        async with self._sharing:  # a beat that is under way would bring us back
            self._leaving = True
            with suppress(Transient):
                await self._world.workers.leave(self._world.process_id)
        with suppress(TimeoutError):  # with the database down the batch stays open; the broker has it
            async with asyncio.timeout(DRAIN_BATCH_S):
                await self._world.source.drain()
