"""Fan-out and live texts inside one process. Loses nothing, since nothing is between."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.application.bounded import Bounded
from app.application.ports.fan_out import LiveText
from app.application.ports.held import NothingHeld
from app.application.signals import DeltaSignal, chat_channel, pack_delta
from app.domain.state import Pair

_ENDED_MAX = 10_000


class InProcessFanOut(NothingHeld):
    """Implements FanOut."""

    def __init__(self) -> None:
        self._handlers: list[Callable[[str, bytes], None]] = []
        self._channels: set[str] = set()

    def listen(self, handler: Callable[[str, bytes], None], reset: Callable[[], None]) -> None:
        self._handlers.append(handler)

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        for channel, payload in messages:
            if channel in self._channels:
                for handler in self._handlers:
                    handler(channel, payload)

    async def subscribe(self, channels: Sequence[str]) -> None:
        self._channels.update(channels)

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        self._channels.difference_update(channels)

    def why_not(self) -> str | None:
        return None


class InProcessLiveTexts(NothingHeld):
    """Implements LiveTexts."""

    def __init__(self, fan_out: InProcessFanOut) -> None:
        self._fan_out = fan_out
        self._texts: dict[Pair, LiveText] = {}
        self._ended: Bounded[Pair, None] = Bounded(_ENDED_MAX)

    async def append(self, key: Pair, attempt: int, index: int, delta: str, whole: str) -> bool:
        before = self._texts.get(key)
        if key in self._ended or (before is not None and before.attempt > attempt):
            return False
        self._texts[key] = LiveText(attempt, index + 1, whole)
        signal = pack_delta(DeltaSignal(key[1], attempt, index, delta))
        await self._fan_out.publish([(chat_channel(key[0]), signal)])
        return True

    async def get(self, key: Pair) -> LiveText | None:
        return self._texts.get(key)

    def why_not(self) -> str | None:
        return None

    async def end(self, key: Pair) -> None:
        self._texts.pop(key, None)
        self._ended[key] = None
