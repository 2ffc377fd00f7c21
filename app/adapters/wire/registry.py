"""All subjects of the wire, merged: what documents, codecs and checks are derived from."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Any, NotRequired

from typing_extensions import TypedDict, get_type_hints

from app.adapters.wire import (
    assistants,
    chats,
    invitations,
    keys,
    members,
    messages,
    moderation,
    people,
    pins,
    policies,
    problems,
    reactions,
    replies,
    server,
    socket,
)
from app.adapters.wire.examples import ANNA, AT, CHAT
from app.adapters.wire.values import AnyEvent, CommandShape, EventShape, Request, Shown, type_of
from app.domain.events import Event, Opaque
from app.domain.ids import SYSTEM_ID
from app.domain.text import rfc3339

COMMANDS: dict[str, CommandShape] = {}
"""By the type of the socket's request. Other commands are asked for by REST alone."""
EVENTS: dict[str, EventShape] = {}
"""By the type of the event. One of another type is told as its place alone."""
SIGNALS: dict[str, Shown] = {}
ANSWERS: dict[str, Shown] = {type_of(answer.shape): answer for answer in socket.ANSWERS}
BODIES: dict[str, Shown] = {}
"""REST's bodies, by the name of their schema."""


def add_subject(subject: ModuleType) -> None:
    """COMMANDS, EVENTS, SIGNALS and BODIES of a subject's file, those that it has. Raises ValueError where a name is another's."""
    rows = vars(subject)
    _add(COMMANDS, ((command.type, command) for command in rows.get("COMMANDS", ())))
    _add(EVENTS, ((event.type, event) for event in rows.get("EVENTS", ())))
    _add(SIGNALS, ((type_of(signal.shape), signal) for signal in rows.get("SIGNALS", ())))
    _add(BODIES, ((body.shape.__name__, body) for body in rows.get("BODIES", ())))


def _add(registry: dict[str, Any], rows: Iterable[tuple[str, Any]]) -> None:
    for name, row in rows:
        if registry.setdefault(name, row) is not row:
            raise ValueError(f"two are called {name}")


for _subject in (
    people,
    keys,
    invitations,
    chats,
    members,
    messages,
    reactions,
    pins,
    replies,
    assistants,
    moderation,
    server,
):
    add_subject(_subject)
SIGNALS.update((type_of(signal.shape), signal) for signal in socket.SIGNALS)
BODIES.update((body.shape.__name__, body) for body in (*policies.BODIES, *problems.BODIES))


def socket_requests() -> dict[str, type[Request]]:
    """The model of each request of the socket."""
    return {request.type: request.model for request in socket.REQUESTS} | {
        name: command.model for name, command in COMMANDS.items()
    }


def request_examples() -> dict[str, dict[str, Any]]:
    """An example of each request of the socket."""
    shapes: list[Any] = [*socket.REQUESTS, *COMMANDS.values()]
    return {shape.type: {"type": shape.type, **shape.example} for shape in shapes}


def request_answers() -> dict[str, tuple[str, ...]]:
    """The frames that repeat each request's ref. A command's event goes to all members beside."""
    return {request.type: request.answers for request in socket.REQUESTS} | dict.fromkeys(
        COMMANDS, socket.COMMAND_ANSWERS
    )


def frame_shapes() -> dict[str, Any]:
    """The typed dict of each frame that the service sends: answers, events, signals."""
    shown: list[Any] = [*ANSWERS.values(), *EVENTS.values(), *SIGNALS.values()]
    return {type_of(each.shape): each.shape for each in shown}


def frame_examples() -> dict[str, dict[str, Any]]:
    """An example of each frame that the service sends."""
    place = {"chat_id": CHAT, "at": AT, "actor_id": ANNA}
    return {name: {"type": name, **shown.example} for name, shown in (*ANSWERS.items(), *SIGNALS.items())} | {
        name: {"type": name, **place, **event.example} for name, event in EVENTS.items()
    }


def event_json(event: Event) -> dict[str, Any]:
    made = {
        "type": event.type,
        "chat_id": event.chat_id,
        "seq": event.seq,
        "at": rfc3339(event.at),
        "actor_id": event.actor_id if event.actor_id != SYSTEM_ID else None,
    }
    shape = EVENTS.get(event.type)
    if shape is None or isinstance(event.payload, Opaque):
        return made
    if event.command_id is not None:
        made["command_id"] = event.command_id
    made.update(shape.fields(event.payload))
    return made


def _any_event() -> Any:
    """One typed dict of all events: REST's timeline."""
    fields: dict[str, Any] = {"type": str} | get_type_hints(AnyEvent, include_extras=True)
    for event in EVENTS.values():
        for name, kind in get_type_hints(event.shape, include_extras=True).items():
            fields.setdefault(name, NotRequired[kind])
    make: Any = TypedDict  # its fields are not known before
    made = make("EventJson", fields)
    made.__doc__ = "A durable event; which of the optional fields it has follows from its type."
    return made


EventJson: Any = _any_event()


class TimelineJson(TypedDict):
    items: list[EventJson]
    has_more: bool
    head: int
