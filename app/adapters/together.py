"""What several ask at the same time is asked once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from contextvars import Context
from itertools import islice
from typing import Generic, TypeVar

from app.application.ports.errors import DeadlineMissed, Transient

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
CROWD_S = 0.005
PATIENCE_S = 0.2
CALLS_MAX = 4


class Together(Generic[K, V]):
    """While one call is under way, what is asked collects for the one behind it, and a moment longer where one just went
    before it; so one who asks alone doesn't wait, and a crowd goes by many. Behind a call that hangs others go past it.

    Every answer was looked for after it was asked for. It isn't of the asker's own view of the database, if there is one.
    """

    def __init__(self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]], most: int) -> None:
        """load: answers so many at once, `most` at the most; what it leaves out has no answer."""
        self._load = load
        self._most = self._size = most
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._calls: set[asyncio.Task[None]] = set()
        self._began_at = self._ended_at = 0.0
        self._later: asyncio.TimerHandle | None = None

    async def ask(self, key: K) -> V | None:
        """Raises what `load` raises: of an outage each who waits hears at once, of what is wrong with one key who asked it."""
        answer = self._asked.get(key)
        if answer is None:
            answer = self._asked[key] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_heard)
        self._begin()
        return await asyncio.shield(answer)  # others may wait for the same

    def _begin(self) -> None:
        """A call, where none is under way or the last one hangs."""
        loop = asyncio.get_running_loop()
        hangs_at = self._began_at + PATIENCE_S
        if not self._asked or len(self._calls) >= CALLS_MAX:
            return
        if not self._calls or loop.time() >= hangs_at:
            self._began_at = loop.time()
            call = loop.create_task(self._run(), context=Context())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        elif self._later is None:
            self._later = loop.call_at(hangs_at, self._look)

    def _look(self) -> None:
        self._later = None
        self._begin()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._asked:
            if loop.time() - self._ended_at < CROWD_S:
                await asyncio.sleep(CROWD_S)
            self._began_at = loop.time()
            taken = {key: self._asked.pop(key) for key in list(islice(self._asked, self._size))}
            if not taken:  # another call took them while this one waited
                return
            try:
                await self._answer(taken)
            finally:
                for answer in taken.values():
                    answer.cancel()  # only where we are, in the middle of it
                self._ended_at = loop.time()

    async def _answer(self, taken: Mapping[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._load(list(taken))
        except DeadlineMissed as error:  # it may have been too much
            self._size = max(1, len(taken) // 2)
            _fail(taken.values(), error)
        except Transient as error:
            waiting, self._asked = self._asked, {}
            _fail([*taken.values(), *waiting.values()], error)
        except Exception as error:
            if len(taken) == 1:
                return _fail(taken.values(), error)
            keys = list(taken)
            for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
                await self._answer({key: taken[key] for key in half})
        else:
            self._size = min(self._most, 2 * self._size)
            for key, answer in taken.items():
                answer.set_result(found.get(key))


def _fail(answers: Iterable[asyncio.Future[V | None]], error: Exception) -> None:
    for answer in answers:
        answer.set_exception(error)


def _heard(answer: asyncio.Future[V | None]) -> None:
    """Who asked may be gone."""
    if not answer.cancelled():
        answer.exception()
