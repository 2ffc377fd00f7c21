"""Letters to people."""

from __future__ import annotations

from typing import Protocol


class Mailer(Protocol):
    async def send(self, to: str, subject: str, text: str) -> None:
        """Handed over to a server that takes it on. Raises Unavailable where none does."""
        ...
