"""What a batch of commands is decided against: facts read under the shard's lock, or remembered; changed by the fold as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from app.domain.command import Command
from app.domain.events import Event
from app.domain.value import value
from app.domain.values import REACTION_USERS_SHOWN, Assistant, Chat, ChatKind, Member, Message, Person, Reaction, Reply

Pair = tuple[str, str]
Reactions = dict[str, dict[str, int]]
"""emoji → user id → seq of the event that added it, both oldest first."""


@dataclass(slots=True)
class Needs:
    """The facts that a batch's rules look at; the store reads them. Keys are (chat id, other id)."""

    chats: dict[str, None] = field(default_factory=dict)
    members: dict[Pair, None] = field(default_factory=dict)
    people: dict[str, None] = field(default_factory=dict)
    bans: dict[Pair, None] = field(default_factory=dict)
    consents: dict[Pair, None] = field(default_factory=dict)
    """(who adds, who is added)."""
    refusals: dict[Pair, None] = field(default_factory=dict)
    """(chat, user)."""
    owners: dict[str, None] = field(default_factory=dict)
    """Chats whose owners are counted."""
    askers: dict[Pair, bool] = field(default_factory=dict)
    """(chat, user) → whether a group's assistant may be called: whose open questions are counted."""
    messages: dict[Pair, None] = field(default_factory=dict)
    replies: dict[Pair, None] = field(default_factory=dict)
    """By the reply's message or by the question's."""
    pins: dict[str, None] = field(default_factory=dict)
    """Chats of which all pins are wanted."""
    named: dict[Pair, None] = field(default_factory=dict)
    """(chat, name) that a message calls: an assistant's, perhaps."""
    assistants: dict[Pair, None] = field(default_factory=dict)
    """(chat, user) that somebody names as an assistant."""
    floors: dict[str, None] = field(default_factory=dict)
    """Chats of which is wanted from where on all who are in them see them."""
    answerers: dict[Pair, None] = field(default_factory=dict)
    """(chat, message) of replies whose assistant is asked once more."""
    operators: dict[str, None] = field(default_factory=dict)
    """Users of whom is wanted whether they are operators."""
    rosters: dict[str, None] = field(default_factory=dict)
    """Chats of which all members are wanted."""

    def add(self, command: Command) -> None:
        self.chats[command.chat_id] = None
        self.members[(command.chat_id, command.actor_id)] = None
        command.action.needs(self, command.chat_id, command.actor_id)

    def of_members_alone(self) -> bool:
        """Whether nothing is wanted but chats, members, and perhaps whose questions are counted."""
        return not any(getattr(self, kind) for kind in _OTHER_NEEDS)

    def counted_askers(self, chats: Mapping[str, Chat]) -> set[str]:
        """The users whose open questions are counted, in these chats as they are."""
        return {
            user_id
            for (chat_id, user_id), called in self.askers.items()
            if called or (chat := chats.get(chat_id)) is None or chat.kind == ChatKind.ASSISTANT
        }


_OTHER_NEEDS = tuple({f.name for f in fields(Needs)} - {"chats", "members", "askers"})


@value(frozen=True, slots=True)
class Outcome:
    """How a command ended, for ever: a seq (where it has one), or nothing to change, or a refusal with its code.

    type: the command's. code: one of `Code`, or a newer version's, as it was stored.
    """

    type: str
    seq: int | None = None
    code: str | None = None
    reason: str = ""
    policies: tuple[str, ...] = ()


@value(frozen=True, slots=True)
class Result:
    """repeat: this id had been decided before; nothing was done again."""

    command: Command
    outcome: Outcome
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """What somebody who is added lets others do. added_by: their own choice, "" for none. shares: the two are in a chat
    together. operator: who adds them is one. strangers: how often those who shared no chat added them, within the hour."""

    added_by: str = ""
    shares: bool = False
    operator: bool = False
    strangers: int = 0


@dataclass(frozen=True, slots=True)
class Spent:
    """Answers that somebody asked for this hour, and today (UTC), however they ended; tokens that those of today took, or may
    take."""

    this_hour: int = 0
    today: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Spoken:
    """An assistant's answers in one chat this hour, and how many of them nobody asked for."""

    answers: int = 0
    by_itself: int = 0


