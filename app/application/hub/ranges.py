"""Ranges of a chat's timeline as frames, each read once for all who are behind at the same place."""

from __future__ import annotations

import asyncio

from app.application.background import Background
from app.application.ports.errors import Transient
from app.application.ports.socket import Codec
from app.application.ports.store import Timeline
from app.application.signals import Slice, framed, slice_of

READS_AT_ONCE = 8
_RANGE = 200


class Ranges:
    def __init__(self, timeline: Timeline, codec: Codec, background: Background) -> None:
        self._timeline = timeline
        self._codec = codec
        self._background = background
        self._reads: dict[tuple[str, int], asyncio.Task[list[Slice] | None]] = {}
        self._reading = asyncio.Semaphore(READS_AT_ONCE)

    async def read(self, chat_id: str, after: int) -> list[Slice]:
        """The events after `after`, at most 200, cut into frames; none where there are none. Raises Transient."""
        task = self._reads.get((chat_id, after))
        if task is None:
            task = self._background.create_task(self._read_range(chat_id, after))
            self._reads[(chat_id, after)] = task
            task.add_done_callback(lambda _: self._reads.pop((chat_id, after), None))
        found = await asyncio.shield(task)
        if found is None:
            raise Transient("read")
        return found

    async def _read_range(self, chat_id: str, after: int) -> list[Slice] | None:
        """None where it could not be read just now: a task that several wait for may not raise."""
        try:
            async with self._reading:
                events = await self._timeline.events(chat_id, after, _RANGE)
        except Transient:
            return None
        lines = [self._codec.event(event) for event in events]
        return [slice_of(chat_id, *part) for part in framed(events, lines)]
