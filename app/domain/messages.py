"""What people write: send, edit, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from app.domain import assistants, pins, reactions, replies
from app.domain.command import Command
from app.domain.errors import Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.scopes import ASK_FIRST
from app.domain.state import Needs
from app.domain.value import value
from app.domain.values import Assistant, Chat, ChatKind, Message, MessageKind, Status, Via

BEGINS = ""

Verdicts = Sequence[tuple[Assistant, tuple[str, ...] | Refused]]
"""Whom a message asks, and of each the policies that let it, or why it says nothing."""


@value(frozen=True, slots=True)
class SendMessage:
    """parent_id: in a chat with an assistant of its own the message that it continues, BEGINS for none; None for the newest."""

    type: ClassVar[str] = "message.send"
    body: str
    reply_to: str | None = None
    parent_id: str | None = None

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        if "@" in self.body:
            assistants.needs_called(facts, chat_id, actor_id, self.body)
        else:
            facts.askers.setdefault((chat_id, actor_id), False)
        if self.parent_id:
            facts.messages[(chat_id, self.parent_id)] = None
        if self.reply_to is not None:
            facts.messages[(chat_id, self.reply_to)] = None


@dataclass(frozen=True, slots=True)
class EditMessage:
    type: ClassVar[str] = "message.edit"
    message_id: str
    body: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.messages[(chat_id, self.message_id)] = None


@dataclass(frozen=True, slots=True)
class DeleteMessage:
    type: ClassVar[str] = "message.delete"
    message_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.messages[(chat_id, self.message_id)] = None
        facts.replies[(chat_id, self.message_id)] = None
        facts.pins[chat_id] = None


def send(fold: Fold, command: Command, do: SendMessage, via: Via | None = None, unasked: bool = False) -> int:
    """via: whose key says it for its sender. unasked: the chat is there, and who says it may; they ask nobody."""
    chat = fold.state.chats[command.chat_id] if unasked else fold.permit(command, "message.send")
    verdicts: Verdicts = ()
    if (chat.kind == ChatKind.ASSISTANT or "@" in do.body) and not unasked:
        verdicts = _verdicts(fold, command, chat, do.body)
    if do.reply_to is not None and not _is_seen(fold, command, do.reply_to):
        raise Refused(Code.INVALID, "reply_to names no message of this chat")
    parent_id = _parent_of(fold, chat, do) if chat.kind == ChatKind.ASSISTANT or do.parent_id else None
    seq, at = fold.next_place(chat.id)
    sent = Message(
        chat_id=chat.id,
        seq=seq,
        id=fold.new_id(),
        sender_id=command.actor_id,
        kind=MessageKind.USER,
        client_message_id=command.id,
        body=do.body,
        reply_to=do.reply_to,
        status=Status.COMPLETE,
        created_at=at,
        parent_id=parent_id,
        via=via,
    )
    fold.append_message(sent)
    if do.parent_id == BEGINS:
        fold.state.changes.begins.add(sent.id)
    if chat.kind == ChatKind.ASSISTANT:
        fold.state.newest[chat.id] = sent.id
    fold.state.changes.read[(chat.id, command.actor_id)] = seq
    for one, verdict in verdicts:
        if isinstance(verdict, Refused):
            assistants.note_silence(fold, command, sent.id, one, verdict)
            if assistants.CONSENT_FIRST in verdict.policies and not fold.state.chats[chat.id].terms.consent_asked:
                _ask_for_consent(fold, chat.id)
        else:
            replies.open_reply(fold, command, sent.id, one, verdict)
    return seq


_CONSENT = (
    "An assistant was asked here whose provider is outside of this service. It answers when an owner of this chat agrees that"
    " what is written here goes there."
)


def _ask_for_consent(fold: Fold, chat_id: str) -> None:
    """Once in a chat's life."""
    fold.say(chat_id, _CONSENT)
    chat = fold.state.chats[chat_id]
    fold.state.chats[chat_id] = replace(chat, terms=replace(chat.terms, consent_asked=True))
    fold.state.changes.whole_chats.add(chat_id)


def _parent_of(fold: Fold, chat: Chat, do: SendMessage) -> str | None:
    """The message that this one continues; None where it begins a line."""
    if chat.kind != ChatKind.ASSISTANT:
        raise Refused(Code.INVALID, "parent_id: only in a chat with an assistant of its own")
    if do.parent_id is None:
        return fold.state.newest.get(chat.id)
    if do.parent_id == BEGINS:
        return None
    parent = fold.state.messages.get((chat.id, do.parent_id))
    if parent is None or parent.kind == MessageKind.SYSTEM:
        raise Refused(Code.INVALID, "parent_id names no message of this chat")
    return parent.id


def _is_seen(fold: Fold, command: Command, message_id: str) -> bool:
    message = fold.state.messages.get((command.chat_id, message_id))
    return message is not None and fold.state.members[(command.chat_id, command.actor_id)].sees(message)


def _verdicts(fold: Fold, command: Command, chat: Chat, body: str) -> Verdicts:
    """Of each assistant that the message asks. Raises Refused where it can't stand without its answer."""
    verdicts: list[tuple[Assistant, tuple[str, ...] | Refused]] = []
    for one in assistants.asked(fold, command, chat, body):
        ahead = sum(not isinstance(verdict, Refused) for _, verdict in verdicts)
        try:
            verdicts.append((one, assistants.permit_asking(fold, command, one, body, ahead)))
        except Refused as refused:
            if chat.kind == ChatKind.ASSISTANT and (
                refused.code == Code.QUOTA_EXCEEDED or ASK_FIRST in refused.policies
            ):
                raise
            verdicts.append((one, refused))
    return verdicts


def edit(fold: Fold, command: Command, do: EditMessage) -> int | None:
    message = fold.find_standing(command, do.message_id, "message.edit", own_only=True)
    if message.body == do.body:
        return None
    edited = replace(message, body=do.body, edited_at=fold.at(command.chat_id))
    return fold.change_message("message.edited", command.actor_id, edited, command.id)


def delete(fold: Fold, command: Command, do: DeleteMessage) -> int | None:
    message = fold.find(command, do.message_id)
    fold.permit(command, "message.delete", own=message.sender_id == command.actor_id)
    if message.kind == MessageKind.SYSTEM:
        raise Refused(Code.CONFLICT, "what the service says stays")
    return erase(fold, command, message)


def erase(fold: Fold, command: Command, message: Message) -> int | None:
    """Whoever may. None where it is deleted already."""
    if message.deleted_at is not None:
        return None
    key = (command.chat_id, message.id)
    replies.stop_concerned(fold, *key)
    replies.forget_remarks(fold, *key)
    reactions.clear(fold, key)
    pins.drop(fold, key)
    tombstone = replace(fold.state.messages[key], body=None, deleted_at=fold.at(command.chat_id))
    return fold.change_message("message.deleted", command.actor_id, tombstone, command.id)


ACTIONS: dict[type, Rule] = {SendMessage: send, EditMessage: edit, DeleteMessage: delete}
EVENTS = (
    EventKind("message.created", Message),
    EventKind("message.edited", Message),
    EventKind("message.deleted", Message),
)
