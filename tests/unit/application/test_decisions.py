"""What is kept of what policies were asked: each question once, with its newest command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.application.decisions import Decision, Decisions
from app.domain.command import Command
from app.domain.policy import Answer, Question
from tests import actions as c
from tests.unit.memory import CHATS, START, USERS

CHAT, ANNA = CHATS[0], USERS[0]


class Log:
    def __init__(self) -> None:
        self.noted: list[Decision] = []

    async def note(self, decisions: Sequence[Decision]) -> None:
        self.noted += decisions

    async def last(self, limit: int) -> list[Decision]:
        return self.noted[-limit:]


async def test_each_question_is_kept_once_with_its_newest_command() -> None:
    log, asked = Log(), list[Question]()

    def ask(question: Question) -> Answer:
        asked.append(question)
        return Answer(question.role == "owner", ("p",))

    decisions = Decisions(ask, log, lambda what, error: None)
    owner, reader = Question("message.send", role="owner"), Question("message.send", role="reader")
    decisions.ask(owner)
    assert len(asked) == 1, "what is asked for no command is answered, and not kept"
    for n, question in enumerate((owner, reader, owner)):
        decisions.begin(Command(CHAT, ANNA, f"id-{n}", c.SendMessage("x")))
        assert decisions.ask(question).allowed is (question is owner)
    await decisions.flush(START)
    kept: dict[str, Any] = {one.facts["role"]: one for one in log.noted}
    assert len(log.noted) == 2 and (kept["owner"].count, kept["reader"].count) == (2, 1)
    assert kept["owner"].command == (CHAT, ANNA, "id-2") and kept["owner"].type == "message.send"
    assert kept["owner"].at == START and not kept["reader"].allowed
    await decisions.flush(START)
    assert len(log.noted) == 2, "what was written down isn't again"
