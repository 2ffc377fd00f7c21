"""What a port holds open while the process lives."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

Keep = Callable[[str, Coroutine[Any, Any, None]], object]
"""Runs work, by a name, for as long as the process lives: it is cancelled before the ports are closed, and where it ends
by itself the process ends."""


class Held(Protocol):
    """A port that holds something open. Whoever uses it starts it before, and closes it after, once each."""

    async def start(self, keep: Keep) -> None:
        """Open what can't be opened at the first use, and keep up what runs beside the calls. Returns at once: a server
        that can't be reached yet is tried for by what is kept."""
        ...

    async def close(self) -> None:
        """Give back what is open, in a few seconds even where the server doesn't answer. Not used after it."""
        ...


class NothingHeld:
    """Implements Held, for what has nothing to open."""

    async def start(self, keep: Keep) -> None:
        """Nothing to begin."""

    async def close(self) -> None:
        """Nothing to give back."""
