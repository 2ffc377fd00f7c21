"""Waiting in turns: what few can have at once goes around among those who ask, not to who asks the most."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.application.ports.errors import Unavailable

OTHERS = 2
"""So many times as long as a crowd's work took the loop is for others."""
_PAID_FROM_S = 0.003


class Line:
    """Places of those that wait: each `who`'s first before anybody's second."""

    def __init__(self) -> None:
        self._places: dict[str, deque[asyncio.Future[None]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, who: str) -> int:
        return len(self._places.get(who, ()))

    def join(self, who: str) -> asyncio.Future[None]:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._places.setdefault(who, deque()).append(place)
        self._count += 1
        return place

    def call(self) -> bool:
        """The next one's turn is now. False where nobody waits any more."""
        while self._places:
            who = next(iter(self._places))
            waiting = self._places.pop(who)
            place = waiting.popleft()
            if waiting:
                self._places[who] = waiting  # behind the others
            self._count -= 1
            if not place.done():
                place.set_result(None)
                return True
        return False


class Turns:
    """slots: how many have a turn at once. Among those that wait, urgent ones are first. most, most_each: how many may
    wait, in all and of one `who`; one more is Unavailable at once."""

    def __init__(self, slots: int, most: int, most_each: int) -> None:
        self._free = slots
        self._most, self._most_each = most, most_each
        self._urgent, self._others = Line(), Line()

    @property
    def full(self) -> bool:
        """Whether who asks now has to wait."""
        return self._free == 0

    @asynccontextmanager
    async def turn(self, who: str, urgent: bool = False) -> AsyncIterator[None]:
        """Raises Unavailable."""
        await self._take(who, urgent)
        try:
            yield
        finally:
            self._give()

    async def _take(self, who: str, urgent: bool) -> None:
        waiting = len(self._urgent) + len(self._others)
        if self._free > 0 and not waiting:
            self._free -= 1
            return
        line = self._urgent if urgent else self._others
        if waiting >= self._most or line.of(who) >= self._most_each:
            raise Unavailable("too many wait for this")
        place = line.join(who)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._give()  # the turn had come; the next one has it
            raise

    def _give(self) -> None:
        if not self._urgent.call() and not self._others.call():
            self._free += 1


class OneEach:
    """Of each `who` one at a time, in order; so many more may wait."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._here: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, who: str) -> AsyncIterator[None]:
        """Raises Unavailable."""
        lock, here = self._here.get(who, (asyncio.Lock(), 0))
        if here > self._most:
            raise Unavailable("too many of one's own wait for this")
        self._here[who] = (lock, here + 1)
        try:
            async with lock:
                yield
        finally:
            lock, here = self._here.pop(who)
            if here > 1:
                self._here[who] = (lock, here - 1)


class Paced:
    """One after the other. While others have work, each first step is paid for by twice as long for them: a crowd gets a
    third of the loop then, whatever it asks at once. most, most_each: as of `Turns`."""

    def __init__(self, most: int, most_each: int) -> None:
        self._most, self._most_each = most, most_each
        self._line = Line()
        self._calling = False
        self._began = self._ended = self._owed_s = 0.0

    async def turn(self, who: str) -> None:
        """Raises Unavailable."""
        if len(self._line) >= self._most or self._line.of(who) >= self._most_each:
            raise Unavailable("too many wait to be looked at")
        place = self._line.join(who)
        if not self._calling:
            self._calling = True
            asyncio.get_running_loop().call_soon(self._call)
        await place

    def _call(self) -> None:
        """What a turn wakes runs between these two marks."""
        loop = asyncio.get_running_loop()
        loop.call_soon(self._begin)
        self._calling = self._line.call()
        if self._calling:
            loop.call_soon(self._end)

    def _begin(self) -> None:
        self._began = time.perf_counter()

    def _end(self) -> None:
        self._ended = time.perf_counter()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """A turn of the loop later: where others had next to nothing to do in it, nobody is kept waiting."""
        took_s, others_s = self._ended - self._began, time.perf_counter() - self._ended
        if others_s > took_s / 4:
            self._owed_s += max(0.0, OTHERS * took_s - others_s)
        if self._owed_s < _PAID_FROM_S:  # timers count in milliseconds
            return self._call()
        owed_s, self._owed_s = self._owed_s, 0.0
        asyncio.get_running_loop().call_later(owed_s, self._call)
