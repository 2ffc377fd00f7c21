"""What the rules of every subject share: ask whether one may, find what is meant, give the chat's next seq."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.domain.command import Command
from app.domain.errors import NOT_FOUND_REASON, Code
from app.domain.events import Event, message_created
from app.domain.ids import SYSTEM_ID
from app.domain.policy import Ask, Question, question
from app.domain.state import State
from app.domain.values import AddedBy, Chat, Message, MessageKind, Status


@dataclass(frozen=True, slots=True)
class Limits:
    """open_questions_max, replies_per_hour, replies_per_day, tokens_per_day: of one person; 0 for no quota. answer_tokens: so
    many are reserved for an answer that isn't written yet. added_by: for who chose nothing, as
    `AddedBy`. quiet_s: an ambient assistant speaks after so much silence. consent: a group's owner has to agree before its text goes to a
    provider outside; local_providers: those that are not."""

    group_members_max: int
    open_questions_max: int = 100
    added_by: str = AddedBy.EVERYONE
    replies_per_hour: int = 0
    replies_per_day: int = 0
    tokens_per_day: int = 0
    answer_tokens: int = 1_000
    quiet_s: float = 20.0
    consent: bool = False
    local_providers: frozenset[str] = frozenset()


class Refused(Exception):
    def __init__(self, code: str, reason: str, policies: tuple[str, ...] = ()) -> None:
        self.code, self.reason, self.policies = code, reason, policies


class Fold:
    """A batch while it is decided. state: as the commands so far left it. events: what they made.

    new_id draws the ids of messages; everything else follows from the facts.
    """

    def __init__(self, state: State, ask: Ask, new_id: Callable[[], str], limits: Limits) -> None:
        self.state = state
        self._ask = ask
        self.new_id = new_id
        self.limits = limits
        self.events: list[Event] = []

    def ask(self, asked: Question) -> tuple[str, ...]:
        """Ids of the policies that allow it, or a refusal."""
        answer = self._ask(asked)
        if not answer.allowed:
            raise Refused(answer.code, answer.reason, answer.policies)
        return answer.policies

    def permit(self, command: Command, action: str, **facts: Any) -> Chat:
        """Ask whether the actor may; the chat as it is now, or a refusal."""
        chat = self.state.chats.get(command.chat_id)
        me = self.state.members.get((command.chat_id, command.actor_id))
        self.ask(question(action, chat, me, self.state.now, **facts))
        if chat is None:
            raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        return chat

    def allowing(self, command: Command, action: str, **facts: Any) -> tuple[str, ...]:
        """In a chat that is there: ids of the policies that allow this too, or a refusal."""
        chat = self.state.chats[command.chat_id]
        me = self.state.members.get((command.chat_id, command.actor_id))
        return self.ask(question(action, chat, me, self.state.now, **facts))

    def find(self, command: Command, message_id: str) -> Message:
        """The message, for whoever may read the chat."""
        message = self.state.messages.get((command.chat_id, message_id))
        me = self.state.members.get((command.chat_id, command.actor_id))
        if message is None or (me is not None and not me.sees(message)):
            self.permit(command, "chat.read")
            raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        return message

    def find_standing(self, command: Command, message_id: str, action: str, own_only: bool = False) -> Message:
        """A message that is not deleted, for whoever may do `action` on it. own_only: the policies ask whose it is."""
        message = self.find(command, message_id)
        self.permit(command, action, own=own_only and message.sender_id == command.actor_id)
        if message.deleted_at is not None:
            raise Refused(Code.CONFLICT, "the message is deleted")
        return message

    def at(self, chat_id: str) -> datetime:
        """When what happens now in this chat happens: its time never goes back."""
        return max(self.state.now, self.state.chats[chat_id].last_at)

    def next_place(self, chat_id: str) -> tuple[int, datetime]:
        """Take the chat's next seq; with its time."""
        chat, at = self.state.chats[chat_id], self.at(chat_id)
        seq = chat.head + 1
        self.state.chats[chat_id] = chat.moved(seq, at)
        self.state.changes.chats.add(chat_id)
        return seq, at

    def append(self, chat_id: str, type_: str, actor_id: str, payload: Any, command_id: str | None = None) -> int:
        """An event at the chat's next seq."""
        seq, at = self.next_place(chat_id)
        self.events.append(Event(type_, chat_id, seq, at, actor_id, payload, command_id))
        return seq

    def append_message(self, message: Message, command_id: str | None = None) -> None:
        """A new message, which was made with its place (`next_place`)."""
        key = (message.chat_id, message.id)
        self.state.messages[key] = message
        self.state.reactions[key] = {}
        self.state.changes.new_messages.append(key)
        self.events.append(message_created(message, command_id))

    def say(self, chat_id: str, words: str) -> None:
        """As the service itself."""
        seq, at = self.next_place(chat_id)
        self.append_message(
            Message(
                chat_id=chat_id,
                seq=seq,
                id=self.new_id(),
                sender_id=SYSTEM_ID,
                kind=MessageKind.SYSTEM,
                client_message_id=None,
                body=words,
                reply_to=None,
                status=Status.COMPLETE,
                created_at=at,
            )
        )

    def change_message(self, type_: str, actor_id: str, message: Message, command_id: str | None) -> int:
        """The event of a message's new state."""
        key = (message.chat_id, message.id)
        whole = replace(message, reactions=self.state.shown_reactions(key))
        self.state.messages[key] = whole
        self.state.changes.messages.add(key)
        return self.append(message.chat_id, type_, actor_id, whole, command_id)


Rule = Callable[[Fold, Command, Any], int | None]
"""What an action does: the seq of its event, None where there was nothing to change. Raises Refused."""
