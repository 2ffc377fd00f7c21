"""The one public JSON: what people and programs outside see, for REST and for the socket alike.

Resources are typed dicts, made from domain values by the functions below and encoded once. Requests are models
that refuse what they don't know. docs/protocol.md says in words what stands here in types.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, NotRequired

import msgspec
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict

from app.application.ports import Membership
from app.domain.chat import Chat, Member, Person
from app.domain.errors import Code, ParleyError
from app.domain.events import (
    ChatCreated,
    Event,
    MemberRemoved,
    MemberUnbanned,
    ReactionChange,
)
from app.domain.ids import UUID_PATTERN
from app.domain.message import TITLE_MAX, Message, check_text, is_emoji

# ---- Values


@lru_cache(maxsize=4096)
def rfc3339(at: datetime) -> str:
    """UTC with milliseconds: 2026-01-31T12:00:00.000Z"""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def rfc3339_or_none(at: datetime | None) -> str | None:
    return rfc3339(at) if at is not None else None


_encoder = msgspec.json.Encoder()


def _in_utc(at: datetime) -> datetime:
    """Cut to the milliseconds that are shown."""
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time within years 1 to 9999 of UTC") from None
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def encode(value: Any) -> str:
    return _encoder.encode(value).decode()


def encode_bytes(value: Any) -> bytes:
    return _encoder.encode(value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def has_infinity(value: Any) -> bool:
    """Whether a number in it is beyond what a float holds, and so cannot be kept."""
    if isinstance(value, dict):
        return any(map(has_infinity, value.values()))
    if isinstance(value, list):
        return any(map(has_infinity, value))
    return isinstance(value, float) and not math.isfinite(value)


def parse(text: str | bytes) -> Any:
    """JSON as RFC 8259 has it. Not JSON: `bad_json`; a lone surrogate, or nesting beyond reason: `invalid`."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise ParleyError(Code.INVALID, "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        pass
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ParleyError(Code.INVALID, "a text holds a lone surrogate") from None
    except RecursionError:
        raise ParleyError(Code.INVALID, "nested too deeply") from None
    except ValueError:
        raise ParleyError(Code.BAD_JSON, "this is not JSON") from None
    return value


# ---- Resources


class PersonJson(TypedDict):
    id: str
    username: str
    display_name: str
    kind: Literal["human", "assistant"]


class UserJson(PersonJson):
    """Oneself."""

    role: Literal["user", "operator"]
    preferences: dict[str, Any]


class AccountJson(UserJson):
    """A person as operators see them."""

    disabled: bool
    created_at: str


class SessionJson(TypedDict):
    """current: the one that asks. last_used_at: of its last refresh. client: what the program called itself."""

    id: str
    created_at: str
    last_used_at: str | None
    client: str
    current: bool


class AuditJson(TypedDict):
    """What an operator did. actor_id: null at the command line."""

    id: str
    at: str
    actor_id: str | None
    act: str
    target_id: str | None
    details: dict[str, Any]


class ReactionJson(TypedDict):
    emoji: str
    count: int
    user_ids: list[str]


class FailureJson(TypedDict):
    code: str
    reason: str


class UsageJson(TypedDict):
    prompt_tokens: int
    completion_tokens: int


class MessageJson(TypedDict):
    id: str
    chat_id: str
    seq: int
    sender_id: str
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
    usage: NotRequired[UsageJson]


class FoundMessageJson(MessageJson):
    """highlights: [start, length] of each word found in the body, in code points."""

    highlights: list[list[int]]


class AssistantJson(TypedDict):
    user_id: str
    model: str | None
    instructions: str | None


class SharedChatJson(TypedDict):
    """What is the same for all members: the chat as it stands in events."""

    id: str
    kind: Literal["direct", "group", "assistant"]
    title: str | None
    archived: bool
    created_at: str
    created_by: str
    head: int
    members_count: int
    assistant: NotRequired[AssistantJson]


class ChatJson(SharedChatJson):
    """A chat as one of its members sees it."""

    my_role: Literal["owner", "admin", "member", "reader"]
    read_seq: int
    unread: int
    last_message: MessageJson | None


class MemberJson(TypedDict):
    user: PersonJson
    role: Literal["owner", "admin", "member", "reader"]
    muted_until: str | None
    joined_at: str


class EventJson(TypedDict):
    """A durable event; which of the optional fields it has follows from its type."""

    type: str
    chat_id: str
    seq: int
    at: str
    actor_id: str
    command_id: NotRequired[str]
    message: NotRequired[MessageJson]
    message_id: NotRequired[str]
    emoji: NotRequired[str]
    user_id: NotRequired[str]
    chat: NotRequired[SharedChatJson]
    members: NotRequired[list[MemberJson]]
    member: NotRequired[MemberJson]
    reason: NotRequired[Literal["left", "removed", "banned"]]


