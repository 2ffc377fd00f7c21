"""A budget of work: what one client may have done for it, in units that its door counts."""

from __future__ import annotations


class Budget:
    """`rate` units a second flow in, up to `burst`. Work is taken when it comes, also where the budget doesn't cover it:
    then there is a debt, which is paid back by waiting. Times are monotonic seconds."""

    def __init__(self, rate: float, burst: float, now_s: float) -> None:
        self.rate, self.burst = rate, burst
        self._left, self._at = burst, now_s

    def take(self, units: float, now_s: float) -> float:
        """Seconds to wait before more is taken: 0 where the budget covers it."""
        self._left = min(self.burst, self._left + (now_s - self._at) * self.rate) - units
        self._at = now_s
        return max(0.0, -self._left / self.rate)
