"""Limits of what one user may do, counted in the process by the `limits` library's windows."""

from __future__ import annotations

import time
from dataclasses import dataclass

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

BURST_S = 10
_KEYS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Requests may come in bursts of ten seconds' worth."""

    requests_per_s: int = 50
    rejections_per_min: int = 100
    chats_per_h: int = 100
    members_per_h: int = 10_000
    failures_per_name: int = 10
    failures_per_address: int = 100


class TokenBuckets:
    """A bucket for each key: `rate` a second flow in, up to `burst`. Time is the process's own.

    Not of the library: it has windows only, and this is asked for every frame (0.3 µs instead of 10).
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> int | None:
        """None, or how many milliseconds until there is a token."""
        now = time.monotonic()
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1:
            self._buckets[key] = (left, now)
            return max(20, int((1 - left) / self._rate * 1000))
        if len(self._buckets) > _KEYS_MAX:
            self._buckets = {k: v for k, v in self._buckets.items() if now - v[1] < self._burst / self._rate}
        self._buckets[key] = (left - 1, now)
        return None


class UserLimits:
    def __init__(self, settings: LimitSettings) -> None:
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = TokenBuckets(settings.requests_per_s, settings.requests_per_s * BURST_S)
        self._were_rejected: set[str] = set()
        self._rejections = limits.RateLimitItemPerMinute(settings.rejections_per_min, 1, "rejections")
        self._chats = limits.RateLimitItemPerHour(settings.chats_per_h, 1, "chats")
        self._members = limits.RateLimitItemPerHour(settings.members_per_h, 1, "members")
        self._names = limits.RateLimitItemPerMinute(settings.failures_per_name, 15, "names")
        self._addresses = limits.RateLimitItemPerMinute(settings.failures_per_address, 15, "addresses")

    def _hit(self, item: limits.RateLimitItem, key: str, cost: int = 1) -> int | None:
        return None if self._window.hit(item, key, cost=cost) else self._wait_ms(item, key)

    def _test(self, item: limits.RateLimitItem, key: str) -> int | None:
        return None if self._window.test(item, key) else self._wait_ms(item, key)

    def _wait_ms(self, item: limits.RateLimitItem, key: str) -> int:
        reset = self._window.get_window_stats(item, key).reset_time
        return max(100, int((reset - time.time()) * 1000))

    def request(self, user_id: str) -> int | None:
        return self._requests.take(user_id)

    def rejected(self, user_id: str) -> None:
        if len(self._were_rejected) > _KEYS_MAX:
            self._were_rejected.clear()
        self._were_rejected.add(user_id)
        self._hit(self._rejections, user_id)

    def command(self, user_id: str, new_chats: int, new_members: int) -> int | None:
        wait_ms = self._test(self._rejections, user_id) if user_id in self._were_rejected else None
        if wait_ms is None and new_chats:
            wait_ms = self._hit(self._chats, user_id, new_chats)
        if wait_ms is None and new_members:
            wait_ms = self._hit(self._members, user_id, new_members)
        return wait_ms

    def blocked(self, username: str, address: str) -> int | None:
        for item, key in ((self._names, username), (self._addresses, address)):
            wait_ms = self._test(item, key)
            if wait_ms is not None:
                return max(1, wait_ms // 1000)
        return None

    def failed(self, username: str, address: str) -> None:
        self._hit(self._names, username)
        self._hit(self._addresses, address)
