"""A process's life: start in order, named side tasks of which none may die alone, drain in order at SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from app.adapters.fanout.redis_pubsub import RedisFanOut, RedisLiveTexts
from app.adapters.presence.redis_sets import RedisOpenSockets
from app.adapters.shared_limits import SharedLimits
from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.migrate import migrate
from app.adapters.store.workers import SqlWorkers, fair_share
from app.application.ports import Transient
from app.application.reply import AssistantWorker
from app.application.services import Services
from app.domain.errors import Close
from app.infrastructure import telemetry, wiring
from app.infrastructure.http import Server, make_app, make_server
from app.infrastructure.observed import observed_process
from app.infrastructure.settings import Settings, SettingsError, check_world
from app.infrastructure.wiring import Gateway, World

PRUNE_S = 60.0
DRAIN_SLICES = 10
DRAIN_BATCH_S = 10.0
DRAIN_SLICE_PAUSE_S = 0.1
RECONNECT_AFTER_MS = 500


async def serve(settings: Settings, role: str) -> None:
    """Run the roles of this process until SIGTERM or SIGINT, then drain."""
    check_world(settings, role)
    _check_port(settings)
    world = wiring.make_world(settings)
    tracing_ = None
    if settings.otel_exporter_otlp_endpoint:
        from app.infrastructure.exporting import start_tracing

        tracing_ = start_tracing(settings, role, world.process_id)
    await migrate(world.database, settings.command_shards)
    await Process(world, role).run()
    if tracing_ is not None:
        await asyncio.to_thread(tracing_.shutdown)


def _check_port(settings: Settings) -> None:
    """The server would find out by itself, but without a word."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            why = f"{settings.host}:{settings.port} can't be had ({error.strerror})"
            raise SettingsError(f"{why}: choose another with PORT=… or HOST=…") from None


