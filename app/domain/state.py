"""What a batch of commands is decided against: facts read under the shard's lock, changed by the fold as it goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.domain.chat import Chat, Member, Person
from app.domain.commands import Command
from app.domain.errors import Code
from app.domain.events import Event
from app.domain.message import Message, Reaction, Reply

Pair = tuple[str, str]
Reactions = dict[str, dict[str, int]]
"""emoji → user id → seq of the event that added it, both oldest first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, for ever: a seq (where it has one), or nothing to change, or a refusal with its code."""

    type: str
    seq: int | None = None
    code: Code | None = None
    reason: str = ""
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """repeat: this id had been decided before; nothing was done again."""

    command: Command
    outcome: Outcome
    repeat: bool = False


@dataclass(slots=True)
class State:
    """Keys are (chat id, other id). A person who is known not to exist is absent from `people`."""

    now: datetime
    chats: dict[str, Chat] = field(default_factory=dict)
    members: dict[Pair, Member] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    bans: set[Pair] = field(default_factory=set)
    people: dict[str, Person] = field(default_factory=dict)
    messages: dict[Pair, Message] = field(default_factory=dict)
    reactions: dict[Pair, Reactions] = field(default_factory=dict)
    replies: dict[Pair, Reply] = field(default_factory=dict)
    known: dict[tuple[str, str, str], Outcome] = field(default_factory=dict)
    created_members: dict[str, tuple[Member, ...]] = field(default_factory=dict)
    changes: Changes = field(default_factory=lambda: Changes())

    def message(self, key: Pair) -> Message | None:
        """With its reactions as they are at this point of the fold."""
        return self.messages.get(key)

    def shown_reactions(self, key: Pair, shown: int) -> tuple[Reaction, ...]:
        return tuple(
            Reaction(emoji, len(users), tuple(users)[:shown]) for emoji, users in self.reactions.get(key, {}).items()
        )


@dataclass(slots=True)
class Changes:
    """Which rows a batch made or touched; their values are the state's after the fold."""

    new_chats: set[str] = field(default_factory=set)
    chats: set[str] = field(default_factory=set)
    members: set[Pair] = field(default_factory=set)
    bans: dict[Pair, str] = field(default_factory=dict)
    """(chat, user) → who banned, or lifted it."""
    new_messages: list[Pair] = field(default_factory=list)
    messages: set[Pair] = field(default_factory=set)
    reactions: set[tuple[str, str, str, str]] = field(default_factory=set)
    new_replies: list[Pair] = field(default_factory=list)
    replies: set[Pair] = field(default_factory=set)
    sent: dict[Pair, int] = field(default_factory=dict)
    """(chat, sender) → the newest seq that this person wrote: it moves their read mark."""
    traces: list[Result] = field(default_factory=list)


@dataclass(slots=True)
class Decided:
    """results: one for each command, in order. events: what became durable, in seq order within each chat."""

    state: State
    results: list[Result]
    events: list[Event]
