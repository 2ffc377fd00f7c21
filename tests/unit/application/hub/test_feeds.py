"""Chats that are heard: each channel is had once, and given up with the last who counts on it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from app.application.hub.feeds import Feeds
from app.application.signals import chat_channel


class FanOut:
    def __init__(self) -> None:
        self.said: list[tuple[str, list[str]]] = []

    async def subscribe(self, channels: Sequence[str]) -> None:
        self.said.append(("+", list(channels)))

    async def unsubscribe(self, channels: Sequence[str]) -> None:
        self.said.append(("-", list(channels)))


def test_a_channel_is_had_while_somebody_counts_on_it() -> None:
    async def go() -> None:
        spawned: list[Coroutine[Any, Any, None]] = []
        fan_out: Any = FanOut()
        feeds = Feeds(fan_out, spawned.append)
        await feeds.hear(["a", "b"])
        await feeds.hear(["b", "c"])
        assert fan_out.said == [
            ("+", [chat_channel("a"), chat_channel("b")]),
            ("+", [chat_channel("b"), chat_channel("c")]),
        ], "also what others wait for already: it may not be heard yet"
        feed = feeds["b"]
        feeds.unhear("b")
        assert feeds.get("b") is feed and not spawned
        feeds.unhear("b")
        feeds.unhear("a")
        feeds.unhear("never heard")
        assert feeds.get("b") is None and len(spawned) == 2
        await feeds.hear(["a"])  # again, before the giving up was done
        fan_out.said.clear()
        for work in spawned:
            await work
        assert fan_out.said == [("-", [chat_channel("b")])], "who came back meanwhile is still served"

    asyncio.run(go())


def test_of_the_replies_that_ended_some_are_remembered() -> None:
    async def go() -> None:
        fan_out: Any = FanOut()
        feeds = Feeds(fan_out, lambda work: None)
        await feeds.hear(["a"])
        for n in range(70):
            feeds["a"].end(str(n))
        assert "69" in feeds["a"].ended and "0" not in feeds["a"].ended and len(feeds["a"].ended) == 64

    asyncio.run(go())
