"""Pages of history that are shown again and again, as they were encoded: a crowd that opens the same chat."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

Key = tuple[str, int, int | None, int | None, int]
"""Chat, its head, before, after, limit. What a page shows changes with the head: each change of a chat moves it."""
BYTES_MAX = 16 * 1024 * 1024
KEPT_S = 10.0
_ENTRY_BYTES = 512
"""What an entry takes beside its page."""


class KeptPages:
    """The newest ones, bounded in bytes and in time: what is over goes by itself, also where nobody comes any more."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._pages: OrderedDict[Key, tuple[float, bytes]] = OrderedDict()
        self._left = self._bytes_max = bytes_max
        self._broom: asyncio.TimerHandle | None = None

    def get(self, key: Key) -> bytes | None:
        kept_at, page = self._pages.get(key, (0.0, b""))
        return page if page and asyncio.get_running_loop().time() - kept_at < KEPT_S else None

    def keep(self, key: Key, page: bytes) -> None:
        self._drop(key)
        if len(page) + _ENTRY_BYTES > self._bytes_max:
            return
        self._pages[key] = asyncio.get_running_loop().time(), page
        self._left -= len(page) + _ENTRY_BYTES
        while self._left < 0:
            self._drop(next(iter(self._pages)))
        if self._broom is None:
            self._sweep()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._broom = None
        while self._pages and loop.time() - next(iter(self._pages.values()))[0] >= KEPT_S:
            self._drop(next(iter(self._pages)))
        if self._pages:
            self._broom = loop.call_later(KEPT_S / 2, self._sweep)

    def _drop(self, key: Key) -> None:
        kept = self._pages.pop(key, None)
        if kept is not None:
            self._left += len(kept[1]) + _ENTRY_BYTES
