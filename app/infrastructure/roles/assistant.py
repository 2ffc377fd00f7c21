"""An assistant worker: writes replies."""

from __future__ import annotations

from app.infrastructure import wiring
from app.infrastructure.roles.role import Life
from app.infrastructure.wiring import World


class AssistantRole:
    def __init__(self, world: World) -> None:
        self._world = world
        self._model = wiring.make_model(world.settings)
        self._assistant = wiring.make_assistant(world, self._model)

    async def start(self, life: Life) -> None:
        await life.hold(self._world.live, self._model)
        await self._assistant.start()
        life.keep("assistant", self._assistant.run())

    def handle(self, channel: str, payload: bytes) -> None:
        self._assistant.handle(channel, payload)

    def reset(self) -> None:
        """A hint that was lost is found by the scan."""

    needs = frozenset(("broker",))

    def parts(self) -> dict[str, str | None]:
        return {
            "broker": self._world.bus.why_not(),
            "fan-out": self._world.fan_out.why_not() or self._world.live.why_not(),
        }

    def measure(self) -> None:
        pass

    async def drain(self) -> None:
        await self._assistant.drain()
