"""Ranges of a chat's timeline as frames, each read once for all who are behind at the same place."""

from __future__ import annotations

import asyncio
from typing import Any

from app.application.background import Background
from app.application.ports import Codec, Timeline, Transient
from app.application.signals import FRAME_MAX, Slice, slice_of

READS_AT_ONCE = 8
_RANGE = 200


class Ranges:
    def __init__(self, timeline: Timeline, codec: Codec, group: Background) -> None:
        self._timeline = timeline
        self._codec = codec
        self._group = group
        self._reads: dict[tuple[str, int], asyncio.Task[list[Slice]]] = {}
        self._reading = asyncio.Semaphore(READS_AT_ONCE)

    async def read(self, chat_id: str, after: int) -> list[Slice]:
        """A range as frames, read once for all who are behind at the same place."""
        task = self._reads.get((chat_id, after))
        if task is None:
            task = self._group.create_task(self._read_range(chat_id, after))
            self._reads[(chat_id, after)] = task
            task.add_done_callback(lambda _: self._reads.pop((chat_id, after), None))
        found = await asyncio.shield(task)
        if found is None:
            raise Transient("read")
        return found

    async def _read_range(self, chat_id: str, after: int) -> Any:
        try:
            async with self._reading:
                events = await self._timeline.events(chat_id, after, _RANGE)
        except Transient:
            return None
        parts: list[Slice] = []
        start = size = 0
        lines = [self._codec.event(event) for event in events]
        for place, line in enumerate(lines):
            length = len(line.encode()) + 1
            if place > start and size + length > FRAME_MAX:
                parts.append(slice_of(chat_id, events[start:place], lines[start:place]))
                start, size = place, 0
            size += length
        if events:
            parts.append(slice_of(chat_id, events[start:], lines[start:]))
        return parts
