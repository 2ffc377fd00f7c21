"""The socket's protocol as a state machine: text in, things to do out. No I/O, no clock, no tasks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import ValidationError

from app.adapters.wire import SOCKET_REQUESTS, Hello, MessageEdit, MessageSend, SocketRequest, parse
from app.domain.errors import Close, Code, ParleyError
from app.domain.message import check_body

_OVER_LIMITS_S = 10.0
_CALM_S = 2.0
_FREE = ("ping", "typing")


class State(Enum):
    HELLO = "hello"
    AUTHENTICATING = "authenticating"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Find out who says hello, then call `authenticated`; what follows in the same frame waits in order."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Do:
    """A request of good form. counted: against the user's limit of requests."""

    request: Any
    counted: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """A frame to send back."""

    frame: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Disconnect:
    code: int
    reason: str


Output = Authenticate | Do | Tell | Disconnect


class SocketProtocol:
    def __init__(self, body_max: int) -> None:
        self.state = State.HELLO
        self._body_max = body_max
        self._over_since: float | None = None
        self._refused_at = 0.0

    def receive_text(self, text: str) -> list[Output]:
        """A frame: one or more JSON objects separated by newlines. A bad line fails itself alone."""
        lines = [line for line in text.split("\n") if line.strip()]
        outputs: list[Output] = []
        for line in lines or [""]:
            if self.state is State.CLOSED:
                break
            outputs.append(self._line(line))
        return outputs

    def receive_bytes(self) -> list[Output]:
        return [self._close(Close.UNSUPPORTED_DATA, "text frames only")]

    def authenticated(self) -> None:
        self.state = State.OPEN

    def hello_timeout(self) -> list[Output]:
        if self.state is not State.HELLO:
            return []
        return [self._close(Close.HELLO_TIMEOUT, "no hello in time")]

    def over_limit(self, now_s: float) -> Disconnect | None:
        """A request was refused by the user's limit. Going on like this for 10 s ends the socket."""
        if self._over_since is None or now_s - self._refused_at > _CALM_S:
            self._over_since = now_s
        self._refused_at = now_s
        if now_s - self._over_since >= _OVER_LIMITS_S:
            return self._close(Close.OVER_LIMITS, "over the limits: wait 30 s")
        return None

    def closed(self) -> None:
        self.state = State.CLOSED

    def _close(self, code: int, reason: str) -> Disconnect:
        self.state = State.CLOSED
        return Disconnect(code, reason)

    def _line(self, line: str) -> Output:
        try:
            if self.state is State.HELLO:
                return self._hello(line)
            return self._request(line)
        except ParleyError as error:
            return Tell(error_frame(None, error))

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
            return Tell(error_frame(good_ref, error))

    def _validated(self, value: dict[str, Any]) -> Output:
        type_ = value.get("type")
        model = SOCKET_REQUESTS.get(type_) if isinstance(type_, str) else None
        if model is None:
            raise ParleyError(Code.UNKNOWN_TYPE if isinstance(type_, str) else Code.INVALID, "no such request")
        if model is Hello:
            raise ParleyError(Code.INVALID, "hello was said")
        try:
            request: SocketRequest = model.model_validate(value)
        except ValidationError as error:
            raise ParleyError(Code.INVALID, first_error(error)) from None
        if isinstance(request, MessageSend | MessageEdit):
            check_body(request.body, self._body_max)
        return Do(request, type_ not in _FREE)


def first_error(error: ValidationError) -> str:
    """Where it is wrong and how, without what was sent."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in found["loc"]) or "the request"
    return f"{where[:100]}: {found['msg']}"


def error_frame(ref: str | None, error: ParleyError) -> dict[str, Any]:
    frame: dict[str, Any] = {"type": "error"}
    if ref is not None:
        frame["ref"] = ref
    frame |= {"code": error.code, "reason": error.reason}
    if error.retry_after_ms is not None:
        frame["retry_after_ms"] = error.retry_after_ms
    return frame
