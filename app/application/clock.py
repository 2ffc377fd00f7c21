"""The process's clock, for the shell around the pure core."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, cut to milliseconds: what is shown is what is compared."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
