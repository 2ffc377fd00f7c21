"""Users and chats by what a host calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from app.application.ports.people import Account


@dataclass(frozen=True, slots=True)
class WantedUser:
    """A user as the host has them; None leaves a field as it is, or has it made."""

    external_id: str
    username: str | None = None
    display_name: str | None = None
    attributes: Mapping[str, Any] | None = None
    disabled: bool | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class PutUser:
    """account: as it is now; None where it couldn't be. code: why not. made: it is new. renamed: it has another name than
    before. ended: its sessions and keys that are over."""

    account: Account | None
    made: bool = False
    code: str | None = None
    reason: str = ""
    renamed: bool = False
    ended: tuple[str, ...] = ()


class External(Protocol):
    """Each raises Transient. What is done is written down as the actor's."""

    async def put_users(self, actor_id: str, wanted: Sequence[WantedUser]) -> list[PutUser]:
        """One after the other; in one transaction. One that is erased, or whose username is another's, is left as it is."""
        ...

    async def user(self, external_id: str) -> Account | None:
        """A disabled or erased one too."""
        ...

    async def ids_of(self, external_ids: Sequence[str]) -> dict[str, str]:
        """User ids of those that there are, and that are not erased."""
        ...

    async def external_ids(self, user_ids: Sequence[str]) -> dict[str, str]:
        """By user id, of those that have one."""
        ...

    async def erase(self, actor_id: str, user_id: str) -> list[str] | None:
        """The name and all that is theirs alone goes, what they said stays. Ids of the ended sessions and keys; None where they
        were erased before."""
        ...

    async def all_read(self, chat_id: str) -> None:
        """Nothing in it is new to who is in it now."""
        ...

    async def chat_id(self, external_id: str) -> str | None:
        """Which chat is called so."""
        ...

    async def call_chat(self, external_id: str, chat_id: str) -> str:
        """From now on it is called so; which chat is, where one was before."""
        ...
