"""Tasks that serve one request or one socket: owned, ended with the process, and their failure is their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

Trouble = Callable[[str, BaseException], None]
"""Told what an error was met in, where it is survived."""


@contextmanager
def survived(what: str, trouble: Trouble) -> Iterator[None]:
    """What keeps a process alive goes on, whatever this met; it is told."""
    try:
        yield
    except Exception as error:
        trouble(what, error)


class Background:
    """trouble: told of what a task raised; the process goes on, for others are served by it."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self._tasks: set[asyncio.Task[Any]] = set()

    def create_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.trouble("background", error)

    async def finish(self, patience_s: float) -> None:
        """Wait for what runs, at most so long; the rest is cancelled."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=patience_s)
        for task in list(self._tasks):
            task.cancel()

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
