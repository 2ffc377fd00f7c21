"""The socket's protocol as a state machine: text in, things to do out. No I/O, no clock, no tasks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import ValidationError

from app.adapters.wire import problems, registry, socket
from app.adapters.wire.socket import Hello
from app.adapters.wire.text import parse
from app.application.ports.socket import Close
from app.domain.command import Action
from app.domain.errors import Code, ParleyError
from app.domain.value import value

_OVER_LIMITS_S = 10.0
_CALM_S = 2.0


class State(Enum):
    HELLO = "hello"
    AUTHENTICATING = "authenticating"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find out who says hello, then call `authenticated`; what follows in the same frame waits in order."""

    hello: Hello


@value(frozen=True, slots=True)
class Submit:
    """A command of good form, to be queued. id: None for one that is drawn. Always counted."""

    ref: str
    chat_id: str
    id: str | None
    action: Action


@dataclass(frozen=True, slots=True)
class Do:
    """Another request of good form. counted: against the user's limit of requests."""

    request: Any
    counted: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """An error to send back. Counted."""

    ref: str | None
    error: ParleyError


@dataclass(frozen=True, slots=True)
class Disconnect:
    code: int
    reason: str


Output = Authenticate | Submit | Do | Tell | Disconnect


def lines_of(text: str) -> list[str]:
    """A frame's requests: JSON objects separated by newlines."""
    return [line for line in text.split("\n") if line.strip()] or [""]


class StateMachine:
    """The state of one socket's protocol."""

    def __init__(self) -> None:
        self.state = State.HELLO
        self._over_since: float | None = None
        self._refused_at = 0.0

    def receive_line(self, line: str) -> Output | None:
        """One request: a JSON object. A bad line fails itself alone; None once it is closed."""
        if self.state is State.CLOSED:
            return None
        try:
            if self.state is State.HELLO:
                return self._hello(line)
            return self._request(line)
        except ParleyError as error:
            return Tell(None, error)

    def receive_bytes(self) -> Disconnect:
        return self._close(Close.UNSUPPORTED_DATA, "text frames only")

    def authenticated(self) -> None:
        self.state = State.OPEN

    def hello_timeout(self) -> list[Output]:
        if self.state is not State.HELLO:
            return []
        return [self._close(Close.HELLO_TIMEOUT, "no hello in time")]

    def over_limit(self, now_s: float, for_s: float = 0.0) -> Disconnect | None:
        """A request was refused by the user's limit, or what came is not paid for yet, for so long. Going on like this
        for 10 s ends the socket."""
        if self.is_calm(now_s):
            self._over_since = now_s
        self._refused_at = max(self._refused_at, now_s + for_s)
        if self._over_since is not None and now_s - self._over_since >= _OVER_LIMITS_S:
            return self.over_budget()
        return None

    def is_calm(self, now_s: float) -> bool:
        """Whether it kept within the limits of late."""
        return self._over_since is None or now_s - self._refused_at > _CALM_S

    def over_budget(self) -> Disconnect:
        """It sent much more work than it may."""
        return self._close(Close.OVER_LIMITS, "over the limits: wait 30 s")

    def closed(self) -> None:
        self.state = State.CLOSED

    def _close(self, code: int, reason: str) -> Disconnect:
        self.state = State.CLOSED
        return Disconnect(code, reason)

    def _hello(self, line: str) -> Output:
        try:
            value = parse(line)
            if not isinstance(value, dict) or value.get("type") != "hello":
                return self._close(Close.BAD_HELLO, "the first request is hello")
            hello = Hello.model_validate(value)
        except (ValidationError, ParleyError):
            return self._close(Close.BAD_HELLO, "this hello has no good form")
        if hello.ticket is not None and hello.token is not None:
            return self._close(Close.BAD_HELLO, "a ticket or a token, not both")
        self.state = State.AUTHENTICATING
        return Authenticate(hello)

    def _request(self, line: str) -> Output:
        value = parse(line)
        if not isinstance(value, dict):
            raise ParleyError(Code.INVALID, "a request is a JSON object")
        ref = value.get("ref")
        good_ref = ref if isinstance(ref, str) and 1 <= len(ref) <= 64 and "\x00" not in ref else None
        try:
            return self._validated(value)
        except ParleyError as error:
            return Tell(good_ref, error)
        except ValidationError as error:
            return Tell(good_ref, problems.invalid(error))

    def _validated(self, value: dict[str, Any]) -> Output:
        type_ = value.get("type")
        if not isinstance(type_, str):
            raise ParleyError(Code.INVALID, "no such request")
        command = registry.COMMANDS.get(type_)
        if command is not None:
            request: Any = command.model.model_validate(value)
            return Submit(request.ref, request.chat_id, getattr(request, command.id), command.action(request))
        if type_ == socket.HELLO.type:
            raise ParleyError(Code.INVALID, "hello was said")
        shape = _REQUESTS.get(type_)
        if shape is None:
            raise ParleyError(Code.UNKNOWN_TYPE, "no such request")
        return Do(shape.model.model_validate(value), shape.counted)


_REQUESTS = {request.type: request for request in socket.REQUESTS}
