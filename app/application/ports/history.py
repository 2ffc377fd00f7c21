"""What people read: chats, members, messages, search; and their read marks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.state import Outcome
from app.domain.text import Word
from app.domain.values import Chat, Member, Message, Person


@dataclass(frozen=True, slots=True)
class Membership:
    chat: Chat
    member: Member
    read_seq: int
    unread: int
    last_message: Message | None
    moved_at: datetime | None = None
    """By which chats are ordered: when it was last spoken in, or the member joined."""
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    messages: list[Message]
    has_more: bool


Place = tuple[datetime, str]
"""(created_at, id) of a message: what search is ordered by."""


@dataclass(frozen=True, slots=True)
class Search:
    """words: at least one. chat_id, sender_id: of these alone. since, until: of creation, inclusive and exclusive. before: the
    place of the last one seen."""

    words: tuple[Word, ...]
    chat_id: str | None = None
    sender_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: Place | None = None

    @property
    def terms(self) -> list[str]:
        """By which the index is asked."""
        return sorted({term for word in self.words for term in word.terms})


@dataclass(frozen=True, slots=True)
class Looked:
    """goes_on: down to where was looked, the place itself included; None where that was all there is."""

    messages: list[Message]
    goes_on: Place | None


class History(Protocol):
    """Reads for people, as rows are: who may read is the caller's affair. May be served by a replica, but for `chat_for`,
    `member`, `memberships`, `message`, `message_at`, `outcomes` and `mark_read`. Lists hold at most `limit` items; seqs and
    ids to go on from are exclusive. Each raises Transient."""

    def now(self) -> datetime:
        """The store's time as it was heard last, cut to milliseconds: what a mute or a ban is compared with."""
        ...

    @property
    def tells_heads(self) -> bool:
        """Whether `page_at` can tell; not, where a replica serves pages."""
        ...

    def one_view(self) -> AbstractAsyncContextManager[bool]:
        """All that this task reads within it, here and of the timeline, is of one moment; False where a replica serves
        lists, so that it can't be."""
        ...

    async def chat_for(self, chat_id: str, user_id: str) -> tuple[Chat | None, Member | None]:
        """The chat and this user's membership in it, on the primary: what the door's question is asked with."""
        ...

    async def memberships(
        self,
        user_id: str,
        *,
        archived: bool | None,
        before: tuple[datetime, str] | None,
        limit: int,
        unread_max: int,
        chat_ids: Sequence[str] | None = None,
        hidden: bool | None = None,
    ) -> list[Membership]:
        """The user's chats, latest message or joining first, of these ids where they are given. archived, hidden: None for both.
        before: (moved_at, chat id) of the last one seen. unread_max: unread messages are counted up to it."""
        ...

    async def called(self, user_id: str, query: str) -> list[str]:
        """Ids of the user's chats where a word of the title, or the username or display name of somebody else in it, begins
        so, as texts are compared (`folded`)."""
        ...

    async def members(self, chat_id: str, after: str | None, limit: int) -> list[Member]:
        """By user id."""
        ...

    async def member(self, chat_id: str, user_id: str) -> Member | None:
        """None for who isn't in it now, or where there is no such chat."""
        ...

    async def left_at(self, chat_id: str, user_id: str) -> datetime | None:
        """When this user last left the chat, or was removed; None where that never happened."""
        ...

    async def refuse(self, chat_id: str, user_id: str, refused: bool) -> None:
        """Keep that this user doesn't want to be added to the chat, or that they don't mind any more."""
        ...

    async def hide(self, chat_id: str, user_id: str, seq: int | None) -> None:
        """From this user's list, until it is spoken in again behind this seq; None shows it."""
        ...

    async def bans(self, chat_id: str, after: str | None, limit: int) -> list[Person]:
        """By user id."""
        ...

    async def messages(self, chat_id: str, before: int | None, after: int | None, limit: int, since: int = 0) -> Page:
        """Of this seq on. after: oldest first; before, or neither: newest first. Not both. Deleted ones are there as tombstones."""
        ...

    async def page_at(self, chat_id: str, head: int, before: int | None, after: int | None, limit: int) -> Page | None:
        """The same, if the chat's head is this one at the moment of the page: then whoever might read the chat at that head
        may read the page, since each change of a chat moves its head. None where it isn't."""
        ...

    async def message(self, chat_id: str, message_id: str) -> Message | None:
        """As it is now, a deleted one as a tombstone; None where this chat has no such message."""
        ...

    async def anywhere(self, message_id: str) -> Message | None:
        """The message of whatever chat, once the index of words knows of it."""
        ...

    async def message_at(self, chat_id: str, seq: int) -> Message | None:
        """The message whose place it is; None where another event stands there."""
        ...

    async def pins(self, chat_id: str, before: int | None, limit: int, since: int = 0) -> list[tuple[int, Message]]:
        """(seq of the event that pinned it, the message), newest pin first; of messages of this seq on."""
        ...

    async def search(self, user_id: str, search: Search, limit: int) -> Looked:
        """Messages of this user's chats that the index holds all the terms of, newest first, by place; deleted ones never. A
        call's work is bounded: it may look at a part, and find nothing there. What the words themselves need, and whether
        they are still there, is the caller's to see."""
        ...

    async def outcomes(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Outcome]:
        """How commands ended, by (chat, actor, id); those that have not are not in it. One question for all."""
        ...

    async def mark_read(self, user_id: str, chat_id: str, seq: int, head: int, unread_max: int) -> tuple[int, int]:
        """(read_seq, unread, counted up to unread_max) after moving the mark forward, never beyond head."""
        ...
