"""A gateway: sockets and REST."""

from __future__ import annotations

from app.adapters.origins import plain_origin
from app.adapters.rest.cursors import Cursors
from app.adapters.websocket.connection import SocketDoor
from app.application.ports.socket import Close
from app.infrastructure import telemetry, wiring
from app.infrastructure.doors import Doors
from app.infrastructure.roles.role import Life
from app.infrastructure.settings import listed
from app.infrastructure.wiring import World

DRAIN_SLICES = 10
DRAIN_SLICE_PAUSE_S = 0.1
RECONNECT_AFTER_MS = 500
WORK_OF_A_REQUEST = 4
"""Units of work that a socket may send for each request that its user may make."""


class GatewayRole:
    def __init__(self, world: World) -> None:
        self._world = world
        self._use_cases = wiring.make_use_cases(world)
        self._hub = self._use_cases.hub
        socket = SocketDoor(
            self._use_cases,
            world.codec,
            tuple(map(plain_origin, listed(world.settings.allowed_origins))),
            on_close=lambda code: telemetry.CLOSED.labels(code).inc(),
            work_per_s=WORK_OF_A_REQUEST * world.settings.requests_per_s,
            frame_max=world.settings.frame_max,
            on_turn=telemetry.TURN_SECONDS.observe,
        )
        self.doors = Doors(
            self._use_cases,
            socket,
            Cursors(wiring.cursor_keys(world)),
            world.settings.web == "on",
            world.settings.public_url,
        )
        self._healed = dict.fromkeys(self._hub.counts, 0)

    async def start(self, life: Life) -> None:
        world = self._world
        await life.hold(world.policies, world.live, world.passwords, world.limiter, world.open_sockets)
        await self._hub.start()
        life.keep("hub", self._hub.run())

    def handle(self, channel: str, payload: bytes) -> None:
        self._hub.handle(channel, payload)

    def reset(self) -> None:
        self._hub.reset()

    needs = frozenset[str]()

    def parts(self) -> dict[str, str | None]:
        return {
            "broker": self._world.bus.why_not(),
            "fan-out": self._world.fan_out.why_not() or self._world.live.why_not(),
        }

    def measure(self) -> None:
        for what, count in self._hub.counts.items():
            telemetry.HEALED.labels(what).inc(count - self._healed[what])
            self._healed[what] = count

    async def drain(self) -> None:
        self._use_cases.draining = True
        await self._hub.close_all(Close.RESTART, "restarting", DRAIN_SLICES, DRAIN_SLICE_PAUSE_S, RECONNECT_AFTER_MS)