class Process:
    def __init__(self, world: World, role: str) -> None:
        self._world = world
        self._roles = {"gateway", "worker", "assistant"} if role == "all" else {role}
        self._role = role
        self._stopping = asyncio.Event()
        self._gateway: Gateway | None = None
        self._services: Services | None = None
        self._assistant: AssistantWorker | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """A task that lasts as long as the process: if it ends by itself, so does the process."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._stopping.is_set() and not task.cancelled():
            error = task.exception()
            if error is not None:
                telemetry.trouble(f"{task.get_name()} died", error)
            self._stopping.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self._signalled)
        await self._start_all()
        server = make_server(make_app(self._world.settings, self._ready, self._services), self._world.settings)
        serving = asyncio.create_task(server.serve(), name="http")
        serving.add_done_callback(lambda task: self._stopping.set())
        await self._announce_address(server, serving)
        # What lives as long as the process is never looked at again, and what lives for a message dies by its
        # references: full collections would only stop everything for a while.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        await self._stopping.wait()
        await self._drain(server, serving)

    def _signalled(self) -> None:
        if self._stopping.is_set():
            os._exit(1)
        self._stopping.set()

    async def _announce_address(self, server: Server, serving: asyncio.Task[None]) -> None:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        if server.started:
            host, port = server.servers[0].sockets[0].getsockname()[:2]
            telemetry.log.info("started", role=self._role, pid=os.getpid())
            print(f"Parley ({self._role}) is at http://{host}:{port}", flush=True)

    async def _ready(self) -> str | None:
        if self._stopping.is_set() or (self._services is not None and self._services.draining):
            return "draining"
        try:
            async with asyncio.timeout(2), self._world.database.read() as connection:
                await connection.execute(sa.text("select 1"))
        except (Transient, TimeoutError):
            return "the database can't be reached"
        consumer = self._world.bus.consumer
        if "worker" in self._roles and consumer is not None and not consumer.ready():
            return "the broker can't be reached"
        return None

    # Start

    async def _start_all(self) -> None:
        world = self._world
        if isinstance(world.fan_out, RedisFanOut):
            self._start("fan-out", world.fan_out.run())
        if world.bus.publisher is not None:
            self._start("publisher", world.bus.publisher.run())
        if "gateway" in self._roles:
            self._gateway = wiring.make_gateway(world)
            self._services = self._gateway.services
            await _until(self._services.hub.start)
        if "assistant" in self._roles:
            self._assistant = wiring.make_assistant(world)
            await self._assistant.start()
        self._listen()
        self._start("gauges", self._gauges())
        if self._gateway is not None and self._gateway.limits is not None:
            self._start("limits", self._gateway.limits.run())
        if self._gateway is not None and self._gateway.sockets is not None:
            self._start("sockets", self._gateway.sockets.run())
        if self._services is not None:
            self._start("hub", self._services.hub.run())
        if "worker" in self._roles:
            self._start_worker()
        if self._assistant is not None:
            self._start("assistant", self._assistant.run())
        if "worker" in self._roles or "assistant" in self._roles:
            self._start("expirer", wiring.make_expirer(world).run())

    def _listen(self) -> None:
        """One listener for all roles of the process."""
        hub = self._services.hub if self._services is not None else None
        assistant = self._assistant

        def handle(channel: str, payload: bytes) -> None:
            try:
                if assistant is not None:
                    assistant.handle(channel, payload)
                if hub is not None:
                    hub.handle(channel, payload)
            except Exception as error:  # one bad message must not end the listener that all depend on
                telemetry.trouble("listener", error)
                if hub is not None:
                    hub.reset()

        self._world.fan_out.listen(handle, hub.reset if hub is not None else lambda: None)

    def _start_worker(self) -> None:
        world = self._world
        traced = bool(world.settings.otel_exporter_otlp_endpoint)
        process = observed_process(wiring.make_worker(world).process, traced)
        self._start("pruner", self._prune())
        if world.bus.local is not None:
            self._start("worker", world.bus.local.run(process))
        elif world.bus.consumer is not None:
            self._start("worker", world.bus.consumer.run(process))
            self._start("shards", self._share_shards())

    async def _share_shards(self) -> None:
        """Say that we live, see who else does, hold what is ours."""
        consumer, workers = self._world.bus.consumer, SqlWorkers(self._world.database)
        assert consumer is not None
        shards = self._world.settings.command_shards
        while True:
            with suppress(Transient):
                alive = await workers.beat(self._world.process_id)
                consumer.assign(fair_share(self._world.process_id, alive, shards))
                telemetry.SHARDS.labels("assigned").set(len(fair_share(self._world.process_id, alive, shards)))
            telemetry.SHARDS.labels("active").set(len(consumer.active()))
            await asyncio.sleep(1)

    async def _prune(self) -> None:
        log = SqlCommandLog(self._world.database)
        while True:
            with suppress(Transient):
                await log.prune()
            await asyncio.sleep(PRUNE_S)

    async def _gauges(self) -> None:
        """What is read once a second, rather than counted where it happens."""
        world, healed = self._world, dict.fromkeys(("backfills", "poll_repairs", "resets"), 0)
        for what in healed:
            telemetry.HEALED.labels(what)
        while True:
            for what, count in self._services.hub.counts.items() if self._services is not None else ():
                telemetry.HEALED.labels(what).inc(count - healed[what])
                healed[what] = count
            for state, connections in world.database.pool().items():
                telemetry.POOL.labels(state).set(connections)
            if world.bus.publisher is not None:
                telemetry.BROKER.labels("publish").set(world.bus.publisher.ready())
            if world.bus.consumer is not None and "worker" in self._roles:
                telemetry.BROKER.labels("consume").set(world.bus.consumer.ready())
            await asyncio.sleep(1)

    # Drain

    async def _drain(self, server: Server, serving: asyncio.Task[None]) -> None:
        """Readiness off; sockets told and closed in slices; batches and replies finished; then everything ends."""
        telemetry.log.info("draining", role=self._role)
        world = self._world
        if self._services is not None:
            self._services.draining = True
            await self._services.hub.close_all(
                Close.RESTART, "restarting", DRAIN_SLICES, DRAIN_SLICE_PAUSE_S, RECONNECT_AFTER_MS
            )
        if self._assistant is not None:
            await self._assistant.drain(0.0 if world.settings.embedded else None)
        if world.bus.consumer is not None and "worker" in self._roles:
            self._tasks["shards"].cancel()
            with suppress(Transient):
                await SqlWorkers(world.database).leave(world.process_id)
            with suppress(TimeoutError):  # with the database down the batch stays open; the broker has it
                async with asyncio.timeout(DRAIN_BATCH_S):
                    await world.bus.consumer.drain()
        server.should_exit = True
        with suppress(Exception):
            async with asyncio.timeout(10):
                await serving
        for task in self._tasks.values():
            task.cancel()
        await asyncio.wait(self._tasks.values(), timeout=5)
        await world.background.close()
        shared = (self._gateway.limits, self._gateway.sockets) if self._gateway is not None else ()
        for thing in (world.fan_out, world.live, *shared):
            if isinstance(thing, RedisFanOut | RedisLiveTexts | SharedLimits | RedisOpenSockets):
                await thing.close()
        await world.database.close()
        telemetry.log.info("ended", role=self._role)


async def _until(start: Callable[[], Awaitable[None]]) -> None:
    """At start the servers may still be coming up."""
    while True:
        try:
            await start()
            return
        except Transient:
            await asyncio.sleep(0.5)
