"""What keeps a process up goes on, whatever a library raises inside it: it is told, and done again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from app.adapters.fan_out import redis_pubsub
from app.adapters.fan_out.redis_pubsub import RedisFanOut, RedisLiveTexts
from app.adapters.limits import redis_shared
from app.adapters.limits.counting import LimitSettings
from app.adapters.limits.redis_shared import SharedLimits
from app.adapters.open_sockets.redis_sets import RedisOpenSockets
from app.adapters.signing import Signer
from app.infrastructure import telemetry
from app.infrastructure.roles.process import Process
from stack.pace import within
from stack.servers import Servers
from tests.held import held

SIGNER = Signer(["a secret"], "fan-out")


class Defect(Exception):
    """Of no kind that anybody expects."""


class Raising:
    """Stands where something is called: raises the first times, then does what was there."""

    def __init__(self, instead_of: Any, times: int = 2) -> None:
        self._instead_of, self._times, self.done = instead_of, times, 0

    async def __call__(self, *args: Any, **more: Any) -> Any:
        if self._times:
            self._times -= 1
            raise Defect
        self.done += 1
        return await self._instead_of(*args, **more)


async def lives(
    port: Any, raising: Raising, told: list[BaseException], until: Callable[[], bool] = lambda: True
) -> None:
    async with held(port), within(10):
        while not raising.done or not until():
            await asyncio.sleep(0.02)
    assert [type(error) for error in told] == [Defect, Defect]


async def test_limits_that_are_settled(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_shared, "SETTLE_S", 0.05)
    told: list[BaseException] = []
    port = SharedLimits(servers.redis.url, LimitSettings(5, 100, 100, 100), on_trouble=told.append)
    raising = Raising(port.settle)
    monkeypatch.setattr(port, "settle", raising)
    await lives(port, raising, told)


async def test_open_sockets(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    port = RedisOpenSockets(servers.redis.url, on_trouble=told.append)
    raising = Raising(port._say)
    monkeypatch.setattr(port, "_say", raising)
    for n in range(3):
        await port.opened("user", f"session {n}", 10)

    async def close_them() -> None:
        for n in range(30):
            port.closed("user", f"session {n}")
            await asyncio.sleep(0.2)

    closing = asyncio.create_task(close_them())
    await lives(port, raising, told)
    closing.cancel()


async def test_fan_out(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException] = []
    port = RedisFanOut(servers.redis.url, SIGNER, on_trouble=told.append)
    port.listen(lambda channel, payload: None, lambda: None)
    raising = Raising(port._listen)
    monkeypatch.setattr(port, "_listen", raising)
    await lives(port, raising, told)


async def test_live_texts(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_pubsub, "LOOK_S", 0.05)
    told: list[BaseException] = []
    port = RedisLiveTexts(servers.redis.url, SIGNER, on_trouble=told.append)
    port._why = "something"
    raising = Raising(port.append)
    monkeypatch.setattr(port, "append", raising)
    await lives(port, raising, told, until=lambda: port.why_not() is None)


async def test_gauges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is measured, and by whichever part."""
    told: list[str] = []
    monkeypatch.setattr(telemetry, "recurring_of", lambda what, error: told.append(f"{what} {type(error).__name__}"))
    sleep, rounds = asyncio.sleep, list[int]()

    async def short(seconds: float) -> None:
        rounds.append(1)
        await sleep(0)

    def raises(*_: Any) -> Any:
        raise Defect

    async def answers() -> bool:
        return True

    async def nothing() -> None:
        pass

    monkeypatch.setattr(asyncio, "sleep", short)
    database: Any = SimpleNamespace(pool=raises, why_not=lambda: None, probe=nothing)
    bus, log = SimpleNamespace(why_not=lambda: None), SimpleNamespace(answers=answers)
    measured = Process.__new__(Process)
    measured._world, measured._roles = SimpleNamespace(database=database, bus=bus, log=log), []  # type: ignore[assignment]
    loop = asyncio.create_task(measured._measure())
    try:
        for part, name, well in (
            (database, "pool", dict),
            (bus, "why_not", lambda: None),
            (database, "probe", nothing),
        ):
            told.clear()
            monkeypatch.setattr(part, name, raises)
            async with within(5):
                while len(told) < 2:
                    await sleep(0)
            assert set(told) == {"gauges Defect"} and not loop.done()
            monkeypatch.setattr(part, name, well)
        told.clear()
        rounds.clear()
        async with within(5):
            while len(rounds) < 3:
                await sleep(0)
        assert not told, "and all is measured again"
    finally:
        loop.cancel()
