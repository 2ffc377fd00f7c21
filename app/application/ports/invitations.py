"""Invitations into the service, and into chats."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Invitation:
    """chat_id: None for one into the service. uses: how many may come by it; None for any number. used: how many did."""

    code: str
    chat_id: str | None
    made_by: str
    created_at: datetime
    expires_at: datetime | None
    uses: int | None
    used: int = 0


class Invitations(Protocol):
    """Each raises Transient. One that is over, used up, or whose maker is disabled is taken by nobody."""

    async def add(self, invitation: Invitation, most: int) -> Invitation | None:
        """With the time of its making. None where its maker has so many."""
        ...

    async def of(self, made_by: str | None, before: tuple[datetime, str] | None, limit: int) -> list[Invitation]:
        """Somebody's, or all; newest first, before that one (when it was made, its code); those that are used up or over too."""
        ...

    async def end(self, code: str, made_by: str | None) -> bool:
        """Whether there was one, of this maker where one is named."""
        ...

    async def take(self, code: str, user_id: str) -> tuple[Invitation, bool] | None:
        """This user comes by it. (the invitation, whether they hadn't come by it before: only then it counts.) None where it
        isn't good."""
        ...

    async def give_back(self, code: str, user_id: str) -> None:
        """They didn't come after all."""
        ...
