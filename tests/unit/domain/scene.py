"""A chat with people in it, for tests of what each command does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.domain.events import Event
from app.domain.ids import derived_id
from app.domain.state import Result
from app.domain.values import Message
from tests import actions as c
from tests.unit.memory import CHATS, USERS, MemoryStore

ANNA, BEN, CARL, DORA = USERS[:4]
CHAT, OTHER = CHATS


class Scene:
    """A group of Anna (owner) and Ben, and what was said in it."""

    def __init__(self, kind: str = "group", others: tuple[str, ...] = (BEN,), owner: str = ANNA) -> None:
        self.store = MemoryStore(4)
        self.store.do(
            CHAT, owner, c.CreateChat(kind, None if kind == "direct" else "tea", others, "model-x", "be brief")
        )

    def do(self, actor: str, action: Any, chat: str = CHAT) -> Result:
        return self.store.do(chat, actor, action)

    def ok(self, actor: str, action: Any) -> Event:
        """The event that it made."""
        known = len(self.store.log)
        result = self.do(actor, action)
        assert result.outcome.code is None, result.outcome
        made = [event for event in self.store.log[known:] if event.seq == result.outcome.seq]
        assert len(made) == 1, "its seq is its event's"
        [event] = made
        if event.type not in ("message.created", "message.completed"):
            assert (event.actor_id, event.command_id) == (actor, result.command.id)
        return event

    def nothing(self, actor: str, action: Any) -> None:
        """It had nothing to change."""
        head = self.head
        result = self.do(actor, action)
        assert (result.outcome.seq, result.outcome.code) == (None, None) and self.head == head

    def refused(self, actor: str, action: Any, code: str, words: str = "") -> Result:
        before = (self.store.log[:], self.head)
        result = self.do(actor, action)

        assert (result.outcome.code, result.outcome.seq) == (code, None), result
        reason = result.outcome.reason
        assert not words or reason == words or (words.endswith("…") and reason.startswith(words[:-1])), reason
        assert (self.store.log, self.head) == before
        assert result.outcome.reason
        return result

    def say(self, actor: str = ANNA, body: str = "words", **more: Any) -> Message:
        message = self.ok(actor, c.SendMessage(body, **more)).payload
        assert isinstance(message, Message)
        return message

    def ask(self, actor: str = BEN) -> tuple[Message, Message]:
        """(question, reply)"""
        question = self.say(actor, "@assistant, hello")
        return question, self.message(derived_id("reply", CHAT, question.id))

    def hold(self, reply: Message, attempt: int = 1) -> None:
        key = (CHAT, reply.id)
        self.store.state.replies[key] = replace(self.store.state.replies[key], attempt=attempt, held=True)

    def message(self, id_: str) -> Message:
        return self.store.state.messages[(CHAT, id_)]

    @property
    def head(self) -> int:
        return self.store.state.chats[CHAT].head
