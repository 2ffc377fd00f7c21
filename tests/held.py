"""Ports as a process holds them: started, kept up, ended, closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from app.application.ports.held import Held


@asynccontextmanager
async def held(*ports: Held, kept: tuple[Coroutine[Any, Any, None], ...] = ()) -> AsyncIterator[None]:
    """kept: beside what the ports keep up themselves."""
    tasks: list[asyncio.Task[None]] = []

    def keep(name: str, work: Coroutine[Any, Any, None]) -> None:
        tasks.append(asyncio.create_task(work, name=name))

    for port in ports:
        await port.start(keep)
    for work in kept:
        keep("kept", work)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for port in reversed(ports):
            await port.close()
