"""What the service sends on a socket, as types. Made from its AsyncAPI document by `python -m stack.make_frames`."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict


class UserJson(TypedDict):
    """Oneself."""

    id: str
    username: str
    display_name: str
    kind: Literal["human", "assistant", "bot"]
    role: Literal["user", "operator"]
    email: str | None
    preferences: dict[str, Any]


class LimitsJson(TypedDict):
    body_max: int
    frame_max: int
    group_members_max: int
    sockets_per_user: int


class AssistantJson(TypedDict):
    user_id: str
    model: str | None
    instructions: str | None


class AgreedJson(TypedDict):
    by: str
    at: str


class ForkJson(TypedDict):
    chat_id: str
    seq: int


class ReactionJson(TypedDict):
    emoji: str
    count: int
    user_ids: list[str]


class FailureJson(TypedDict):
    code: str
    reason: str


class ViaJson(TypedDict):
    """The key of a host that says it for its sender."""

    key_id: str
    name: str


class UsageJson(TypedDict):
    prompt_tokens: int
    completion_tokens: int


class MessageJson(TypedDict):
    id: str
    chat_id: str
    seq: int
    sender_id: str | None
    kind: Literal["user", "assistant", "system"]
    client_message_id: str | None
    body: str | None
    reply_to: str | None
    status: Literal["pending", "complete", "stopped", "failed"]
    created_at: str
    edited_at: str | None
    deleted_at: str | None
    reactions: list[ReactionJson]
    attempt: NotRequired[int]
    regenerates: NotRequired[str]
    failure: NotRequired[FailureJson]
    via: NotRequired[ViaJson]
    usage: NotRequired[UsageJson]
    queue: NotRequired[int]
    parent_id: str | None


class ChatJson(TypedDict):
    """A chat as one of its members sees it."""

    id: str
    kind: Literal["direct", "group", "assistant"]
    title: str | None
    archived: bool
    created_at: str
    created_by: str
    head: int
    members_count: int
    assistant: NotRequired[AssistantJson]
    assistant_consent: NotRequired[AgreedJson | None]
    history: NotRequired[Literal["all", "from_joining"]]
    local_only: bool
    forked_from: NotRequired[ForkJson]
    my_role: Literal["owner", "admin", "member", "reader"]
    read_seq: int
    unread: int
    hidden: bool
    last_message: MessageJson | None


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
    code: Literal[
        "bad_json",
        "unknown_type",
        "invalid",
        "empty",
        "too_large",
        "unauthenticated",
        "not_found",
        "not_allowed",
        "muted",
        "banned",
        "archived",
        "conflict",
        "rate_limited",
        "quota_exceeded",
        "unavailable",
        "outcome_unknown",
    ]
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
    code: Literal[
        "bad_json",
        "unknown_type",
        "invalid",
        "empty",
        "too_large",
        "unauthenticated",
        "not_found",
        "not_allowed",
        "muted",
        "banned",
        "archived",
        "conflict",
        "rate_limited",
        "quota_exceeded",
        "unavailable",
        "outcome_unknown",
    ]
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


class SharedChatJson(TypedDict):
    """What is the same for all members: the chat as it stands in events. history, assistant_consent: of groups."""

    id: str
    kind: Literal["direct", "group", "assistant"]
    title: str | None
    archived: bool
    created_at: str
    created_by: str
    head: int
    members_count: int
    assistant: NotRequired[AssistantJson]
    assistant_consent: NotRequired[AgreedJson | None]
    history: NotRequired[Literal["all", "from_joining"]]
    local_only: bool
    forked_from: NotRequired[ForkJson]


class PersonJson(TypedDict):
    id: str
    username: str
    display_name: str
    kind: Literal["human", "assistant", "bot"]


class MemberJson(TypedDict):
    """attention, budget_per_hour: of an assistant: when it speaks, and how often an hour; null for no bound."""

    user: PersonJson
    role: Literal["owner", "admin", "member", "reader"]
    muted_until: str | None
    joined_at: str
    attention: NotRequired[Literal["addressed", "ambient", "off"]]
    budget_per_hour: NotRequired[int | None]


class ChatCreated(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["chat.created"]
    chat: SharedChatJson
    members: list[MemberJson]
    actor: NotRequired[PersonJson | None]


class ChatUpdated(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["chat.updated"]
    chat: SharedChatJson
    actor: NotRequired[PersonJson | None]


class MemberAdded(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["member.added"]
    member: MemberJson
    actor: NotRequired[PersonJson | None]


class MemberUpdated(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["member.updated"]
    member: MemberJson
    actor: NotRequired[PersonJson | None]


class MemberRemoved(TypedDict):
    """The one that names you is the last frame of that chat."""

    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["member.removed"]
    user_id: str
    reason: Literal["left", "removed", "banned"]
    actor: NotRequired[PersonJson | None]


class MemberUnbanned(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["member.unbanned"]
    user_id: str
    actor: NotRequired[PersonJson | None]


class MessageCreated(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["message.created"]
    message: MessageJson
    actor: NotRequired[PersonJson | None]


class MessageEdited(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["message.edited"]
    message: MessageJson
    actor: NotRequired[PersonJson | None]


class MessageDeleted(TypedDict):
    """message: the tombstone."""

    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["message.deleted"]
    message: MessageJson
    actor: NotRequired[PersonJson | None]


class ReactionAdded(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["reaction.added"]
    message_id: str
    emoji: str
    user_id: str
    actor: NotRequired[PersonJson | None]


class ReactionRemoved(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["reaction.removed"]
    message_id: str
    emoji: str
    user_id: str
    actor: NotRequired[PersonJson | None]


class MessagePinned(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["message.pinned"]
    message_id: str
    actor: NotRequired[PersonJson | None]


class MessageUnpinned(TypedDict):
    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["message.unpinned"]
    message_id: str
    actor: NotRequired[PersonJson | None]


class MessageCompleted(TypedDict):
    """An answer's one end: complete, stopped or failed."""

    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["message.completed"]
    message: MessageJson
    actor: NotRequired[PersonJson | None]


