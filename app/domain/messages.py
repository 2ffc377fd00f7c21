"""What people write: send, edit, delete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from app.domain import pins, reactions, replies
from app.domain.command import Command
from app.domain.errors import Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.ids import ASSISTANT_ID
from app.domain.state import Needs, Silence
from app.domain.value import value
from app.domain.values import ChatKind, Message, MessageKind, Status


@value(frozen=True, slots=True)
class SendMessage:
    type: ClassVar[str] = "message.send"
    body: str
    reply_to: str | None = None

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        key, calls = (chat_id, actor_id), "@" in self.body
        facts.askers[key] = facts.askers.get(key, False) or calls
        replies.needs_assistant(facts, chat_id, calls)
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


def send(fold: Fold, command: Command, do: SendMessage) -> int:
    chat = fold.permit(command, "message.send")
    asked = replies.is_asked(chat.kind, do.body, command.actor_id)
    silent: Refused | None = None
    policies: tuple[str, ...] = ()
    if asked:
        try:
            policies = fold.allowing(command, "assistant.ask")
        except Refused as refused:
            silent = refused
        silent = silent or replies.why_silent(fold, command)
    if silent is not None and chat.kind == ChatKind.ASSISTANT and silent.code == Code.QUOTA_EXCEEDED:
        raise silent
    if do.reply_to is not None and (chat.id, do.reply_to) not in fold.state.messages:
        raise Refused(Code.INVALID, "reply_to names no message of this chat")
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
    )
    fold.append_message(sent)
    fold.state.changes.read[(chat.id, command.actor_id)] = seq
    if silent is not None:
        note = Silence(chat.id, sent.id, ASSISTANT_ID, command.actor_id, silent.code)
        fold.state.changes.silences.append(note)
    elif asked:
        replies.open_reply(fold, command, sent.id, policies)
    return seq


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
