"""Envelopes that form by themselves: while one is being confirmed, what arrives for its lane collects into the next.

No timers: one command alone goes at once, a flood goes by hundreds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from app.application.ports.errors import Unavailable
from app.domain.command import Command

COMMANDS_MAX = 500
BYTES_MAX = 1024 * 1024
WAITING_BYTES_MAX = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Waiting:
    command: Command
    packed: bytes
    done: asyncio.Future[None]


class Collector:
    """The commands of one lane that wait for their envelope. budget: bytes waiting in the whole process."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()

    def add(self, command: Command, packed: bytes) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._budget.take(len(packed)):
            done.set_exception(Unavailable("too much is waiting to be confirmed"))
            return done
        self._waiting.append(Waiting(command, packed, done))
        self._arrived.set()
        return done

    async def next(self) -> list[Waiting]:
        """The next envelope's content, at least one command, in order of arrival."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        taken, size = [self._waiting.popleft()], 0
        size = len(taken[0].packed)
        while self._waiting and len(taken) < COMMANDS_MAX and size + len(self._waiting[0].packed) <= BYTES_MAX:
            taken.append(self._waiting.popleft())
            size += len(taken[-1].packed)
        return taken

    def settle(self, taken: Sequence[Waiting], error: Exception | None = None) -> None:
        for waiting in taken:
            self._budget.give(len(waiting.packed))
            if waiting.done.done():
                continue
            if error is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)

    def refuse_all(self, error: Exception) -> None:
        """Nothing of what waits was sent."""
        taken, self._waiting = list(self._waiting), deque()
        self.settle(taken, error)


class Budget:
    def __init__(self, bytes_max: int = WAITING_BYTES_MAX) -> None:
        self._left = bytes_max

    def take(self, size: int) -> bool:
        if size > self._left:
            return False
        self._left -= size
        return True

    def give(self, size: int) -> None:
        self._left += size
