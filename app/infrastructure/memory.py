"""Memory that a burst needed goes back to the machine."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import time
from contextlib import suppress

GIVEN_BACK_EACH_S = 30.0
QUICK_S = 0.02
SELDOM = 10_000
"""A collection of 50 ms comes each eight minutes."""
_M_TRIM_THRESHOLD = -1  # mallopt(3)
_KEPT_BYTES = 1024 * 1024


def keep_little() -> None:
    """The allocator keeps at most so much behind what is used, of each thread. glibc's own measure grows with what was
    once freed in one piece, up to 64 MiB a thread. Other allocators are left as they are."""
    try:
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    except (OSError, AttributeError):
        return


async def give_back() -> None:
    """Now and then what nobody can reach any more, and what is free between what is used: whole pages, wherever they lie.

    Objects that name each other in a circle wait for the collector, which seldom comes by itself (`process.py`). A whole
    collection stops the loop for as long as it takes to look at each object: where that is more than QUICK_S, it comes
    the more seldom and only what is young is looked at meanwhile. Pages go in a thread, without the interpreter's lock.
    """
    trim = None
    with suppress(OSError, AttributeError):
        trim = ctypes.CDLL(None).malloc_trim
    whole_at = time.monotonic()
    while True:
        await asyncio.sleep(GIVEN_BACK_EACH_S)
        began = time.monotonic()
        if began < whole_at:
            gc.collect(1)
        else:
            gc.collect()
            took = time.monotonic() - began
            whole_at = began + (SELDOM * took if took > QUICK_S else 0)
        if trim is not None:
            await asyncio.to_thread(trim, 0)
