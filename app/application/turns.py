"""Waiting in turns: what few can have at once goes around among those who ask, not to who asks the most."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.application.ports.errors import Unavailable


class Turns:
    """slots: how many have a turn at once. Among those that wait, urgent ones are first; then each `who`'s first before
    anybody's second. most, most_each: how many may wait, in all and of one `who`; one more is Unavailable at once."""

    def __init__(self, slots: int, most: int, most_each: int) -> None:
        self._free = slots
        self._most, self._most_each = most, most_each
        self._waiting = 0
        self._lines: tuple[dict[str, deque[asyncio.Future[None]]], ...] = ({}, {})

    @asynccontextmanager
    async def turn(self, who: str, urgent: bool = False) -> AsyncIterator[None]:
        """Raises Unavailable."""
        await self._take(who, urgent)
        try:
            yield
        finally:
            self._give()

    async def _take(self, who: str, urgent: bool) -> None:
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        line = self._lines[0 if urgent else 1]
        mine = line.get(who, ())
        if self._waiting >= self._most or len(mine) >= self._most_each:
            raise Unavailable("too many wait for this")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.setdefault(who, deque()).append(place)
        self._waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._give()  # the turn had come; the next one has it
            raise

    def _give(self) -> None:
        while self._waiting:
            line = next(line for line in self._lines if line)
            who = next(iter(line))
            waiting = line.pop(who)
            place = waiting.popleft()
            if waiting:
                line[who] = waiting  # behind the others
            self._waiting -= 1
            if not place.done():
                place.set_result(None)
                return
        self._free += 1
