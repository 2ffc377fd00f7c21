"""The nouns of a chat: frozen values, the same for every door, store and rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.ids import ASSISTANT_ID
from app.domain.value import value

REACTION_USERS_SHOWN = 20


class ChatKind(StrEnum):
    DIRECT = "direct"
    GROUP = "group"
    ASSISTANT = "assistant"


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    READER = "reader"


class UserKind(StrEnum):
    HUMAN = "human"
    ASSISTANT = "assistant"
    BOT = "bot"


class AddedBy(StrEnum):
    """Who may add somebody to a chat: anybody, those with whom they share one, nobody."""

    EVERYONE = "everyone"
    SHARED = "shared"
    NOBODY = "nobody"


class AskedBy(StrEnum):
    """Whom an assistant's policy lets ask it: anybody, operators, those who are listed."""

    EVERYONE = "everyone"
    OPERATORS = "operators"
    LISTED = "listed"


class Attention(StrEnum):
    """When an assistant that is a member of a group speaks: when it is called, also by itself, never."""

    ADDRESSED = "addressed"
    AMBIENT = "ambient"
    OFF = "off"


class Seen(StrEnum):
    """What of a group's past those see who join it."""

    ALL = "all"
    FROM_JOINING = "from_joining"


class MessageKind(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Status(StrEnum):
    PENDING = "pending"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


Attributes = tuple[tuple[str, bool | int | str], ...]
"""By name, in order."""


@value(frozen=True, slots=True)
class Person:
    """The public part of a profile; and attributes, for rules alone: what a host or an issuer says of them, where it was read."""

    id: str
    username: str
    display_name: str
    kind: str = UserKind.HUMAN
    attributes: Attributes = ()


@dataclass(frozen=True, slots=True)
class AssistantSettings:
    user_id: str
    model: str | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """An owner's word that a group's text may go to a provider outside."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Fork:
    """Where a chat's line goes on: behind this message of another chat, which is not copied."""

    chat_id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds in a chat. history: what those see who join from now on. local_only: no provider outside is asked. consent: of a group's owner; consent_asked: that the
    chat was told about it. forked_from: of a chat that goes on from another."""

    history: str = Seen.ALL
    local_only: bool = False
    consent: Agreed | None = None
    consent_asked: bool = False
    forked_from: Fork | None = None


NO_TERMS = Terms()


@value(frozen=True, slots=True)
class Chat:
    """What is the same for all members. head: seq of the newest durable event; 0 only before the first."""

    id: str
    kind: str
    title: str | None
    archived: bool
    created_at: datetime
    created_by: str
    head: int
    members_count: int
    last_at: datetime
    assistant: AssistantSettings | None = None
    terms: Terms = NO_TERMS

    def moved(self, head: int, at: datetime) -> Chat:
        """With one event more. As `replace`, at a third of its price: asked for every message."""
        return Chat(
            self.id,
            self.kind,
            self.title,
            self.archived,
            self.created_at,
            self.created_by,
            head,
            self.members_count,
            at,
            self.assistant,
            self.terms,
        )


@dataclass(frozen=True, slots=True)
class Assistant:
    """What rules look at of an assistant, as it is now. listed: who may ask it, where asked_by says so. deleted: it answers
    nobody any more. max_output_tokens: of one answer, where its version says so."""

    id: str
    username: str
    version: int
    provider: str
    asked_by: str = AskedBy.EVERYONE
    listed: frozenset[str] = frozenset()
    deleted: bool = False
    max_output_tokens: int | None = None


@value(frozen=True, slots=True)
class Member:
    """joined_seq: seq of the event that brought this person in, for the last time. attention, budget_per_hour: of an
    assistant; so many answers in this chat, None for no bound. sees_from: the first seq that this person sees; 0: all."""

    chat_id: str
    user: Person
    role: str
    muted_until: datetime | None
    joined_at: datetime
    joined_seq: int
    attention: str = Attention.ADDRESSED
    budget_per_hour: int | None = None
    sees_from: int = 0

    def sees(self, message: Message) -> bool:
        return message.seq >= self.sees_from


@dataclass(frozen=True, slots=True)
class Reaction:
    """count: how many people. user_ids: the first of them, oldest first."""

    emoji: str
    count: int
    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Via:
    """A host's key that says something as a user of its."""

    key_id: str
    name: str


@value(frozen=True, slots=True)
class Message:
    """via: whose key said it for its sender. queue: of an answer whose turn hasn't come, how many are before it; None of all else. parent_id: in a chat with an
    assistant of its own the message that this one continues; None where it begins a line, and of all else.
    """

    chat_id: str
    seq: int
    id: str
    sender_id: str
    kind: str
    client_message_id: str | None
    body: str | None
    reply_to: str | None
    status: str
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    reactions: tuple[Reaction, ...] = ()
    attempt: int | None = None
    regenerates: str | None = None
    failure: Failure | None = None
    usage: Usage | None = None
    queue: int | None = None
    parent_id: str | None = None
    via: Via | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The job behind an assistant's message; its row is the queue.

    attempt: 0 until first claimed. held: a worker's lease on it has not run out. trace: of the command that asked.
    asker_id: who asked for it, or had it written anew; of what an assistant says by itself, whom it answers. policies: ids
    of those that let them. assistant_id, version, provider: who writes it, as it was when it was asked. reserved_tokens: that
    it may take. remarks: how many were added while it waited. by_itself: nobody called.
    """

    chat_id: str
    message_id: str
    question_id: str
    attempt: int
    held: bool
    finished: bool = False
    stop_requested: bool = False
    trace: str = ""
    asker_id: str = ""
    policies: tuple[str, ...] = ()
    assistant_id: str = ASSISTANT_ID
    version: int = 1
    provider: str = ""
    reserved_tokens: int = 0
    remarks: int = 0
    by_itself: bool = False
