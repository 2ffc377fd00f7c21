"""Which sockets a user has open on all gateways: a sorted set each, of session ids by when they were last seen.

A gateway says every few seconds which sockets it still has, so that what a dead one left is forgotten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from app.adapters.open_sockets.in_process import InProcessOpenSockets
from app.adapters.redis_connection import LOST, connect
from app.adapters.together import Together
from app.application.ports.held import Keep

SEEN_EVERY_S = 10.0
FORGOTTEN_S = 30.0
DEADLINE_S = 0.5
_TOGETHER = 50


class RedisOpenSockets:
    """Implements OpenSockets. Without Redis each gateway counts its own."""

    def __init__(
        self,
        url: str,
        clock: Callable[[], float] = time.time,
        on_trouble: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """clock: which all gateways share."""
        self._on_trouble = on_trouble
        self._clock = clock
        self._redis: Any = connect(url)
        self._mine = InProcessOpenSockets()
        self._gone: list[tuple[str, str]] = []
        self._opened = Together(self._add, _TOGETHER)

    async def opened(self, user_id: str, session_id: str, most: int) -> list[str]:
        oldest_here = self._mine.add(user_id, session_id, most)
        try:
            async with asyncio.timeout(DEADLINE_S):
                everywhere = await self._opened.ask((user_id, session_id)) or []
        except LOST as error:
            self._on_trouble(error)
            return oldest_here
        return everywhere[: max(0, len(everywhere) - most)]

    async def _add(self, new: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[str]]:
        """new: user, session. All that each one's user has, oldest first."""
        now = self._clock()
        new = [one for one in new if self._mine.has(*one)]  # it may be gone again
        async with asyncio.timeout(DEADLINE_S):
            pipe = self._redis.pipeline(transaction=False)
            for user_id, session_id in new:
                pipe.zremrangebyscore(_key(user_id), 0, now - FORGOTTEN_S)
                pipe.zadd(_key(user_id), {session_id: now})
                pipe.expire(_key(user_id), int(FORGOTTEN_S))
                pipe.zrange(_key(user_id), 0, -1)
            answers = await pipe.execute()
        # Session ids grow with time.
        return {one: sorted(raw.decode() for raw in answers[4 * place + 3]) for place, one in enumerate(new)}

    def closed(self, user_id: str, session_id: str) -> None:
        self._mine.closed(user_id, session_id)
        self._gone.append((user_id, session_id))

    async def start(self, keep: Keep) -> None:
        keep("open sockets", self._run())

    async def _run(self) -> None:
        """Take out what was closed; say what is still open."""
        seen_at = 0.0
        while True:
            await asyncio.sleep(0.5)
            gone, self._gone = self._gone, []
            mine: dict[str, list[str]] = {}
            if time.monotonic() - seen_at > SEEN_EVERY_S:
                mine, seen_at = self._mine.all(), time.monotonic()
            if not gone and not mine:
                continue
            try:
                async with asyncio.timeout(2):
                    await self._say(gone, mine)
            except Exception as error:
                self._on_trouble(error)

    async def _say(self, gone: list[tuple[str, str]], mine: dict[str, list[str]]) -> None:
        now = self._clock()
        pipe = self._redis.pipeline(transaction=False)
        for user_id, session_id in gone:
            pipe.zrem(_key(user_id), session_id)
        for user_id, session_ids in mine.items():
            pipe.zadd(_key(user_id), dict.fromkeys(session_ids, now))
            pipe.expire(_key(user_id), int(FORGOTTEN_S))
        await pipe.execute()

    async def close(self) -> None:
        with suppress(*LOST):
            async with asyncio.timeout(2):
                await self._say([(user, one) for user, mine in self._mine.all().items() for one in mine], {})
                await self._redis.aclose()


def _key(user_id: str) -> str:
    return f"sockets:{user_id}"
