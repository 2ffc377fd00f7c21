"""The process's clock, for the shell around the pure core."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, cut to milliseconds."""
    return cut(datetime.now(UTC))


def cut(at: datetime) -> datetime:
    """To milliseconds: what is shown is what is compared."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
