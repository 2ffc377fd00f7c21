"""How the world fails, as far as it makes a difference to the core."""

from __future__ import annotations


class _Away(Exception):
    def __init__(self, *words: str, away_s: float = 0.0) -> None:
        """away_s: for how long it has been so."""
        super().__init__(*words)
        self.away_s = away_s


class Transient(_Away):
    """The world failed in a way that may pass: connection, lock, serialization, deadline. Nothing is known to be
    done, though a commit may have been. Retry in place."""


class DeadlineMissed(Transient):
    """It took longer than it may. Retried too, but a batch that misses again and again may be too large."""


class Unavailable(_Away):
    """Nothing was accepted; the caller may try again."""


class OutcomeUnknown(Exception):
    """It may or may not have been accepted; only the same id again is safe."""
