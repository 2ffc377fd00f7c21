"""What a role is to the process that holds it, and what the process is to its roles."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from app.application.ports.held import Held


class Life(Protocol):
    """A process's life, as its roles see it."""

    async def hold(self, *ports: Held) -> None:
        """Start these ports, but for what is started already; they are closed at the end, the last one first."""
        ...

    def keep(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run this as long as the process lives: if it ends by itself, so does the process."""
        ...


class Role(Protocol):
    """A part of a process's life. The process starts all, hands them what the fan-out says, and drains them in order."""

    async def start(self, life: Life) -> None:
        """Hold the ports that it uses, ready itself, then keep up its work. Raises Transient before it keeps any, and
        is called again until the servers are up."""
        ...

    def handle(self, channel: str, payload: bytes) -> None:
        """What the fan-out says, to whatever channel."""
        ...

    def reset(self) -> None:
        """The fan-out may have lost something."""
        ...

    needs: frozenset[str]
    """The parts without which it can do nothing."""

    def parts(self) -> dict[str, str | None]:
        """What it depends on beside the database: None where that is well, else in words why not."""
        ...

    def measure(self) -> None:
        """Set the gauges; called once a second."""
        ...

    async def drain(self) -> None:
        """Finish what is under way, take nothing new."""
        ...