class ReplySteered(TypedDict):
    """A remark to an answer whose turn hasn't come. text: empty where the question or the answer is deleted."""

    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]
    type: Literal["reply.steered"]
    message_id: str
    text: str
    actor: NotRequired[PersonJson | None]


class PreferencesChanged(TypedDict):
    """To one's own sessions: the preferences as they are now, whole."""

    type: Literal["preferences.changed"]
    preferences: dict[str, Any]


class UserUpdated(TypedDict):
    """To everyone who shares a chat with them, and to their own sessions: apply it to what is shown of them."""

    type: Literal["user.updated"]
    user: PersonJson


class ChatHidden(TypedDict):
    """To one's own sessions. Hidden or not, a new message brings it back."""

    type: Literal["chat.hidden"]
    chat_id: str
    hidden: bool


class ReadMarked(TypedDict):
    type: Literal["read.marked"]
    chat_id: str
    user_id: str
    read_seq: int


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


class ReplyQueued(TypedDict):
    """An answer moved up in its chat's queue: so many are before it; at 0 its turn has come."""

    type: Literal["reply.queued"]
    chat_id: str
    message_id: str
    queue: int


class ReplyThinking(TypedDict):
    """The model thinks before it answers: so many characters by now, which are no part of the answer."""

    type: Literal["reply.thinking"]
    chat_id: str
    message_id: str
    attempt: int
    chars: int


class ReplyWaiting(TypedDict):
    """The model's provider can't answer just now, and is asked again; instead: its fallback, which is asked from now on."""

    type: Literal["reply.waiting"]
    chat_id: str
    message_id: str
    attempt: int
    code: Literal[
        "rate_limited", "unavailable", "timeout", "cut", "bad_answer", "quota", "unauthorized", "not_found", "empty"
    ]
    retry_in_ms: int
    instead: NotRequired[str]


class AssistantSilent(TypedDict):
    """To who called it, where it doesn't answer: the message stands."""

    type: Literal["assistant.silent"]
    chat_id: str
    message_id: str
    assistant_id: str
    code: Literal["banned", "muted", "not_allowed", "off", "quota_exceeded"]


class TypingSignal(TypedDict):
    type: Literal["typing"]
    chat_id: str
    user_id: str
    expires_in_ms: int


class AuthExpiring(TypedDict):
    """The token ends in so many seconds: send auth.refresh."""

    type: Literal["auth.expiring"]
    expires_in: int


class UnknownEvent(TypedDict):
    """An event of a newer version: advance past its seq."""

    type: str
    chat_id: str
    seq: int
    at: str
    actor_id: str


Event: TypeAlias = (
    ChatCreated
    | ChatUpdated
    | MemberAdded
    | MemberUpdated
    | MemberRemoved
    | MemberUnbanned
    | MessageCreated
    | MessageEdited
    | MessageDeleted
    | ReactionAdded
    | ReactionRemoved
    | MessagePinned
    | MessageUnpinned
    | MessageCompleted
    | ReplySteered
)


Signal: TypeAlias = (
    PreferencesChanged
    | UserUpdated
    | ChatHidden
    | ReadMarked
    | ReplyDelta
    | ReplySnapshot
    | ReplyQueued
    | ReplyThinking
    | ReplyWaiting
    | AssistantSilent
    | TypingSignal
    | AuthExpiring
)


Answer: TypeAlias = (
    Welcome | Synced | Reset | Gone | Accepted | Committed | Rejected | Ok | Pong | Error | ChatJoined | Draining
)

Frame: TypeAlias = Event | UnknownEvent | Signal | Answer
