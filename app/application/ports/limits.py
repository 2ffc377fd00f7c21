"""How much one user, or one address, may do."""

from __future__ import annotations

from typing import Protocol


class Limiter(Protocol):
    """Counts what users do. Each call counts, and answers how many milliseconds to wait where it was too much."""

    def request(self, user_id: str) -> int | None: ...

    def remaining(self, user_id: str) -> tuple[int, int, int]:
        """(most at once, left of it, seconds until it is whole again)."""
        ...

    def rejected(self, user_id: str) -> None:
        """A command of this user was rejected."""
        ...

    def command(self, user_id: str, new_chats: int, new_members: int) -> int | None:
        """Also too much: a user whose commands were rejected again and again."""
        ...

    async def run(self) -> None:
        """Settle counts with other gateways, for ever. Ended by cancelling."""
        ...

    async def close(self) -> None: ...


class SignInLimiter(Protocol):
    """Counts sign-ins that failed, by name and by address."""

    def blocked(self, username: str, address: str) -> int | None:
        """Seconds to wait, where too many tries failed."""
        ...

    def failed(self, username: str, address: str) -> None: ...
