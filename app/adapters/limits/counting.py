"""Limits of what one user may do. Counted in the process, so that nothing is awaited for them; where several gateways
serve, `redis_shared` settles the counts between them each second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import limits
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from app.application.bounded import Bounded
from app.application.ports.held import NothingHeld

BURST_S = 10
NAME_FAILURES_FREE = 10
NAME_DELAY_MAX_S = 30.0
"""Beyond so many failures of a name, from wherever, its sign-ins take longer and longer."""
_KEYS_MAX = 100_000
_COUNTED_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """Requests may come in bursts of ten seconds' worth. Failures are of sign-ins, in 15 minutes: of a name from an
    address; and different names from an address."""

    requests_per_s: int
    rejections_per_min: int
    chats_per_h: int
    members_per_h: int
    reads_per_s: int = 100
    failures_per_pair: int = 10
    names_per_address: int = 100


class TokenBuckets:
    """A bucket for each key: `rate` a second flow in, up to `burst`. Time is the process's own.

    Not of the library: it has windows only, and this is asked for every frame (0.3 µs instead of 10).
    """

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = rate, burst
        self.taken: dict[str, float] = {}
        """What was taken since the last settling."""
        self._buckets: Bounded[str, tuple[float, float]] = Bounded(_KEYS_MAX)

    def left(self, key: str) -> float:
        left, at = self._buckets.get(key, (self.burst, 0.0))
        return min(self.burst, left + (time.monotonic() - at) * self.rate)

    def take(self, key: str) -> int | None:
        """None, or how many milliseconds until there is a token."""
        left = self.left(key)
        if left < 1:
            return max(20, int((1 - left) / self.rate * 1000))
        self._buckets[key] = (left - 1, time.monotonic())
        self._note(key, 1)
        return None

    def _note(self, key: str, units: float) -> None:
        if len(self.taken) < _KEYS_MAX:
            self.taken[key] = self.taken.get(key, 0.0) + units

    def spend(self, key: str, units: float) -> None:
        """Take them, whether they are there or not; the debt is one burst at most."""
        self._buckets[key] = (max(-self.burst, self.left(key) - units), time.monotonic())
        self._note(key, units)

    def remaining(self, key: str) -> tuple[int, int, int]:
        """(burst, left of it, seconds until it is whole again)."""
        left = max(0.0, self.left(key))
        return int(self.burst), int(left), int((self.burst - left) / self.rate) + 1

    def adopt(self, key: str, left: float) -> None:
        """What is left by the count of all gateways, before what was taken here since."""
        self._buckets[key] = (left - self.taken.get(key, 0.0), time.monotonic())


class Windows:
    """Counts in sliding windows, by the library. hits: what was counted since the last settling."""

    def __init__(self) -> None:
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())
        self.hits: dict[tuple[limits.RateLimitItem, str], int] = {}

    def hit(self, item: limits.RateLimitItem, key: str, cost: int = 1) -> int | None:
        """None, or how many milliseconds to wait."""
        if not self._window.hit(item, key, cost=cost):
            return self._wait_ms(item, key)
        if len(self.hits) < _KEYS_MAX:
            self.hits[item, key] = self.hits.get((item, key), 0) + cost
        return None

    def test(self, item: limits.RateLimitItem, key: str) -> int | None:
        return None if self._window.test(item, key) else self._wait_ms(item, key)

    def count(self, item: limits.RateLimitItem, key: str) -> int:
        """What was counted in the window."""
        return item.amount - self._window.get_window_stats(item, key).remaining

    def add(self, item: limits.RateLimitItem, key: str, cost: int) -> None:
        """What other gateways counted."""
        room = self._window.get_window_stats(item, key).remaining
        if cost > 0 and room > 0:
            self._window.hit(item, key, cost=min(cost, room))

    def _wait_ms(self, item: limits.RateLimitItem, key: str) -> int:
        reset = self._window.get_window_stats(item, key).reset_time
        return max(100, int((reset - time.time()) * 1000))


class UserLimits(NothingHeld):
    """Implements Limiter and SignInLimiter, where one process serves all."""

    def __init__(self, settings: LimitSettings) -> None:
        self.windows = Windows()
        self.reads = TokenBuckets(settings.reads_per_s, settings.reads_per_s * BURST_S)
        self.requests = TokenBuckets(settings.requests_per_s, settings.requests_per_s * BURST_S)
        self._were_rejected: Bounded[str, None] = Bounded(_KEYS_MAX)
        self._rejections = limits.RateLimitItemPerMinute(settings.rejections_per_min, 1, "rejections")
        self._chats = limits.RateLimitItemPerHour(settings.chats_per_h, 1, "chats")
        self._members = limits.RateLimitItemPerHour(settings.members_per_h, 1, "members")
        self._pairs = limits.RateLimitItemPerMinute(settings.failures_per_pair, 15, "pairs")
        self._names = limits.RateLimitItemPerMinute(_COUNTED_MAX, 15, "names")
        self._addresses = limits.RateLimitItemPerMinute(settings.names_per_address, 15, "addresses")

    def request(self, user_id: str) -> int | None:
        return self.requests.take(user_id)

    def remaining(self, user_id: str) -> tuple[int, int, int]:
        return self.requests.remaining(user_id)

    def read(self, user_id: str) -> int | None:
        return self.reads.take(user_id)

    def was_read(self, user_id: str, units: float) -> None:
        self.reads.spend(user_id, units)

    def reads_left(self, user_id: str) -> tuple[int, int, int]:
        return self.reads.remaining(user_id)

    def reads_debt_s(self, user_id: str) -> float:
        return max(0.0, -self.reads.left(user_id) / self.reads.rate)

    def rejected(self, user_id: str) -> None:
        self._were_rejected[user_id] = None
        self.windows.hit(self._rejections, user_id)

    def command(self, user_id: str, new_chats: int, new_members: int) -> int | None:
        wait_ms = self.windows.test(self._rejections, user_id) if user_id in self._were_rejected else None
        if wait_ms is None and new_chats:
            wait_ms = self.windows.hit(self._chats, user_id, new_chats)
        if wait_ms is None and new_members:
            wait_ms = self.windows.hit(self._members, user_id, new_members)
        return wait_ms

    def blocked(self, username: str, address: str) -> int | None:
        for item, key in ((self._pairs, _pair(username, address)), (self._addresses, address)):
            wait_ms = self.windows.test(item, key)
            if wait_ms is not None:
                return max(1, wait_ms // 1000)
        return None

    def delay_s(self, username: str) -> float:
        beyond = self.windows.count(self._names, username) - NAME_FAILURES_FREE
        return min(NAME_DELAY_MAX_S, 2.0 ** min(beyond, 10) / 2) if beyond >= 0 else 0.0

    def failed(self, username: str, address: str) -> None:
        pair = _pair(username, address)
        if self.windows.count(self._pairs, pair) == 0:
            self.windows.hit(self._addresses, address)  # one name more
        self.windows.hit(self._pairs, pair)
        self.windows.hit(self._names, username)


def _pair(username: str, address: str) -> str:
    return f"{username} {address}"
