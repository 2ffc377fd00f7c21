"""What another service's export holds: a team's people, chats and messages, under the names that they have there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OriginPerson:
    """id: unique in that export, as all ids here."""

    id: str
    username: str
    display_name: str
    email: str | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class OriginChat:
    """kind: direct or group. members: (person's id, role)."""

    id: str
    kind: str
    title: str | None
    created_at: datetime
    members: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class OriginMessage:
    """reply_to: the id of a message of the same chat."""

    id: str
    sender_id: str
    body: str
    created_at: datetime
    reply_to: str | None = None


class BadExport(Exception):
    """It isn't what it should be; the message says where, and what is wrong."""


class Origin(Protocol):
    """Each raises BadExport. name: with which its ids begin here, so that two exports don't meet."""

    name: str

    def people(self) -> Iterable[OriginPerson]:
        """Each once."""
        ...

    def chats(self) -> Iterable[OriginChat]:
        """Each once, with who was in it at the end."""
        ...

    def messages(self, chat_id: str) -> Iterator[OriginMessage]:
        """Oldest first."""
        ...
