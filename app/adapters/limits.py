"""Limits of what one user may do, counted in the process by the `limits` library's windows."""

from __future__ import annotations

import time
from dataclasses import dataclass

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Requests come as bursts of ten seconds' worth: 50 a second are 500 in 10 s."""

    requests_per_s: int = 50
    rejections_per_min: int = 100
    chats_per_h: int = 100
    members_per_h: int = 10_000
    failures_per_name: int = 10
    failures_per_address: int = 100


class UserLimits:
    def __init__(self, settings: LimitSettings) -> None:
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._requests = limits.RateLimitItemPerSecond(settings.requests_per_s * 10, 10, "requests")
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
        return self._hit(self._requests, user_id)

    def rejected(self, user_id: str) -> None:
        self._hit(self._rejections, user_id)

    def command(self, user_id: str, new_chats: int, new_members: int) -> int | None:
        wait_ms = self._test(self._rejections, user_id)
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
