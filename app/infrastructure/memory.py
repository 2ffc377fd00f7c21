"""Memory that a burst needed goes back to the machine."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1  # mallopt(3)
_KEPT_BYTES = 1024 * 1024


def keep_little() -> None:
    """The allocator keeps at most so much behind what is used, of each thread. glibc's own measure grows with what was
    once freed in one piece, up to 64 MiB a thread. Other allocators are left as they are."""
    try:
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    except (OSError, AttributeError):
        return
