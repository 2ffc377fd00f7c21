"""How much one user, or one address, may do."""

from __future__ import annotations

from typing import Protocol

from app.application.ports.held import Held


class Limiter(Held, Protocol):
    """Counts what users do, in the process alone, so that nothing is awaited. Started, it settles its counts with other
    gateways each second."""

    def request(self, user_id: str) -> int | None:
        """Count one. None, or the milliseconds to wait where it was one too many; those are not counted."""
        ...

    def remaining(self, user_id: str) -> tuple[int, int, int]:
        """(most at once, left of it, seconds until it is whole again)."""
        ...

    def read(self, user_id: str) -> int | None:
        """Count a read. None, or the milliseconds to wait where those before it are not paid for; it isn't counted then."""
        ...

    def was_read(self, user_id: str, units: float) -> None:
        """Count what an answer gave, also beyond what is left: a debt."""
        ...

    def reads_left(self, user_id: str) -> tuple[int, int, int]:
        """As `remaining`, of reads."""
        ...

    def reads_debt_s(self, user_id: str) -> float:
        """Seconds until what was read beyond the budget is paid for; 0 where nothing is owed."""
        ...

    def rejected(self, user_id: str) -> None:
        """Count a command of this user that was rejected."""
        ...

    def command(self, user_id: str, new_chats: int, new_members: int) -> int | None:
        """Count one that makes so many chats and memberships. None, or the milliseconds to wait: for those, or because
        commands of this user were rejected again and again."""
        ...


class SignInLimiter(Protocol):
    """Counts sign-ins that failed within the last 15 minutes; never waits."""

    def blocked(self, username: str, address: str) -> int | None:
        """Seconds to wait, where too many tries of this name failed from this address, or of too many names from it."""
        ...

    def delay_s(self, username: str) -> float:
        """How long to hold an answer about this name back, right or wrong: grows with its failures from anywhere, up to
        30 s."""
        ...

    def failed(self, username: str, address: str) -> None:
        """Count one that failed."""
        ...
