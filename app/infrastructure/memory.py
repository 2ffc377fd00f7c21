"""Memory that a burst needed goes back to the machine."""

from __future__ import annotations

import asyncio
import ctypes

GIVEN_BACK_EACH_S = 30.0
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
    """Now and then also what is free between what is used: whole pages, wherever they lie. In a thread, without the
    interpreter's lock."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        await asyncio.Event().wait()
        return
    while True:
        await asyncio.sleep(GIVEN_BACK_EACH_S)
        await asyncio.to_thread(trim, 0)
