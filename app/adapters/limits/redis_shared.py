"""Limits shared by gateways: what each counted is settled with Redis once a second, in one round trip.

One call for each command would cost most of a core; so a user who changes gateways may have a second's worth more.
Without Redis each gateway counts alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import limits

from app.adapters.limits.counting import LimitSettings, UserLimits
from app.adapters.redis_connection import LOST, connect
from app.application.bounded import Bounded
from app.application.ports.held import Keep

SETTLE_S = 1.0
DEADLINE_S = 1.0
_SEEN_MAX = 100_000

_BUCKET = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local rate, burst, taken = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local was = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = burst
if was[1] then left = math.min(burst, tonumber(was[1]) + (now - tonumber(was[2])) * rate) end
left = math.max(-burst, left - taken)
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', tostring(now))
redis.call('PEXPIRE', KEYS[1], math.ceil(2000 * burst / rate))
return tostring(left)
"""
"""Take from the bucket that all share; what is left. Two gateways may overdraw it, by one burst at most."""


class SharedLimits(UserLimits):
    """Implements Limiter and SignInLimiter, where several gateways serve."""

    def __init__(
        self,
        url: str,
        settings: LimitSettings,
        clock: Callable[[], float] = time.time,
        on_trouble: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """clock: which all gateways share."""
        self._clock = clock
        self._on_trouble = on_trouble
        super().__init__(settings)
        self._redis: Any = connect(url)
        self._bucket = self._redis.register_script(_BUCKET)
        self._seen: Bounded[str, int] = Bounded(_SEEN_MAX)

    async def start(self, keep: Keep) -> None:
        keep("limits", self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await self.settle()
            except Exception as error:
                self._on_trouble(error)

    async def settle(self) -> None:
        """Say what was counted here, take on what all have counted. What can't be said is forgotten."""
        windows = self.windows
        taken = [
            (name, buckets, key, units)
            for name, buckets in (("requests", self.requests), ("reads", self.reads))
            for key, units in buckets.taken.items()
        ]
        self.requests.taken, self.reads.taken = {}, {}
        hits, windows.hits = windows.hits, {}
        if not taken and not hits:
            return
        pipe = self._redis.pipeline(transaction=False)
        for name, buckets, key, units in taken:
            await self._bucket(keys=[f"limit:{name}:{key}"], args=[buckets.rate, buckets.burst, units], client=pipe)
        named = [(item, key, count, self._window(item, key)) for (item, key), count in hits.items()]
        for item, _, count, name in named:
            pipe.incrby(name, count)
            pipe.expire(name, 2 * item.get_expiry())
        answers = await pipe.execute()
        for (_, buckets, key, _), left in zip(taken, answers[: len(taken)], strict=True):
            buckets.adopt(key, float(left))
        for (item, key, count, name), total in zip(named, answers[len(taken) :: 2], strict=True):
            windows.add(item, key, int(total) - self._seen.get(name, 0) - count)
            self._seen[name] = int(total)

    async def close(self) -> None:
        with suppress(*LOST):
            async with asyncio.timeout(DEADLINE_S):
                await self._redis.aclose()

    def _window(self, item: limits.RateLimitItem, key: str) -> str:
        return f"limit:{item.namespace}:{int(self._clock() // item.get_expiry())}:{key}"
