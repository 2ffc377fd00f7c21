"""What several ask at the same time is asked once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import Context
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
CROWD_S = 0.005


class Together(Generic[K, V]):
    """While one call is under way, what is asked collects for the one behind it, and a moment longer where one just went
    before it; so one who asks alone doesn't wait, and a crowd goes by many.

    Every answer was looked for after it was asked for. It isn't of the asker's own view of the database, if there is one.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], most: int) -> None:
        """load: answers so many at once, `most` at the most; what it leaves out has no answer. What it raises, each who asked
        hears."""
        self._load = load
        self._most = most
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._running: asyncio.Task[None] | None = None
        self._ended_at = 0.0

    async def ask(self, key: K) -> V | None:
        """Raises what `load` raises."""
        answer = self._asked.get(key)
        if answer is None:
            answer = self._asked[key] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_heard)
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run(), context=Context())
        return await asyncio.shield(answer)  # others may wait for the same

    async def _run(self) -> None:
        try:
            while self._asked:
                if asyncio.get_running_loop().time() - self._ended_at < CROWD_S:
                    await asyncio.sleep(CROWD_S)
                keys = list(islice(self._asked, self._most))
                answers = [self._asked.pop(key) for key in keys]
                try:
                    found = await self._load(keys)
                    for key, answer in zip(keys, answers, strict=True):
                        answer.set_result(found.get(key))
                except Exception as error:
                    for answer in answers:
                        answer.set_exception(error)
                finally:
                    for answer in answers:
                        answer.cancel()  # only where we are, in the middle of it
                    self._ended_at = asyncio.get_running_loop().time()
        finally:
            self._running = None


def _heard(answer: asyncio.Future[V | None]) -> None:
    """Who asked may be gone."""
    if not answer.cancelled():
        answer.exception()
