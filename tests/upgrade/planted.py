"""python -m tests.upgrade.planted ROLE: the program with one subject more, as the next version will have: polls.

The subject is put into the registries before the program starts, as a file beside the others would be.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Literal

import uvloop

from app.adapters.wire import registry
from app.adapters.wire.values import AnyEvent, CommandShape, EventShape, Id, OnChat
from app.domain import decide
from app.domain.command import Command
from app.domain.events import EventKind
from app.domain.fold import Fold
from app.domain.state import Needs
from app.infrastructure import telemetry
from app.infrastructure.roles.process import serve
from app.infrastructure.settings import load_settings


@dataclass(frozen=True, slots=True)
class OpenPoll:
    type: ClassVar[str] = "poll.open"
    question: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class PollOpened:
    question: str


def open_poll(fold: Fold, command: Command, do: OpenPoll) -> int:
    fold.permit(command, "message.send")
    return fold.append(command.chat_id, "poll.opened", command.actor_id, PollOpened(do.question), command.id)


class PollOpenJson(OnChat):
    type: Literal["poll.open"]
    question: str
    command_id: Id | None = None


class PollOpenedJson(AnyEvent):
    type: Literal["poll.opened"]
    question: str


def plant() -> None:
    rules, wire = ModuleType("polls"), ModuleType("wire.polls")
    rules.ACTIONS, rules.EVENTS = {OpenPoll: open_poll}, (EventKind("poll.opened", PollOpened),)  # type: ignore[attr-defined]
    decide.add_subject(rules)
    wire.COMMANDS = (CommandShape(PollOpenJson, lambda request: OpenPoll(request.question), {}),)  # type: ignore[attr-defined]
    wire.EVENTS = (EventShape(PollOpenedJson, _fields, {}),)  # type: ignore[attr-defined]
    wire.SIGNALS, wire.BODIES = (), ()  # type: ignore[attr-defined]
    registry.add_subject(wire)


def _fields(opened: PollOpened) -> dict[str, Any]:
    return {"question": opened.question}


def main() -> None:
    plant()
    settings = load_settings()
    telemetry.configure_logs(settings.log_level)
    uvloop.run(serve(settings, sys.argv[1]))


if __name__ == "__main__":
    main()
