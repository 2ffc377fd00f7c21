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
        self._turns = Turns(READS_AT_ONCE, _WAITING_MAX, _WAITING_MAX)

    async def read(self, chat_id: str, after: int, who: str = "") -> list[Slice]:
        """The events after `after`, at most 200, cut into frames; none where there are none. who: the user who is
        behind; reads have turns by user, and those for all who hear the chat are first. Raises Transient."""
        task = self._reads.get((chat_id, after))
        if task is None:
            task = self._background.create_task(self._read_range(chat_id, after, who))
            self._reads[(chat_id, after)] = task
            task.add_done_callback(lambda _: self._reads.pop((chat_id, after), None))
        found = await asyncio.shield(task)
        if found is None:
            raise Transient("read")
        return found

    async def _read_range(self, chat_id: str, after: int, who: str) -> list[Slice] | None:
        """None where it could not be read just now: a task that several wait for may not raise."""
        try:
            async with self._turns.turn(who, urgent=not who):
                events = await self._timeline.events(chat_id, after, _RANGE)
        except (Transient, Unavailable):
            return None
        lines = [self._codec.event(event) for event in events]
        return [slice_of(chat_id, *part) for part in framed(events, lines)]
