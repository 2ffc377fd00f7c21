"""The store of the one writer path, and the reads that delivering depends on: always the primary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from app.application.ports.bus import DeadLetter
from app.domain.command import Command
from app.domain.events import Event
from app.domain.state import Decided, Outcome, State


class LogTransaction(Protocol):
    async def read(self, commands: Sequence[Command]) -> State:
        """The facts that these commands' rules look at (`decide.needs_of`), read after the shards' locks were taken, as
        the last commit of each shard left them."""
        ...

    async def write(self, decided: Decided) -> None:
        """Rows of events, heads, traces, and what the poll finds. All or nothing with the transaction, at most once in
        it. An id that is known already, or a seq that is taken, raises and leaves nothing."""
        ...


class CommandLog(Protocol):
    def transaction(self, shards: Sequence[int]) -> AbstractAsyncContextManager[LogTransaction]:
        """One transaction holding these shards' locks, taken in order of id, committed on leaving without an error.
        Raises Transient, DeadlineMissed; where it raised on leaving, it may have been committed."""
        ...

    def now(self) -> datetime:
        """The store's time as far as it was heard, cut to milliseconds: at which what is remembered is decided on."""
        ...

    async def append(self, shards: Sequence[int], decided: Decided, heads: Mapping[str, int]) -> bool:
        """Write new messages alone (`Decided.new_messages_alone`), decided on remembered facts, in a transaction of its
        own that holds these shards' locks. heads: of each of its chats, as it was remembered. False, and nothing is
        written, where a head is elsewhere, an id is known, or the time is another by more than a second. Raises Transient,
        DeadlineMissed; where it raised, it may have been committed."""
        ...

    async def tries(self, commands: Sequence[Command]) -> list[int]:
        """How often a try of each was noted. Raises Transient."""
        ...

    async def note_try(self, commands: Sequence[Command]) -> None:
        """One try more of each is about to be made. Own transaction. Raises Transient."""
        ...

    async def unknown_for_s(self, commands: Sequence[Command]) -> list[float]:
        """Of each, seconds since any worker first met it without knowing its action, by the store's clock; 0 for the
        first to meet it, infinity where its outcome is known already. Own transaction. Raises Transient."""
        ...

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what was ours and can't be read for a week, 64 KiB of each; one that is kept already stays. Own transaction.
        Raises Transient."""
        ...

    async def answers(self) -> bool:
        """Whether the store does small things in 2 s. Never raises."""
        ...

    async def one_form_of_emoji(self) -> None:
        """Of reactions that older versions wrote: the form that they have now. Can be broken off, and begun by several
        at once."""
        ...

    async def prune(self) -> None:
        """Forget refusals and no-ops after 24 h, dead letters after a week, and what the poll no longer needs. Raises Transient."""
        ...


class WordIndex(Protocol):
    """What search is asked by: the terms of messages (`domain.text.terms`). Each raises Transient."""

    async def follow(self) -> bool:
        """Index some of what was committed since, then of what was there before. False: nothing waits, or another process
        is at it. What one call does is whole or not at all; any process may make the next."""
        ...

    async def rebuild(self) -> None:
        """Have all indexed anew; what is in the index stays until then."""
        ...


class Joined(NamedTuple):
    """seq: of the event by which somebody came. head: the chat's. sees_from: the first seq that they see; 0: all."""

    seq: int
    head: int
    sees_from: int = 0


class OpenReply(NamedTuple):
    """claimed: somebody writes it."""

    chat_id: str
    message_id: str
    seq: int
    claimed: bool


class Timeline(Protocol):
    """Reads of the log that delivering depends on: always the primary, never behind a commit that was announced.
    Each raises Transient."""

    async def events(self, chat_id: str, after: int, limit: int) -> list[Event]:
        """At most `limit` events with seq > after, oldest first, contiguous, messages as they are now. An event of a type
        that this version doesn't know has an Opaque payload."""
        ...

    async def joined(self, user_id: str, chat_ids: Sequence[str] | None) -> dict[str, Joined]:
        """By chat id, of the chats that the user is in; all of them for None."""
        ...

    async def removed_after(self, user_id: str, chat_id: str, after: int) -> bool:
        """Whether this user was removed from the chat by an event with seq > after."""
        ...

    async def open_replies(self, chat_ids: Sequence[str]) -> list[OpenReply]:
        """All replies of these chats that are not finished, in no order."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    chat_id: str
    actor_id: str
    id: str
    outcome: Outcome


@dataclass(slots=True)
class Healing:
    """What the poll found since the last one, each thing once."""

    epoch: str
    now: datetime
    too_late: bool
    heads: dict[str, int] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)


class Heal(Protocol):
    """Each raises Transient."""

    async def epoch(self) -> str:
        """Names the database's life: another value after a restore or a promotion."""
        ...

    async def poll(self) -> Healing | None:
        """What was committed since the last call, each row exactly once; None where nothing can be missed."""
        ...
