"""The chats that sessions here hear, each with its channel of the fan-out while somebody counts on it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.application.bounded import Bounded
from app.application.hub.sessions import Session
from app.application.ports.fan_out import FanOut
from app.application.signals import chat_channel

_ENDED_MAX = 64


@dataclass(slots=True, eq=False)
class Feed:
    """A chat that some session here hears. tail: the last seq seen; known: the last one known to exist."""

    chat_id: str
    refs: int = 0
    tail: int = 0
    known: int = 0
    sessions: dict[Session, None] = field(default_factory=dict)
    ended: Bounded[str, None] = field(default_factory=lambda: Bounded(_ENDED_MAX))
    backfilling: bool = False
    snapshots: set[str] = field(default_factory=set)

    def end(self, message_id: str) -> None:
        """No delta of this reply goes out any more."""
        self.ended[message_id] = None


class Feeds:
    def __init__(self, fan_out: FanOut, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._fan_out = fan_out
        self._spawn = spawn
        self._feeds: dict[str, Feed] = {}

    def get(self, chat_id: str) -> Feed | None:
        return self._feeds.get(chat_id)

    def __getitem__(self, chat_id: str) -> Feed:
        return self._feeds[chat_id]

    async def hear(self, chat_ids: Iterable[str], also: Sequence[str] = ()) -> None:
        """Count on these chats' channels; each is given up again by `unhear`. Returns when they are heard, whoever asked
        first. also: other channels, taken up with them."""
        channels = list(also)
        for chat_id in chat_ids:
            self._feeds.setdefault(chat_id, Feed(chat_id)).refs += 1
            channels.append(chat_channel(chat_id))
        await self._fan_out.subscribe(channels)

    def unhear(self, chat_id: str) -> None:
        feed = self._feeds.get(chat_id)
        if feed is None:
            return
        feed.refs -= 1
        if feed.refs <= 0:
            del self._feeds[chat_id]
            self._spawn(self._unsubscribe(chat_id))

    async def _unsubscribe(self, chat_id: str) -> None:
        if chat_id not in self._feeds:
            await self._fan_out.unsubscribe([chat_channel(chat_id)])
