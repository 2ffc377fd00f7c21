"""Chats and who is in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Person:
    """The public part of a profile."""

    id: str
    username: str
    display_name: str
    kind: str = UserKind.HUMAN


@dataclass(frozen=True, slots=True)
class AssistantSettings:
    user_id: str
    model: str | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Member:
    """joined_seq: seq of the event that brought this person in, for the last time."""

    chat_id: str
    user: Person
    role: str
    muted_until: datetime | None
    joined_at: datetime
    joined_seq: int
