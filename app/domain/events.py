"""Durable events: a chat's timeline is these in seq order, 1, 2, 3 … without a gap.

Which types there are stands in the files of the subjects; `decide` knows them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.value import value
from app.domain.values import Message


@dataclass(frozen=True, slots=True)
class Opaque:
    """The payload of an event whose type this version doesn't know: it takes its place, and says nothing."""


@value(frozen=True, slots=True)
class Event:
    """One place in a chat's timeline. payload: the whole object after the event, of its kind's type."""

    type: str
    chat_id: str
    seq: int
    at: datetime
    actor_id: str
    payload: Any
    command_id: str | None = None


def message_created(message: Message, command_id: str | None) -> Event:
    """The event of a new message, which follows from it alone."""
    return Event(
        "message.created", message.chat_id, message.seq, message.created_at, message.sender_id, message, command_id
    )


def _nobody(payload: Any) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class EventKind:
    """A type of event, and what it means to who hears the chat. payload: the class of its payload.

    comes, goes: ids of the users whom an event brings into the chat, or takes out. ends: ids of the replies it ends.
    """

    type: str
    payload: Any
    comes: Callable[[Any], tuple[str, ...]] = _nobody
    goes: Callable[[Any], tuple[str, ...]] = _nobody
    ends: Callable[[Any], tuple[str, ...]] = _nobody

    @property
    def takes_out(self) -> bool:
        return self.goes is not _nobody
