"""Assistants' replies: stopped, written anew, and told while they are written."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from app.adapters.wire.examples import ASSISTANT, CHAT, COMMAND, MESSAGE, REPLY
from app.adapters.wire.messages import REPLY_JSON, MessageJson, whole
from app.adapters.wire.values import AnyEvent, CommandShape, EventShape, OnMessage, Shown
from app.domain.replies import RegenerateReply, StopReply


class ReplyStop(OnMessage):
    type: Literal["reply.stop"]


class ReplyRegenerate(OnMessage):
    type: Literal["reply.regenerate"]


class MessageCompleted(AnyEvent):
    """An answer's one end: complete, stopped or failed."""

    type: Literal["message.completed"]
    message: MessageJson


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


class ReplyThinking(TypedDict):
    """The model thinks before it answers: so many characters by now, which are no part of the answer."""

    type: Literal["reply.thinking"]
    chat_id: str
    message_id: str
    attempt: int
    chars: int


class ReplyWaiting(TypedDict):
    """The model's provider can't answer just now, and is asked again."""

    type: Literal["reply.waiting"]
    chat_id: str
    message_id: str
    attempt: int
    code: Literal["rate_limited", "unavailable", "timeout", "cut", "bad_answer"]
    retry_in_ms: int


class AssistantSilent(TypedDict):
    """To who called it, where it doesn't answer: the message stands."""

    type: Literal["assistant.silent"]
    chat_id: str
    message_id: str
    assistant_id: str
    code: Literal["banned", "muted", "not_allowed", "quota_exceeded"]


COMMANDS = (
    CommandShape(
        ReplyStop, lambda request: StopReply(request.message_id), {"ref": "6", "chat_id": CHAT, "message_id": REPLY}
    ),
    CommandShape(
        ReplyRegenerate,
        lambda request: RegenerateReply(request.message_id),
        {"ref": "7", "chat_id": CHAT, "message_id": REPLY, "command_id": COMMAND},
    ),
)
EVENTS = (EventShape(MessageCompleted, whole, {"actor_id": ASSISTANT, "seq": 7, "message": REPLY_JSON}),)
SIGNALS = (
    Shown(ReplyDelta, {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "index": 0, "text": "Here "}),
    Shown(ReplySnapshot, {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "next_index": 2, "text": "Here is "}),
    Shown(ReplyThinking, {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "chars": 240}),
    Shown(
        ReplyWaiting,
        {"chat_id": CHAT, "message_id": REPLY, "attempt": 1, "code": "rate_limited", "retry_in_ms": 20_000},
    ),
    Shown(AssistantSilent, {"chat_id": CHAT, "message_id": MESSAGE, "assistant_id": ASSISTANT, "code": "muted"}),
)
