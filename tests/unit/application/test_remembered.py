"""What a worker remembers: enough for messages, nothing else, and never what may have changed unseen."""

from __future__ import annotations

from typing import Any

import pytest

from app.application import remembered as module
from app.application.remembered import Remembered
from app.domain import decide
from app.domain.command import Command
from app.domain.state import State
from tests import actions as c
from tests.unit.memory import CHATS, PEP, START, USERS, MemoryStore

ANNA, BEN, CARL = USERS[:3]
CHAT, OTHER = CHATS


class Setting:
    def __init__(self) -> None:
        self.store, self.remembered, self.ids = MemoryStore(), Remembered(), iter(range(1_000))
        self.do(ANNA, c.CreateChat("group", "g", (BEN,)))
        for who in (ANNA, BEN):
            self.do(who, c.SendMessage("x"))

    def command(self, actor: str, action: Any, chat: str = CHAT) -> Command:
        return Command(chat, actor, f"id {next(self.ids)}", action)

    def do(self, actor: str, action: Any, chat: str = CHAT, seen: bool = True) -> None:
        """seen: by the worker that remembers."""
        command = self.command(actor, action, chat)
        self.store.batch([command])
        if seen:
            self.remembered.keep(decide.needs_of([command]), self.store.decided)

    def state(self, *asked: tuple[str, Any]) -> State | None:
        return self.remembered.state_for(decide.needs_of([self.command(*one) for one in asked]), START)


def test_what_was_read_or_changed_is_what_a_message_is_decided_on() -> None:
    s = Setting()
    state = s.state((ANNA, c.SendMessage("y")), (BEN, c.SendMessage("z")))
    assert state is not None and state.now == START and state.chats == {CHAT: s.store.state.chats[CHAT]}
    assert state.members == s.store.state.members
    decided = decide.decide(state, [s.command(ANNA, c.SendMessage("y"))], PEP.ask, lambda: "m", s.store._limits)
    assert decided.new_messages_alone() and decided.results[0].outcome.seq == 4


@pytest.mark.parametrize(
    "action",
    [c.SendMessage("@assistant, do you?"), c.SendMessage("x", "another"), c.EditMessage("m", "x"), c.AddMember(CARL, "member"),
     c.RemoveMember(BEN), c.DeleteMessage("m"), c.AddReaction("m", "👍"), c.PinMessage("m"), c.UpdateMember(BEN, ("role",), "admin")],
    ids=lambda action: action.type,
)  # fmt: skip
def test_what_looks_at_more_is_read(action: Any) -> None:
    assert Setting().state((ANNA, action)) is None


def test_whoever_was_not_looked_at_is_read_and_then_known_to_be_none() -> None:
    s = Setting()
    assert s.state((CARL, c.SendMessage("x"))) is None
    s.do(CARL, c.SendMessage("x"))
    state = s.state((CARL, c.SendMessage("x")))
    assert state is not None and (CHAT, CARL) not in state.members
    assert s.state((ANNA, c.SendMessage("x", None)), (ANNA, c.SendMessage("x")))
    assert s.remembered.state_for(decide.needs_of([s.command(ANNA, c.SendMessage("x"), OTHER)]), START) is None


def test_an_assistants_chat_is_read() -> None:
    s = Setting()
    s.do(ANNA, c.CreateChat("assistant"), OTHER)
    s.do(ANNA, c.SendMessage("x"), OTHER)
    assert s.remembered.state_for(decide.needs_of([s.command(ANNA, c.SendMessage("y"), OTHER)]), START) is None


def test_changes_of_members_that_it_made_itself_are_known_and_who_else_was_is_read_anew() -> None:
    s = Setting()
    s.do(ANNA, c.UpdateMember(BEN, ("role",), "reader"))
    state = s.state((BEN, c.SendMessage("x")))
    assert state is not None and state.members[(CHAT, BEN)].role == "reader"
    s.do(ANNA, c.RemoveMember(BEN))
    state = s.state((BEN, c.SendMessage("x")))
    assert state is not None and (CHAT, BEN) not in state.members
    s.do(ANNA, c.UpdateChat(("title",), "other"))
    state = s.state((ANNA, c.SendMessage("x")))
    assert state is not None and state.chats[CHAT].title == "other"


def test_where_an_event_was_missed_all_of_the_chat_is_read_anew() -> None:
    s = Setting()
    s.do(ANNA, c.UpdateMember(BEN, ("role",), "reader"), seen=False)
    s.do(ANNA, c.SendMessage("x"))
    assert s.state((ANNA, c.SendMessage("x"))) is not None, "she was just read"
    assert s.state((BEN, c.SendMessage("x"))) is None, "he may have been changed by what was missed"


def test_it_is_bounded_and_can_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    s = Setting()
    s.remembered.forget()
    assert s.state((ANNA, c.SendMessage("x"))) is None
    monkeypatch.setattr(module, "_CHATS_MAX", 1)
    s = Setting()
    s.do(ANNA, c.CreateChat("group"), OTHER)
    assert s.state((ANNA, c.SendMessage("x"))) is None
    s.do(BEN, c.SendMessage("x"))
    assert s.state((BEN, c.SendMessage("x"))) is not None
    assert s.state((ANNA, c.SendMessage("x"))) is None, "of before the chat was forgotten"
