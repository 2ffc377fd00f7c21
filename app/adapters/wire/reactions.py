"""Reactions: one emoji of one person on a message."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from app.adapters.wire.examples import BEN, CHAT, COMMAND, MESSAGE
from app.adapters.wire.values import AnyEvent, CommandShape, EventShape, OnMessage
from app.domain.reactions import AddReaction, ReactionChange, RemoveReaction
from app.domain.text import emoji_of


def _emoji(value: str) -> str:
    emoji = emoji_of(value)
    if emoji is None:
        raise ValueError("not one emoji")
    return emoji


Emoji = Annotated[str, Field(strict=True, max_length=16), AfterValidator(_emoji)]


class ReactionAdd(OnMessage):
    type: Literal["reaction.add"]
    emoji: Emoji


class ReactionRemove(OnMessage):
    type: Literal["reaction.remove"]
    emoji: Emoji


class ReactionAdded(AnyEvent):
    type: Literal["reaction.added"]
    message_id: str
    emoji: str
    user_id: str


class ReactionRemoved(AnyEvent):
    type: Literal["reaction.removed"]
    message_id: str
    emoji: str
    user_id: str


def _fields(change: ReactionChange) -> dict[str, Any]:
    return {"message_id": change.message_id, "emoji": change.emoji, "user_id": change.user_id}


_ADDED = {"seq": 3, "command_id": COMMAND, "message_id": MESSAGE, "emoji": "👍", "user_id": BEN}

COMMANDS = (
    CommandShape(
        ReactionAdd,
        lambda request: AddReaction(request.message_id, request.emoji),
        {"ref": "4", "chat_id": CHAT, "message_id": MESSAGE, "emoji": "👍"},
    ),
    CommandShape(
        ReactionRemove,
        lambda request: RemoveReaction(request.message_id, request.emoji),
        {"ref": "5", "chat_id": CHAT, "message_id": MESSAGE, "emoji": "👍"},
    ),
)
EVENTS = (
    EventShape(ReactionAdded, _fields, _ADDED),
    EventShape(ReactionRemoved, _fields, _ADDED | {"seq": 8}),
)
