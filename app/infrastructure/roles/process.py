"""A process's life: start in order, named side tasks of which none may die alone, drain in order at SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from fastapi import FastAPI

from app.adapters.store.migrate import lanes_of, migrate
from app.application.background import survived
from app.application.ports.errors import Transient
from app.application.ports.held import Held
from app.infrastructure import memory, telemetry, wiring
from app.infrastructure.http import Server, make_app, make_server
from app.infrastructure.roles.role import Role
from app.infrastructure.settings import Settings, SettingsError, check_world
from app.infrastructure.wiring import World


async def serve(settings: Settings, role: str, adapt: Callable[[World], None] = lambda world: None) -> None:
    """Run the roles of this process until SIGTERM or SIGINT, then drain. adapt: may wrap the ports before any is used."""
    check_world(settings, role)
    memory.keep_little()
    for port in filter(None, {settings.port, settings.metrics_port}):
        _check_port(settings.host, port)
    world = wiring.make_world(settings)
    adapt(world)
    tracing_ = None
    if world.traced:
        from app.infrastructure.exporting import start_tracing

        tracing_ = start_tracing(settings, role, world.process_id)
    world.lanes.count = await migrate(world.database, settings.command_shards, lanes=settings.command_lanes)
    await Process(world, role).run()
    if tracing_ is not None:
        await asyncio.to_thread(tracing_.shutdown)


LANES_S = 2.0
_GONE = "the database can't be reached"


def _check_port(host: str, port: int) -> None:
    """The server would find out by itself, but without a word."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            why = f"{host}:{port} can't be had ({error.strerror})"
            raise SettingsError(f"{why}: choose another with PORT=… or HOST=…") from None


class Died(Exception):
    """A side task of the process ended by itself, by its name: the process drained, and isn't well."""


