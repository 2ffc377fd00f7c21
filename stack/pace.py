"""How fast this machine is just now, so that a bound of a test means work done and not seconds gone by.

A thread spins for 20 ms of processor time each second and looks how long that took by the clock: on cores that are kept
busy by others, or slow to begin with their turn, it takes two, three or more times as long, and so may whatever waits.
On quiet cores the factor is 1 and a bound is what it says.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque

_SPIN_S, _EVERY_S, _REMEMBERED = 0.02, 1.0, 15
_MOST = 10.0  # beyond it something hangs


class _Pace(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="pace", daemon=True)
        self._seen: deque[float] = deque([_spin()], maxlen=_REMEMBERED)

    def run(self) -> None:
        while True:
            time.sleep(_EVERY_S)
            self._seen.append(_spin())

    def slowness(self) -> float:
        """≥ 1: the mean of the slower half of what was seen lately, at most 10."""
        slower = sorted(self._seen)[len(self._seen) // 2 :]
        return min(_MOST, max(1.0, sum(slower) / len(slower)))


def _spin() -> float:
    began, used = time.monotonic(), time.thread_time()
    while time.thread_time() - used < _SPIN_S:
        pass
    return (time.monotonic() - began) / _SPIN_S


_pace: _Pace | None = None
_making = threading.Lock()


def slowness() -> float:
    """How many times as long as on quiet cores work takes here now: 1 to 10."""
    global _pace
    with _making:
        if _pace is None:
            _pace = _Pace()
            _pace.start()
    return _pace.slowness()


def paced(seconds: float) -> float:
    """So many seconds of quiet cores, in seconds of now."""
    return seconds * slowness()


def within(seconds: float) -> asyncio.Timeout:
    """`asyncio.timeout` of so many seconds of quiet cores."""
    return asyncio.timeout(paced(seconds))
