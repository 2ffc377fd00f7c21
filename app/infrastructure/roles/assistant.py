"""An assistant worker: writes replies."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from app.infrastructure import wiring
from app.infrastructure.wiring import World


class AssistantRole:
    def __init__(self, world: World) -> None:
        self._world = world
        self._assistant = wiring.make_assistant(world)

    async def start(self) -> None:
        await self._assistant.start()

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {"assistant": self._assistant.run()}

    def handle(self, channel: str, payload: bytes) -> None:
        self._assistant.handle(channel, payload)

    def reset(self) -> None:
        """A hint that was lost is found by the scan."""

    def why_not_ready(self) -> str | None:
        return None

    def measure(self) -> None:
        pass

    async def drain(self) -> None:
        """In one process nobody else would go on with a reply that is given back, and its restart does."""
        await self._assistant.drain(0.0 if self._world.settings.embedded else None)
