"""The rules of a chat: a pure fold of commands over facts, into events with seqs, or refusals.

Each command is asked against the state that those before it in the batch left. An id that is known, from the
database or from earlier in the batch, is never decided again: its first outcome is told again.

What can be asked, and what can happen, stands in the files of the subjects; here they are merged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from app.domain import chats, members, messages, moderation, pins, provisioning, reactions, replies
from app.domain.command import Action, Command, Cost, UnknownAction
from app.domain.errors import Code
from app.domain.events import Event, EventKind, Opaque
from app.domain.fold import Fold, Limits, Refused, Rule
from app.domain.policy import Answer, Ask
from app.domain.state import Decided, Needs, Outcome, Result, State

TRACES_KEPT_S = 86_400.0
"""How long outcomes are remembered, of all but messages, whose ids are known for ever; and how old a command may be."""

RULES: dict[type, Rule] = {}
ACTIONS: dict[str, type[Any]] = {}
"""By the type of the command."""
COSTS: dict[type, Callable[[Any], Cost]] = {}
"""Of the actions that make what is limited by the hour."""
EVENTS: dict[str, EventKind] = {}
"""By the type of the event. One that is missing here is of a newer version: see `kind_of`."""


def add_subject(subject: ModuleType) -> None:
    """ACTIONS and EVENTS of a subject's file, COSTS where it has any. Raises ValueError where a type is another subject's."""
    for action, rule in subject.ACTIONS.items():
        if ACTIONS.setdefault(action.type, action) is not action:
            raise ValueError(f"two actions are called {action.type}")
        RULES[action] = rule
    COSTS.update(vars(subject).get("COSTS", {}))
    for kind in subject.EVENTS:
        if EVENTS.setdefault(kind.type, kind) is not kind:
            raise ValueError(f"two events are called {kind.type}")


for _subject in (messages, reactions, pins, chats, members, replies, moderation, provisioning):
    add_subject(_subject)


def kind_of(event: Event) -> EventKind:
    """What an event means; of an unknown type, or a form unknown of its type: nothing, to nobody."""
    kind = EVENTS.get(event.type)
    if kind is None or isinstance(event.payload, Opaque):
        return EventKind(event.type, type(event.payload))
    return kind


def whose_chats_change(event: Event) -> tuple[str, ...]:
    """The users who come into the chat or leave it by this event."""
    kind = kind_of(event)
    return kind.comes(event.payload) + kind.goes(event.payload)


def cost_of(action: Action | UnknownAction) -> Cost:
    """What it makes that is limited by the hour."""
    cost = COSTS.get(type(action))
    return cost(action) if cost is not None else Cost()


def needs_of(commands: Iterable[Command]) -> Needs:
    """The facts that these commands' rules look at."""
    needs = Needs()
    for command in commands:
        needs.add(command)
    return needs


def decide(
    state: State,
    commands: Iterable[Command],
    ask: Ask,
    new_id: Callable[[], str],
    limits: Limits,
    begin: Callable[[Command], None] | None = None,
) -> Decided:
    """Fold `commands` into `state`. new_id draws the ids of messages; everything else follows from the arguments. begin: told
    each before it is decided."""
    fold = Fold(state, ask, new_id, limits)
    if begin is None:
        results = [_step(fold, command) for command in commands]
    else:
        results = []
        for command in commands:
            begin(command)
            results.append(_step(fold, command))
    return Decided(state, results, fold.events)


def refuse(state: State, command: Command, code: Code, reason: str) -> Decided:
    """The outcome of a command that cannot be decided: a refusal with its trace, nothing else."""
    fold = Fold(state, lambda asked: Answer(False, ()), lambda: "", Limits(0))
    known = state.known.get(command.key)
    result = Result(command, known, repeat=True) if known else _refused(fold, command, Refused(code, reason))
    return Decided(state, [result], [])


def _step(fold: Fold, command: Command) -> Result:
    known = fold.state.known.get(command.key)
    if known is not None:
        return Result(command, known, repeat=True)
    if command.sent_at and fold.state.now.timestamp() - command.sent_at > TRACES_KEPT_S:
        # Its first outcome may be forgotten: decided now, it could be done twice.
        return _refused(fold, command, Refused(Code.CONFLICT, "this command is older than what is remembered"))
    try:
        seq = RULES.get(type(command.action), _unknown)(fold, command, command.action)
    except Refused as refusal:
        return _refused(fold, command, refusal)
    result = Result(command, Outcome(command.type, seq))
    fold.state.known[command.key] = result.outcome
    if type(command.action) not in (messages.SendMessage, provisioning.ImportMessage):  # whose row is its own trace
        fold.state.changes.traces.append(result)
    return result


def _refused(fold: Fold, command: Command, refusal: Refused) -> Result:
    outcome = Outcome(command.type, None, refusal.code, refusal.reason, refusal.policies)
    result = Result(command, outcome)
    if command.chat_id in fold.state.chats or type(command.action) is chats.CreateChat:
        fold.state.known[command.key] = outcome
        fold.state.changes.traces.append(result)
    return result


def _unknown(fold: Fold, command: Command, do: UnknownAction) -> int:
    """Left for a newer version as long as there is hope (`Worker`); asked here, there is none."""
    fold.permit(command, "chat.read")
    raise Refused(Code.CONFLICT, f"no process knows what {do.type} is")