class Process:
    """Implements Life."""

    def __init__(self, world: World, role: str) -> None:
        self._world = world
        self._name = role
        self._roles, self._open_doors = _make_roles(world, role)
        self._stopping = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._held: list[Held] = []
        self._died = ""

    async def hold(self, *ports: Held) -> None:
        for port in ports:
            if port not in self._held:
                self._held.append(port)
                await port.start(self.keep)

    def keep(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not self._stopping.is_set() and not task.cancelled():
            error = task.exception()
            if error is not None:
                telemetry.trouble(f"{task.get_name()} died", error)
            self._died = task.get_name()
            self._stopping.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sig, self._signalled)
        await self._start_all()
        settings = self._world.settings
        app = make_app(settings, self._readiness, self._open_doors, with_metrics=not settings.metrics_port)
        server = make_server(app, settings, settings.port)
        serving = asyncio.create_task(server.serve(), name="http")
        serving.add_done_callback(lambda task: self._stopping.set())
        if settings.metrics_port:
            inside = make_app(settings, self._readiness, None, with_metrics=True)
            self.keep("metrics", make_server(inside, settings, settings.metrics_port).serve())
        await self._announce_address(server, serving)
        # What lives as long as the process is never looked at again, and what lives for a message dies by its
        # references: collections would only stop everything for a while. The few circles go by memory.give_back.
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
            telemetry.log.info("started", role=self._name, pid=os.getpid())
            print(f"Parley ({self._name}) is at http://{host}:{port}", flush=True)

    async def _readiness(self) -> tuple[str, dict[str, str | None]]:
        """(status, parts). As long as one role can do something, it is ready or degraded."""
        parts = await self._parts()
        bad = {name for name, why_not in parts.items() if why_not is not None}
        if self._stopping.is_set():
            return "draining", parts
        if parts["database"] == _GONE or all(role.needs & bad for role in self._roles):
            return "unavailable", parts
        return "degraded" if bad else "ready", parts

    async def _parts(self) -> dict[str, str | None]:
        """Of each part None where it is well, else in words why not."""
        parts: dict[str, str | None] = {}
        for role in self._roles:
            parts |= role.parts()
        refuses = self._world.database.why_not()
        parts["database"] = f"the database takes nothing new: {refuses}" if refuses is not None else None
        if not await self._world.log.answers():
            parts["database"] = _GONE
        return parts

    async def _start_all(self) -> None:
        world = self._world
        world.fan_out.listen(self._handle, self._reset)
        await self.hold(world.database, world.fan_out, world.bus)
        if world.replica is not None:
            await self.hold(world.replica)
        for role in self._roles:
            await self._start(role)
        self.keep("gauges", self._measure())
        self.keep("memory", memory.give_back())
        if not world.settings.embedded:
            self.keep("lanes in step", self._watch_lanes())

    async def _start(self, role: Role) -> None:
        """The servers may still be coming up."""
        while True:
            try:
                return await role.start(self)
            except Transient:
                await asyncio.sleep(0.5)

    def _handle(self, channel: str, payload: bytes) -> None:
        """One listener for all roles of the process."""
        for role in self._roles:
            try:
                role.handle(channel, payload)
            except Exception as error:  # one bad message must not end the listener that all depend on
                telemetry.trouble("listener", error)
                role.reset()

    def _reset(self) -> None:
        for role in self._roles:
            role.reset()

    async def _measure(self) -> None:
        """What is read once a second, rather than counted where it happens."""
        while True:
            with survived("gauges", telemetry.recurring_of):
                for state, connections in self._world.database.pool().items():
                    telemetry.POOL.labels(state).set(connections)
                telemetry.BROKER.labels("publish").set(self._world.bus.why_not() is None)
                with suppress(Transient):
                    await self._world.database.probe()
                for role in self._roles:
                    role.measure()
                for part, why_not in (await self._parts()).items():
                    telemetry.PART.labels(part).set(why_not is None)
            await asyncio.sleep(1)

    async def _watch_lanes(self) -> None:
        """Who goes on by other lanes than the database's would publish where nobody reads: it ends, and starts anew."""
        world = self._world
        while True:
            await asyncio.sleep(LANES_S)
            count = world.lanes.count
            with survived("lanes in step", telemetry.recurring_of):
                async with world.database.read() as connection:
                    count = await lanes_of(connection, world.lanes.shards)
            if count != world.lanes.count:
                raise RuntimeError(f"the database is laid out for {count} lanes now, not {world.lanes.count}")

    async def _drain(self, server: Server, serving: asyncio.Task[None]) -> None:
        """Readiness off; sockets told and closed in slices; replies and batches finished; then everything ends."""
        telemetry.log.info("draining", role=self._name)
        for role in self._roles:
            try:
                await role.drain()
            except Exception as error:  # what is open is taken over; the rest still ends in order
                telemetry.trouble("drain", error)
        server.should_exit = True
        with suppress(Exception):
            async with asyncio.timeout(10):
                await serving
        for task in self._tasks.values():
            task.cancel()
        await asyncio.wait(self._tasks.values(), timeout=5)
        await self._world.background.close()
        for port in reversed(self._held):
            try:
                await port.close()
            except Exception as error:  # what fails to close doesn't keep the others open
                telemetry.trouble("close", error)
        telemetry.log.info("ended", role=self._name)
        if self._died:
            raise Died(self._died)


def _make_roles(world: World, name: str) -> tuple[list[Role], Callable[[FastAPI], None] | None]:
    """In the order in which they are drained; and a gateway's doors. Each imports what it needs, and no other does."""
    roles: list[Role] = []
    open_doors = None
    if name in ("all", "gateway"):
        from app.infrastructure.roles.gateway import GatewayRole

        gateway = GatewayRole(world)
        roles.append(gateway)
        open_doors = gateway.doors.open
    if name in ("all", "assistant"):
        from app.infrastructure.roles.assistant import AssistantRole

        roles.append(AssistantRole(world))
    if name in ("all", "worker"):
        from app.infrastructure.roles.worker import WorkerRole

        roles.append(WorkerRole(world))
    return roles, open_doors
