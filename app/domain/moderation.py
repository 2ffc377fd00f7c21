"""What operators of the service do in chats that aren't theirs: the ordinary events, a message that says what and why, and a
record of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from app.domain import members, messages
from app.domain.command import Command
from app.domain.errors import NOT_FOUND_REASON, Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.policy import Question
from app.domain.state import Audited, Needs
from app.domain.text import rfc3339
from app.domain.values import ChatKind, MessageKind


class Act(StrEnum):
    OWNER = "owner"
    DELETE = "delete"
    MUTE = "mute"
    UNMUTE = "unmute"
    BAN = "ban"
    UNBAN = "unban"


_WORDS = {
    Act.OWNER: "{name} was made an owner by an operator",
    Act.DELETE: "A message was deleted by an operator",
    Act.MUTE: "{name} was muted by an operator{until}",
    Act.UNMUTE: "{name} was unmuted by an operator",
    Act.BAN: "{name} was banned by an operator{until}",
    Act.UNBAN: "{name}'s ban was lifted by an operator",
}
FOR_EVER = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Moderate:
    """act: one of `Act`. target_id: of a message for delete, else of a person. until: of a mute or a ban; none for ever."""

    type: ClassVar[str] = "chat.moderate"
    act: str
    target_id: str
    reason: str = ""
    until: datetime | None = None

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.operators[actor_id] = None
        if self.act == Act.DELETE:
            messages.DeleteMessage(self.target_id).needs(facts, chat_id, actor_id)
        else:
            members.BanMember(self.target_id).needs(facts, chat_id, actor_id)


def moderate(fold: Fold, command: Command, do: Moderate) -> int | None:
    fold.ask(Question("chat.moderate", operator=command.actor_id in fold.state.operators))
    chat = fold.state.chats.get(command.chat_id)
    if chat is None:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    if chat.kind == ChatKind.DIRECT and do.act in (Act.OWNER, Act.BAN, Act.UNBAN):
        raise Refused(Code.CONFLICT, "the two people of a direct chat stay the same, and neither owns it")
    if do.until is not None and do.until <= fold.state.now:
        raise Refused(Code.INVALID, "until: a time to come")
    before = _ban(fold, command, do)
    seq = _act(fold, command, do)
    if seq is None and _ban(fold, command, do) == before:
        return None
    _tell(fold, command, do)
    details: dict[str, Any] = {"chat_id": chat.id, "reason": do.reason}
    if do.until is not None:
        details["until"] = rfc3339(do.until)
    fold.state.changes.audit.append(Audited(command.actor_id, f"chat.{do.act}", do.target_id, details))
    return seq if seq is not None else fold.state.chats[chat.id].head


def _ban(fold: Fold, command: Command, do: Moderate) -> tuple[bool, datetime | None]:
    key = (command.chat_id, do.target_id)
    return key in fold.state.bans, fold.state.ban_ends.get(key)


def _act(fold: Fold, command: Command, do: Moderate) -> int | None:
    key = (command.chat_id, do.target_id)
    if do.act == Act.DELETE:
        if key not in fold.state.messages:
            raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        if fold.state.messages[key].kind == MessageKind.SYSTEM:
            raise Refused(Code.CONFLICT, "what the service says stays")
        return messages.erase(fold, command, fold.state.messages[key])
    if do.target_id not in fold.state.people:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    match do.act:
        case Act.OWNER:
            return members.make_owner(fold, command, do.target_id)
        case Act.MUTE | Act.UNMUTE:
            until = (do.until or FOR_EVER) if do.act == Act.MUTE else None
            return members.mute(fold, command, do.target_id, until)
        case Act.BAN:
            return members.keep_out(fold, command, do.target_id, do.until)
        case _:
            return members.let_in(fold, command, do.target_id)


def _tell(fold: Fold, command: Command, do: Moderate) -> None:
    person = fold.state.people.get(do.target_id)
    until = f" until {do.until:%Y-%m-%d %H:%M} UTC" if do.until is not None else ""
    words = _WORDS[Act(do.act)].format(name=person.display_name if person else "", until=until)
    fold.say(command.chat_id, f"{words}: {do.reason}" if do.reason else f"{words}.")


ACTIONS: dict[type, Rule] = {Moderate: moderate}
EVENTS: tuple[EventKind, ...] = ()