def person_json(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "username": person.username,
        "display_name": person.display_name,
        "kind": person.kind,
    }


def message_json(message: Message) -> dict[str, Any]:
    made = {
        "id": message.id,
        "chat_id": message.chat_id,
        "seq": message.seq,
        "sender_id": message.sender_id,
        "kind": message.kind,
        "client_message_id": message.client_message_id,
        "body": message.body,
        "reply_to": message.reply_to,
        "status": message.status,
        "created_at": rfc3339(message.created_at),
        "edited_at": rfc3339_or_none(message.edited_at),
        "deleted_at": rfc3339_or_none(message.deleted_at),
        "reactions": [{"emoji": r.emoji, "count": r.count, "user_ids": r.user_ids} for r in message.reactions],
    }
    if message.attempt is not None:
        made["attempt"] = message.attempt
    if message.regenerates is not None:
        made["regenerates"] = message.regenerates
    if message.failure is not None:
        made["failure"] = {"code": message.failure.code, "reason": message.failure.reason}
    if message.usage is not None:
        made["usage"] = {
            "prompt_tokens": message.usage.prompt_tokens,
            "completion_tokens": message.usage.completion_tokens,
        }
    return made


def shared_chat_json(chat: Chat) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "archived": chat.archived,
        "created_at": rfc3339(chat.created_at),
        "created_by": chat.created_by,
        "head": chat.head,
        "members_count": chat.members_count,
    }
    if chat.assistant is not None:
        made["assistant"] = {
            "user_id": chat.assistant.user_id,
            "model": chat.assistant.model,
            "instructions": chat.assistant.instructions,
        }
    return made


def member_json(member: Member) -> dict[str, Any]:
    return {
        "user": person_json(member.user),
        "role": member.role,
        "muted_until": rfc3339_or_none(member.muted_until),
        "joined_at": rfc3339(member.joined_at),
    }


def payload_json(event: Event) -> dict[str, Any]:
    """What an event carries beside its place and its author."""
    match event.payload:
        case Message() as message:
            return {"message": message_json(message)}
        case Chat() as chat:
            return {"chat": shared_chat_json(chat)}
        case ChatCreated(chat, members):
            return {"chat": shared_chat_json(chat), "members": [member_json(m) for m in members]}
        case Member() as member:
            return {"member": member_json(member)}
        case MemberRemoved(user_id, reason):
            return {"user_id": user_id, "reason": reason}
        case MemberUnbanned(user_id):
            return {"user_id": user_id}
        case ReactionChange(message_id, emoji, user_id):
            return {"message_id": message_id, "emoji": emoji, "user_id": user_id}


def event_json(event: Event) -> dict[str, Any]:
    made = {
        "type": event.type,
        "chat_id": event.chat_id,
        "seq": event.seq,
        "at": rfc3339(event.at),
        "actor_id": event.actor_id,
    }
    if event.command_id is not None:
        made["command_id"] = event.command_id
    return made | payload_json(event)


class JsonCodec:
    """Implements the core's Codec."""

    def event(self, event: Event) -> str:
        return encode(event_json(event))

    def frame(self, fields: dict[str, object]) -> str:
        return encode(fields)

    def chat(self, membership: Membership) -> dict[str, object]:
        last = membership.last_message
        return shared_chat_json(membership.chat) | {
            "my_role": membership.member.role,
            "read_seq": membership.read_seq,
            "unread": membership.unread,
            "last_message": message_json(last) if last is not None else None,
        }


# ---- Requests

Id = Annotated[str, Field(strict=True, pattern=UUID_PATTERN, description="a UUID in lower case")]
Text = Annotated[str, Field(strict=True), AfterValidator(check_text)]
Ref = Annotated[str, Field(strict=True, min_length=1, max_length=64), AfterValidator(check_text)]
Seq = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
Title = Annotated[str, Field(strict=True, min_length=1, max_length=TITLE_MAX), AfterValidator(check_text)]
RoleName = Literal["owner", "admin", "member", "reader"]


def _emoji(value: str) -> str:
    if not is_emoji(value):
        raise ValueError("not one emoji")
    return value


Emoji = Annotated[str, Field(strict=True, max_length=16), AfterValidator(_emoji)]


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")


def _a_time_as_text(value: object) -> object:
    if value is not None and not (isinstance(value, str) and _RFC3339.match(value)):
        raise ValueError("a time is a text in RFC 3339")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_a_time_as_text), AfterValidator(_in_utc)]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Resume(Request):
    epoch: Text
    chats: dict[Id, Seq] = Field(max_length=500)


class Hello(Request):
    type: Literal["hello"]
    ticket: Text | None = None
    token: Text | None = None
    resume: Resume | None = None


class RefRequest(Request):
    ref: Ref


