"""Messages: what people write, and where they have read to."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from app.adapters.wire.examples import ANNA, ASSISTANT, AT, BEN, CHAT, COMMAND, MESSAGE, REPLY, SEND_ID
from app.adapters.wire.values import (
    AnyEvent,
    CommandShape,
    EventShape,
    Id,
    OnChat,
    OnMessage,
    Request,
    Seq,
    Shown,
    Text,
)
from app.domain.ids import SYSTEM_ID
from app.domain.messages import BEGINS, DeleteMessage, EditMessage, SendMessage
from app.domain.text import rfc3339, rfc3339_or_none
from app.domain.values import Message, Reaction, Usage


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


class ViaJson(TypedDict):
    """The key of a host that says it for its sender."""

    key_id: str
    name: str


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


def reaction_json(reaction: Reaction) -> dict[str, Any]:
    return {"emoji": reaction.emoji, "count": reaction.count, "user_ids": reaction.user_ids}


def message_json(message: Message) -> dict[str, Any]:
    made = {
        "id": message.id,
        "chat_id": message.chat_id,
        "seq": message.seq,
        "sender_id": message.sender_id if message.sender_id != SYSTEM_ID else None,
        "kind": message.kind,
        "client_message_id": message.client_message_id,
        "body": message.body,
        "reply_to": message.reply_to,
        "status": message.status,
        "created_at": rfc3339(message.created_at),
        "edited_at": rfc3339_or_none(message.edited_at),
        "deleted_at": rfc3339_or_none(message.deleted_at),
        "reactions": [reaction_json(r) for r in message.reactions] if message.reactions else [],
        "parent_id": message.parent_id,
    }
    if message.attempt is not None:
        made["attempt"] = message.attempt
    if message.regenerates is not None:
        made["regenerates"] = message.regenerates
    if message.failure is not None:
        made["failure"] = {"code": message.failure.code, "reason": message.failure.reason}
    if message.via is not None:
        made["via"] = {"key_id": message.via.key_id, "name": message.via.name}
    if message.queue is not None:
        made["queue"] = message.queue
    if message.usage is not None:
        made["usage"] = usage_json(message.usage)
    return made


def usage_json(usage: Usage) -> dict[str, Any]:
    return {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}


class FoundMessageJson(MessageJson):
    """highlights: [start, length] of each word found in the body, in code points."""

    highlights: list[list[int]]


class ReadJson(TypedDict):
    read_seq: int
    unread: int


def read_json(read_seq: int, unread: int) -> dict[str, Any]:
    return {"read_seq": read_seq, "unread": unread}


# Requests


class MessageSend(OnChat):
    type: Literal["message.send"]
    client_message_id: Id
    body: Text
    reply_to: Id | None = None
    parent_id: Id | None = None


class MessageEdit(OnMessage):
    type: Literal["message.edit"]
    body: Text


class MessageDelete(OnMessage):
    type: Literal["message.delete"]


class ReadMark(OnChat):
    type: Literal["read.mark"]
    seq: Seq


class NewMessage(Request):
    client_message_id: Id
    body: Text
    reply_to: Id | None = None
    parent_id: Id | None = None


def parent_of(request: MessageSend | NewMessage) -> str | None:
    """As a send says it: null begins a line, and left out it is the newest message."""
    return BEGINS if request.parent_id is None and "parent_id" in request.model_fields_set else request.parent_id


class NewBody(Request):
    body: Text


class ReadSeq(Request):
    seq: Seq


# Events and signals


class MessageCreated(AnyEvent):
    type: Literal["message.created"]
    message: MessageJson


class MessageEdited(AnyEvent):
    type: Literal["message.edited"]
    message: MessageJson


class MessageDeleted(AnyEvent):
    """message: the tombstone."""

    type: Literal["message.deleted"]
    message: MessageJson


class ReadMarked(TypedDict):
    type: Literal["read.marked"]
    chat_id: str
    user_id: str
    read_seq: int


def whole(message: Message) -> dict[str, Any]:
    """What an event about a message carries."""
    return {"message": message_json(message)}


MESSAGE_JSON: dict[str, Any] = {
    "id": MESSAGE, "chat_id": CHAT, "seq": 2, "sender_id": ANNA, "kind": "user", "client_message_id": SEND_ID,
    "body": "Shall we start?", "reply_to": None, "status": "complete", "created_at": AT, "edited_at": None,
    "deleted_at": None, "reactions": [{"emoji": "👍", "count": 1, "user_ids": [BEN]}], "parent_id": None,
}  # fmt: skip
REPLY_JSON = MESSAGE_JSON | {
    "id": REPLY, "seq": 4, "sender_id": ASSISTANT, "kind": "assistant", "client_message_id": None,
    "body": "Here is a plan.", "reply_to": MESSAGE, "reactions": [], "attempt": 1,
    "usage": {"prompt_tokens": 12, "completion_tokens": 4},
}  # fmt: skip

COMMANDS = (
    CommandShape(
        MessageSend,
        lambda request: SendMessage(
            request.body,
            request.reply_to,
            parent_of(request) if "parent_id" in request.__pydantic_fields_set__ else None,
        ),
        {"ref": "1", "chat_id": CHAT, "client_message_id": SEND_ID, "body": "Shall we start?"},
        id="client_message_id",
    ),
    CommandShape(
        MessageEdit,
        lambda request: EditMessage(request.message_id, request.body),
        {"ref": "2", "chat_id": CHAT, "message_id": MESSAGE, "body": "Shall we?"},
    ),
    CommandShape(
        MessageDelete,
        lambda request: DeleteMessage(request.message_id),
        {"ref": "3", "chat_id": CHAT, "message_id": MESSAGE},
    ),
)
EVENTS = (
    EventShape(MessageCreated, whole, {"seq": 2, "message": MESSAGE_JSON}),
    EventShape(
        MessageEdited,
        whole,
        {"seq": 5, "command_id": COMMAND, "message": MESSAGE_JSON | {"body": "Shall we?", "edited_at": AT}},
    ),
    EventShape(
        MessageDeleted,
        whole,
        {
            "seq": 6,
            "command_id": COMMAND,
            "message": MESSAGE_JSON | {"body": None, "deleted_at": AT, "reactions": []},
        },
    ),
)
SIGNALS = (Shown(ReadMarked, {"chat_id": CHAT, "user_id": BEN, "read_seq": 2}),)
BODIES = (
    Shown(NewMessage, {"client_message_id": SEND_ID, "body": "Shall we start?"}),
    Shown(NewBody, {"body": "Shall we start now?"}),
    Shown(ReadSeq, {"seq": 2}),
    Shown(MessageJson, MESSAGE_JSON),
    Shown(FoundMessageJson, MESSAGE_JSON | {"highlights": [[9, 5]]}),
    Shown(ReadJson, {"read_seq": 2, "unread": 0}),
)
