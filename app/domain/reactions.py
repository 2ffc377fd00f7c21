"""Reactions: one emoji of one person on a message."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from app.domain.command import Command
from app.domain.errors import Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.state import Needs, Pair
from app.domain.text import emoji_of

EMOJIS_MAX = 20
"""Different ones on a message."""


@dataclass(frozen=True, slots=True)
class AddReaction:
    type: ClassVar[str] = "reaction.add"
    message_id: str
    emoji: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.messages[(chat_id, self.message_id)] = None


@dataclass(frozen=True, slots=True)
class RemoveReaction:
    type: ClassVar[str] = "reaction.remove"
    message_id: str
    emoji: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.messages[(chat_id, self.message_id)] = None


A = TypeVar("A", AddReaction, RemoveReaction)


@dataclass(frozen=True, slots=True)
class ReactionChange:
    message_id: str
    emoji: str
    user_id: str


def _in_one_form(do: A) -> A:
    """Of an older version's gateway it comes in any form."""
    return replace(do, emoji=emoji_of(do.emoji) or do.emoji)


def add(fold: Fold, command: Command, do: AddReaction) -> int | None:
    do = _in_one_form(do)
    fold.find_standing(command, do.message_id, "reaction.add")
    key = (command.chat_id, do.message_id)
    reactions = fold.state.reactions.setdefault(key, {})
    if command.actor_id in reactions.get(do.emoji, {}):
        return None
    if do.emoji not in reactions and len(reactions) >= EMOJIS_MAX:
        raise Refused(Code.CONFLICT, f"a message takes at most {EMOJIS_MAX} different reactions")
    change = ReactionChange(do.message_id, do.emoji, command.actor_id)
    seq = fold.append(command.chat_id, "reaction.added", command.actor_id, change, command.id)
    reactions.setdefault(do.emoji, {})[command.actor_id] = seq
    fold.state.changes.reactions.add((*key, do.emoji, command.actor_id))
    return seq


def remove(fold: Fold, command: Command, do: RemoveReaction) -> int | None:
    do = _in_one_form(do)
    fold.find(command, do.message_id)
    fold.permit(command, "reaction.remove")
    key = (command.chat_id, do.message_id)
    reactions = fold.state.reactions.setdefault(key, {})
    users = reactions.get(do.emoji, {})
    if command.actor_id not in users:
        return None
    del users[command.actor_id]
    if not users:
        del reactions[do.emoji]
    fold.state.changes.reactions.add((*key, do.emoji, command.actor_id))
    change = ReactionChange(do.message_id, do.emoji, command.actor_id)
    return fold.append(command.chat_id, "reaction.removed", command.actor_id, change, command.id)


def clear(fold: Fold, key: Pair) -> None:
    """The message is deleted: its reactions go with it, without events of their own."""
    for emoji, users in fold.state.reactions.get(key, {}).items():
        fold.state.changes.reactions.update((*key, emoji, user) for user in users)
    fold.state.reactions[key] = {}


ACTIONS: dict[type, Rule] = {AddReaction: add, RemoveReaction: remove}
EVENTS = (EventKind("reaction.added", ReactionChange), EventKind("reaction.removed", ReactionChange))