class Sync(RefRequest):
    type: Literal["sync"]
    chats: dict[Id, Seq] = Field(max_length=500)


class MessageSend(RefRequest):
    type: Literal["message.send"]
    chat_id: Id
    client_message_id: Id
    body: Text
    reply_to: Id | None = None


class OnMessage(RefRequest):
    chat_id: Id
    message_id: Id
    command_id: Id | None = None


class MessageEdit(OnMessage):
    type: Literal["message.edit"]
    body: Text


class MessageDelete(OnMessage):
    type: Literal["message.delete"]


class ReactionAdd(OnMessage):
    type: Literal["reaction.add"]
    emoji: Emoji


class ReactionRemove(OnMessage):
    type: Literal["reaction.remove"]
    emoji: Emoji


class ReplyStop(OnMessage):
    type: Literal["reply.stop"]


class ReplyRegenerate(OnMessage):
    type: Literal["reply.regenerate"]


class ReadMark(RefRequest):
    type: Literal["read.mark"]
    chat_id: Id
    seq: Seq


class AuthRefresh(RefRequest):
    type: Literal["auth.refresh"]
    token: Text


class Ping(RefRequest):
    type: Literal["ping"]


class Typing(Request):
    type: Literal["typing"]
    chat_id: Id


SocketCommand = MessageSend | MessageEdit | MessageDelete | ReactionAdd | ReactionRemove | ReplyStop | ReplyRegenerate
SocketRequest = Hello | Sync | SocketCommand | ReadMark | AuthRefresh | Ping | Typing
SOCKET_REQUESTS: dict[str, type[SocketRequest]] = {
    "hello": Hello,
    "sync": Sync,
    "message.send": MessageSend,
    "message.edit": MessageEdit,
    "message.delete": MessageDelete,
    "reaction.add": ReactionAdd,
    "reaction.remove": ReactionRemove,
    "reply.stop": ReplyStop,
    "reply.regenerate": ReplyRegenerate,
    "read.mark": ReadMark,
    "auth.refresh": AuthRefresh,
    "ping": Ping,
    "typing": Typing,
}


class NewAssistant(Request):
    model: Annotated[Text, Field(max_length=200)] | None = None
    instructions: Annotated[Text, Field(max_length=8_000)] | None = None


class NewChat(Request):
    kind: Literal["direct", "group", "assistant"]
    title: Title | None = None
    member_ids: list[Id] = Field(default_factory=list, max_length=10_000)
    assistant: NewAssistant | None = None


class ChatChanges(Request):
    title: Title | None = None
    archived: Annotated[bool, Field(strict=True)] = False
    assistant: NewAssistant | None = None


class NewMember(Request):
    user_id: Id
    role: RoleName = "member"


class MemberChanges(Request):
    role: RoleName | None = None
    muted_until: Time | None = None


class NewMessage(Request):
    client_message_id: Id
    body: Text
    reply_to: Id | None = None


class NewBody(Request):
    body: Text


class ReadSeq(Request):
    seq: Seq


class Explain(Request):
    action: Annotated[Text, Field(max_length=64)]
    chat_id: Id
    user_id: Id | None = None
    message_id: Id | None = None


Username = Annotated[
    str,
    Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$", description="capitals are lowered"),
]
Password = Annotated[str, Field(strict=True, min_length=10, max_length=256), AfterValidator(check_text)]
DisplayName = Annotated[str, Field(strict=True, min_length=1, max_length=100), AfterValidator(check_text)]


class Registration(Request):
    username: Username
    password: Password
    display_name: DisplayName | None = None


class ProfileChanges(Request):
    display_name: DisplayName | None = None
    preferences: dict[str, Any] | None = None


class PasswordChange(Request):
    current_password: Annotated[str, Field(strict=True, max_length=256), AfterValidator(check_text)]
    new_password: Password


class AccountChanges(Request):
    disabled: Annotated[bool, Field(strict=True)] | None = None
    role: Literal["user", "operator"] | None = None


class TokensJson(TypedDict):
    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    refresh_token: str
    user: UserJson


class TicketJson(TypedDict):
    ticket: str
    expires_in: int


class ReadJson(TypedDict):
    read_seq: int
    unread: int


class TimelineJson(TypedDict):
    items: list[EventJson]
    has_more: bool
    head: int


class ExplainJson(TypedDict):
    """facts: what the policies were told."""

    decision: Literal["allow", "deny"]
    policies: list[str]
    facts: dict[str, Any]


class StatusJson(TypedDict):
    status: str


class AcceptedJson(TypedDict):
    """The outcome is not known in time: repeat the call with this as its `Idempotency-Key` (a message with its own id)."""

    command_id: str


class ProblemJson(TypedDict):
    """RFC 9457. `policies`: ids of the policies that refused."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    policies: NotRequired[list[str]]
    retry_after_ms: NotRequired[int]
