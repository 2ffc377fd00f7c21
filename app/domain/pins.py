"""Pins: the messages that a chat holds up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from app.domain.command import Command
from app.domain.errors import Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.state import Needs, Pair

PINS_MAX = 50
"""Of one chat."""


@dataclass(frozen=True, slots=True)
class PinMessage:
    type: ClassVar[str] = "message.pin"
    message_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.messages[(chat_id, self.message_id)] = None
        facts.pins[chat_id] = None


@dataclass(frozen=True, slots=True)
class UnpinMessage:
    type: ClassVar[str] = "message.unpin"
    message_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.messages[(chat_id, self.message_id)] = None
        facts.pins[chat_id] = None


@dataclass(frozen=True, slots=True)
class PinChange:
    message_id: str


def pin(fold: Fold, command: Command, do: PinMessage) -> int | None:
    fold.find_standing(command, do.message_id, "message.pin")
    pinned = fold.state.pins.setdefault(command.chat_id, {})
    if do.message_id in pinned:
        return None
    if len(pinned) >= PINS_MAX:
        raise Refused(Code.CONFLICT, f"a chat takes at most {PINS_MAX} pins: unpin another first")
    seq = fold.append(command.chat_id, "message.pinned", command.actor_id, PinChange(do.message_id), command.id)
    pinned[do.message_id] = seq
    fold.state.changes.pins.add((command.chat_id, do.message_id))
    return seq


def unpin(fold: Fold, command: Command, do: UnpinMessage) -> int | None:
    fold.find_standing(command, do.message_id, "message.unpin")
    if not drop(fold, (command.chat_id, do.message_id)):
        return None
    change = PinChange(do.message_id)
    return fold.append(command.chat_id, "message.unpinned", command.actor_id, change, command.id)


def drop(fold: Fold, key: Pair) -> bool:
    """Whether the message was pinned. A deletion takes its pin with it, without an event of its own."""
    if fold.state.pins.get(key[0], {}).pop(key[1], None) is None:
        return False
    fold.state.changes.pins.add(key)
    return True


ACTIONS: dict[type, Rule] = {PinMessage: pin, UnpinMessage: unpin}
EVENTS = (EventKind("message.pinned", PinChange), EventKind("message.unpinned", PinChange))