@dataclass(slots=True)
class State:
    """Keys are (chat id, other id). A person who is known not to exist is absent from `people`."""

    now: datetime
    chats: dict[str, Chat] = field(default_factory=dict)
    members: dict[Pair, Member] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    bans: set[Pair] = field(default_factory=set)
    ban_ends: dict[Pair, datetime] = field(default_factory=dict)
    """Of those that end by themselves."""
    consents: dict[Pair, Consent] = field(default_factory=dict)
    refusals: set[Pair] = field(default_factory=set)
    people: dict[str, Person] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    """Of the people."""
    open_questions: dict[str, int] = field(default_factory=dict)
    """user id → how many replies that they asked for are not finished."""
    messages: dict[Pair, Message] = field(default_factory=dict)
    reactions: dict[Pair, Reactions] = field(default_factory=dict)
    replies: dict[Pair, Reply] = field(default_factory=dict)
    pins: dict[str, dict[str, int]] = field(default_factory=dict)
    """chat id → message id → seq of the event that pinned it."""
    operators: set[str] = field(default_factory=set)
    asked: dict[str, Spent] = field(default_factory=dict)
    """user id → what they asked for."""
    quotas: dict[str, dict[str, int]] = field(default_factory=dict)
    """user id → their own quotas by name (`assistants.QUOTAS`), where they have any; 0 for none."""
    assistants: dict[str, Assistant] = field(default_factory=dict)
    """By user id: of chats with one of their own, and of those that are named or asked."""
    spoken: dict[Pair, Spoken] = field(default_factory=dict)
    """(chat, assistant) → what was asked of it there this hour; of members with a budget, or that speak by themselves."""
    floors: dict[str, int] = field(default_factory=dict)
    """chat id → the first seq that all members see, where that isn't all."""
    newest: dict[str, str] = field(default_factory=dict)
    """Of each chat with an assistant of its own that has messages: the newest one."""
    queues: dict[str, list[str]] = field(default_factory=dict)
    """Of each chat with an assistant of its own that the batch looks at: its unfinished replies, in the order of asking."""
    known: dict[tuple[str, str, str], Outcome] = field(default_factory=dict)
    changes: Changes = field(default_factory=lambda: Changes())

    def shown_reactions(self, key: Pair) -> tuple[Reaction, ...]:
        return tuple(
            Reaction(emoji, len(users), tuple(users)[:REACTION_USERS_SHOWN])
            for emoji, users in self.reactions.get(key, {}).items()
        )


@dataclass(frozen=True, slots=True)
class Silence:
    """An assistant that was called, and says nothing: why, as a code. user_id: who is told."""

    chat_id: str
    message_id: str
    assistant_id: str
    user_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Audited:
    """What an operator did, to be kept: act, on whom or what, and why."""

    actor_id: str
    act: str
    target_id: str
    details: dict[str, Any]


@dataclass(slots=True)
class Changes:
    """Which rows a batch made or touched; their values are the state's after the fold."""

    new_chats: set[str] = field(default_factory=set)
    chats: set[str] = field(default_factory=set)
    """Those with a new event."""
    whole_chats: set[str] = field(default_factory=set)
    """Those of which more than head and time changed."""
    members: set[Pair] = field(default_factory=set)
    stranger_adds: dict[Pair, int] = field(default_factory=dict)
    """(chat, user) → seq of the event by which somebody brought them in who shared no chat with them."""
    bans: dict[Pair, str] = field(default_factory=dict)
    """(chat, user) → who banned, or lifted it."""
    new_messages: list[Pair] = field(default_factory=list)
    messages: set[Pair] = field(default_factory=set)
    reactions: set[tuple[str, str, str, str]] = field(default_factory=set)
    new_replies: list[Pair] = field(default_factory=list)
    replies: set[Pair] = field(default_factory=set)
    pins: set[Pair] = field(default_factory=set)
    read: dict[Pair, int] = field(default_factory=dict)
    """(chat, user) → the newest seq that this person wrote, or came by: it moves their read mark."""
    traces: list[Result] = field(default_factory=list)
    audit: list[Audited] = field(default_factory=list)
    queued: dict[Pair, int] = field(default_factory=dict)
    """Replies that moved in their chat's queue → how many are before them now."""
    begins: set[str] = field(default_factory=set)
    """New messages that begin a line where another would go on."""
    unsaid: set[Pair] = field(default_factory=set)
    """Replies whose remarks are erased."""
    silences: list[Silence] = field(default_factory=list)
    """Of no row: they are told, and may be lost."""

    def new_messages_alone(self) -> bool:
        """Whether it is new messages, and what each brings along: the chat's head, and its writer's mark."""
        return bool(self.new_messages) and not any(getattr(self, kind) for kind in _OTHER_CHANGES)


_OTHER_CHANGES = tuple({f.name for f in fields(Changes)} - {"chats", "new_messages", "read"})


@dataclass(slots=True)
class Decided:
    """results: one for each command, in order. events: what became durable, in seq order within each chat."""

    state: State
    results: list[Result]
    events: list[Event]

    def new_messages_alone(self) -> bool:
        """Whether each command was, for the first time, a message that stands."""
        return len(self.events) == len(self.results) and self.state.changes.new_messages_alone()
