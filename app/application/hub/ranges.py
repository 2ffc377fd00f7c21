"""Ranges of a chat's timeline as frames, each read once for all who are behind at the same place."""

from __future__ import annotations

import asyncio

from app.application.background import Background
from app.application.ports.errors import Transient, Unavailable
from app.application.ports.socket import Codec
from app.application.ports.store import Timeline
from app.application.signals import Slice, framed, slice_of
from app.application.turns import Turns

READS_AT_ONCE = 8
_RANGE = 200
_WAITING_MAX = 100_000
"""A socket waits for one range at a time."""


class Ranges:
    def __init__(self, timeline: Timeline, codec: Codec, background: Background) -> None:
        self._timeline = timeline
        self._codec = codec
        self._background = background
        self._reads: dict[tuple[str, int], asyncio.Task[list[Slice] | None]] = {}
        self._in_line: set[tuple[str, int]] = set()
        self._turns = Turns(READS_AT_ONCE, _WAITING_MAX, _WAITING_MAX)

    async def read(self, chat_id: str, after: int, who: str = "") -> list[Slice]:
        """The events after `after`, at most 200, cut into frames; none where there are none. who: the user who is
        behind; reads have turns by user, and those for all who hear the chat are first. Raises Transient."""
        key = (chat_id, after)
        task = self._reads.get(key)
        if task is None or (not who and key in self._in_line):  # what all wait for doesn't wait for one's turn
            if who and self._turns.full:
                self._in_line.add(key)
            else:
                self._in_line.discard(key)
            task = self._background.create_task(self._read_range(key, who))
            self._reads[key] = task
            task.add_done_callback(lambda done: self._over(key, done))
        found = await asyncio.shield(task)
        if found is None:
            raise Transient("read")
        return found

    def _over(self, key: tuple[str, int], task: asyncio.Task[list[Slice] | None]) -> None:
        if self._reads.get(key) is task:
            del self._reads[key]
            self._in_line.discard(key)

    async def _read_range(self, key: tuple[str, int], who: str) -> list[Slice] | None:
        """None where it could not be read just now: a task that several wait for may not raise."""
        chat_id, after = key
        try:
            async with self._turns.turn(who, urgent=not who):
                self._in_line.discard(key)
                events = await self._timeline.events(chat_id, after, _RANGE)
        except (Transient, Unavailable):
            return None
        lines = [self._codec.event(event) for event in events]
        return [slice_of(chat_id, *part) for part in framed(events, lines)]
