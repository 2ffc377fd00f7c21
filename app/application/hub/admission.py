"""How much is taken on at once: what is under way is bounded by what gets done, so that who is accepted hears soon, and who
is one too many is told before anything of theirs is on its way."""

from __future__ import annotations

from collections.abc import Callable

AHEAD_S = 0.4
"""Of what gets done, so much may be under way: by Little's law, how long it then takes."""
ALWAYS = 1_000
"""Commands that may be under way whatever gets done."""
_SLICE_S = 0.25
_FADES = 0.9
_STANDS_STILL_S = 1.0
_BLIND_S = 5.0


class Admission:
    """clock: monotonic seconds. Of one process: each takes on by what it sees done of its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._per_s = 0.0
        self._ended, self._slice_began = 0, clock()
        self._ended_at = clock()
        self._blind_until = 0.0

    def blind(self) -> None:
        """Ends come late, since they weren't told and had to be looked up: they say nothing of how much is too much."""
        self._blind_until = self._clock() + _BLIND_S

    def ended(self) -> None:
        """One more got done."""
        self._ended += 1
        self._ended_at = now = self._clock()
        if (took := now - self._slice_began) >= _SLICE_S:
            self._per_s = max(self._ended / took, self._per_s * _FADES)
            self._ended, self._slice_began = 0, now

    def takes(self, under_way: int) -> bool:
        """Whether one more is taken on. Where nothing gets done at all, it isn't too much: something stands still, and what
        comes is safe in the broker until that is over."""
        if under_way < max(ALWAYS, AHEAD_S * self._per_s):
            return True
        now = self._clock()
        return now - self._ended_at > _STANDS_STILL_S or now < self._blind_until
