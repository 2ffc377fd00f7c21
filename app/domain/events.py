"""Durable events: a chat's timeline is these in seq order, 1, 2, 3 … without a gap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.domain.chat import Chat, Member
from app.domain.message import Message


@dataclass(frozen=True, slots=True)
class ChatCreated:
    chat: Chat
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class ReactionChange:
    message_id: str
    emoji: str
    user_id: str


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """reason: left, removed or banned."""

    user_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class MemberUnbanned:
    user_id: str


Payload = Message | Chat | ChatCreated | Member | MemberRemoved | MemberUnbanned | ReactionChange

MESSAGE_TYPES = ("message.created", "message.edited", "message.deleted", "message.completed")
MEMBERSHIP_TYPES = ("chat.created", "member.added", "member.removed")
"""Events that change who may hear the chat; a publish that holds one is delivered event by event."""


@dataclass(frozen=True, slots=True)
class Event:
    """One place in a chat's timeline. payload: the whole object after the event."""

    type: str
    chat_id: str
    seq: int
    at: datetime
    actor_id: str
    payload: Payload
    command_id: str | None = None


def whose_chats_change(event: Event) -> list[str]:
    """The users who come into the chat or leave it by this event."""
    match event.payload:
        case ChatCreated(_, members):
            return [member.user.id for member in members]
        case Member() if event.type == "member.added":
            return [event.payload.user.id]
        case MemberRemoved(user_id, _):
            return [user_id]
    return []
