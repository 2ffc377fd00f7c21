"""The frames that the service sends on a socket, as types: what AsyncAPI publishes, and what tests hold each frame against.

Requests of clients stand in wire.py; durable events are frames too.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, get_args

from typing_extensions import TypedDict, get_type_hints

from app.adapters.wire import ChatJson, MemberJson, MessageJson, SharedChatJson, UserJson

Code = Literal[
    "bad_json", "unknown_type", "invalid", "empty", "too_large", "unauthenticated", "not_found", "not_allowed", "muted",
    "banned", "archived", "conflict", "rate_limited", "quota_exceeded", "unavailable", "outcome_unknown",
]  # fmt: skip


class LimitsJson(TypedDict):
    body_max: int
    frame_max: int
    group_members_max: int
    sockets_per_user: int


class Welcome(TypedDict):
    """The first frame. chats: the 200 latest and all named in resume; live events begin at their head."""

    type: Literal["welcome"]
    session_id: str
    user: UserJson
    epoch: str
    heartbeat_s: int
    limits: LimitsJson
    chats: list[ChatJson]
    chats_more: bool


class Synced(TypedDict):
    """All missed events of a named chat were given; live goes on."""

    type: Literal["synced"]
    ref: NotRequired[str]
    chat_id: str
    head: int


class Reset(TypedDict):
    """Load the chat back from head by REST; live goes on at head + 1."""

    type: Literal["reset"]
    ref: NotRequired[str]
    chat_id: str
    head: int
    code: Literal["too_far", "ahead", "epoch", "rejoined"]


class Gone(TypedDict):
    """Not a member, or no such chat: drop it."""

    type: Literal["gone"]
    ref: NotRequired[str]
    chat_id: str


class Accepted(TypedDict):
    """Safe in the broker: it will be committed or rejected, whatever crashes."""

    type: Literal["accepted"]
    ref: str
    client_message_id: NotRequired[str]
    command_id: NotRequired[str]


class Committed(TypedDict):
    """Done without a new event: a repeat, or nothing to change. seq: of the first result."""

    type: Literal["committed"]
    ref: NotRequired[str]
    chat_id: str
    client_message_id: NotRequired[str]
    command_id: NotRequired[str]
    seq: NotRequired[int]


class Rejected(TypedDict):
    """The rules refuse it, for ever: a new try takes a new id. policies: which decided."""

    type: Literal["rejected"]
    ref: NotRequired[str]
    chat_id: str
    client_message_id: NotRequired[str]
    command_id: NotRequired[str]
    code: Code
    reason: str
    policies: list[str]


class Ok(TypedDict):
    """Of read.mark: chat_id, read_seq, unread. Of auth.refresh: expires_in, in seconds."""

    type: Literal["ok"]
    ref: str
    chat_id: NotRequired[str]
    read_seq: NotRequired[int]
    unread: NotRequired[int]
    expires_in: NotRequired[int]


class Pong(TypedDict):
    type: Literal["pong"]
    ref: str


class Error(TypedDict):
    """Not accepted; the socket stays open, and the same id is good for another try."""

    type: Literal["error"]
    ref: NotRequired[str]
    code: Code
    reason: str
    retry_after_ms: NotRequired[int]


class ChatJoined(TypedDict):
    """You were added, or made it: the events after `after` follow."""

    type: Literal["chat.joined"]
    chat: ChatJson
    after: int


class Draining(TypedDict):
    """This process goes down: close 1012 follows; reconnect anywhere and resume."""

    type: Literal["draining"]
    reconnect_after_ms: int


class ReplyDelta(TypedDict):
    """A piece of an answer. attempt from 1; index from 0 without gaps; a higher attempt starts the text again."""

    type: Literal["reply.delta"]
    chat_id: str
    message_id: str
    attempt: int
    index: int
    text: str


class ReplySnapshot(TypedDict):
    """The text so far, for who comes late or lost a delta: deltas go on at next_index."""

    type: Literal["reply.snapshot"]
    chat_id: str
    message_id: str
    attempt: int
    next_index: int
    text: str


class TypingSignal(TypedDict):
    type: Literal["typing"]
    chat_id: str
    user_id: str
    expires_in_ms: int


class ReadMarked(TypedDict):
    type: Literal["read.marked"]
    chat_id: str
    user_id: str
    read_seq: int


class AuthExpiring(TypedDict):
    """The token ends in so many seconds: send auth.refresh."""

    type: Literal["auth.expiring"]
    expires_in: int


class _Event(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str
    command_id: NotRequired[str]


class MessageCreated(_Event):
    type: Literal["message.created"]
    message: MessageJson


class MessageEdited(_Event):
    type: Literal["message.edited"]
    message: MessageJson


class MessageDeleted(_Event):
    """message: the tombstone."""

    type: Literal["message.deleted"]
    message: MessageJson


class MessageCompleted(_Event):
    """An answer's one end: complete, stopped or failed."""

    type: Literal["message.completed"]
    message: MessageJson


class ReactionAdded(_Event):
    type: Literal["reaction.added"]
    message_id: str
    emoji: str
    user_id: str


class ReactionRemoved(_Event):
    type: Literal["reaction.removed"]
    message_id: str
    emoji: str
    user_id: str


class ChatCreated(_Event):
    type: Literal["chat.created"]
    chat: SharedChatJson
    members: list[MemberJson]


class ChatUpdated(_Event):
    type: Literal["chat.updated"]
    chat: SharedChatJson


class MemberAdded(_Event):
    type: Literal["member.added"]
    member: MemberJson


class MemberUpdated(_Event):
    type: Literal["member.updated"]
    member: MemberJson


class MemberRemoved(_Event):
    """The one that names you is the last frame of that chat."""

    type: Literal["member.removed"]
    user_id: str
    reason: Literal["left", "removed", "banned"]


class MemberUnbanned(_Event):
    type: Literal["member.unbanned"]
    user_id: str


EVENTS: tuple[Any, ...] = (
    MessageCreated, MessageEdited, MessageDeleted, MessageCompleted, ReactionAdded, ReactionRemoved, ChatCreated,
    ChatUpdated, MemberAdded, MemberUpdated, MemberRemoved, MemberUnbanned,
)  # fmt: skip
SIGNALS: tuple[Any, ...] = (ReplyDelta, ReplySnapshot, TypingSignal, ReadMarked, AuthExpiring)
ANSWERS: tuple[Any, ...] = (
    Welcome, Synced, Reset, Gone, Accepted, Committed, Rejected, Ok, Pong, Error, ChatJoined, Draining,
)  # fmt: skip


def type_of(frame: Any) -> str:
    """The frame's own word: "message.created" of MessageCreated."""
    return str(get_args(get_type_hints(frame)["type"])[0])
