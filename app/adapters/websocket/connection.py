"""The thin shell around the socket's state machine: the upgrade, who it is, and one request after the other."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from app.adapters.origins import origin_is_good
from app.adapters.websocket.outbox import Outbox
from app.adapters.websocket.state_machine import (
    Authenticate,
    Disconnect,
    Do,
    Output,
    State,
    StateMachine,
    Submit,
    Tell,
    lines_of,
)
from app.adapters.websocket.transport import EXTENSION, ParleyWebSocketProtocol
from app.adapters.wire.encoder import JsonCodec
from app.adapters.wire.messages import ReadMark, read_json
from app.adapters.wire.problems import PROBLEM_TYPE, problem_json
from app.adapters.wire.socket import AuthRefresh, Hello, Ping, Sync, Typing
from app.application.budget import Budget
from app.application.hub.sessions import Session
from app.application.ports.errors import Transient, Unavailable
from app.application.ports.people import Bearer
from app.application.ports.socket import Close
from app.application.turns import OTHERS
from app.application.use_cases import UseCases
from app.domain.errors import Code, ParleyError, rate_limited, unavailable
from app.domain.scopes import Scope

SUBPROTOCOL = "parley.v1"
HELLO_BYTES_MAX = 64 * 1024
LINES_A_TURN = 50
REST_MAX_S = 0.1
"""A turn that took so much longer, because the process stood still, isn't paid for."""
UNIT_BYTES = 1024
"""A frame, a line and so many bytes are a unit of work each."""
BURST_S = 10.0
"""Of the budget of work; and the debt that ends a socket, in seconds of it."""
IN_FLIGHT_MAX = 100
IN_FLIGHT_BYTES_MAX = 256 * 1024
EXPIRING_S = 60.0


@dataclass(frozen=True, slots=True)
class SocketDoor:
    """What a socket is served with. allowed_origins: beside the same host, plain ones. work_per_s: units of work that one socket may
    send a second. frame_max: bytes of a frame. hello_s: how long it may say nothing. on_close: told each code that we
    close with. on_turn: told how long each turn on behalf of one socket took, seconds."""

    use_cases: UseCases
    codec: JsonCodec
    allowed_origins: tuple[str, ...]
    on_close: Callable[[int], None]
    work_per_s: float
    frame_max: int
    on_turn: Callable[[float], None] = lambda seconds: None
    hello_s: float = 5.0

    async def serve(self, websocket: WebSocket) -> None:
        query = parse_qs(websocket.url.query, keep_blank_values=True)
        if "token" in query or "access_token" in query:
            return await _deny(
                websocket, ParleyError(Code.INVALID, "nothing secret in a URL: say it in the hello"), 400
            )
        origin = websocket.headers.get("origin")
        if not origin_is_good(origin, websocket.headers.get("host", ""), self.allowed_origins):
            return await _deny(websocket, ParleyError(Code.NOT_ALLOWED, "this origin may not connect"))
        try:
            await self.use_cases.strangers.turn(_address_of(websocket))
        except ParleyError as error:
            return await _deny(websocket, error)
        if self.use_cases.draining:
            return await _deny(websocket, ParleyError(Code.UNAVAILABLE, "this process is going down"))
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await _Connection(websocket, self).run()


def _address_of(websocket: WebSocket) -> str:
    return websocket.client.host if websocket.client else ""


async def _deny(websocket: WebSocket, error: ParleyError, status: int | None = None) -> None:
    body = problem_json(error, status)
    await websocket.send_denial_response(JSONResponse(body, status_code=body["status"], media_type=PROBLEM_TYPE))


class _Connection:
    def __init__(self, websocket: WebSocket, door: SocketDoor) -> None:
        self._websocket = websocket
        self._door = door
        self._use_cases = door.use_cases
        self._codec = door.codec
        self._machine = StateMachine()
        self._socket: ParleyWebSocketProtocol = websocket.scope["extensions"][EXTENSION]
        self._outbox = Outbox(self._socket, door.on_close)
        self._session: Session | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._budget = Budget(door.work_per_s, door.work_per_s * BURST_S, self._loop.time())
        self._lines: deque[str] = deque()
        self._behind_hello = ""
        self._turn: asyncio.Handle | None = None
        self._paying: asyncio.TimerHandle | None = None
        self._authenticating: asyncio.Task[None] | None = None
        self._in_flight = self._in_flight_bytes = 0

    async def run(self) -> None:
        hello = self._loop.call_later(self._door.hello_s, self._hello_timeout)
        self._socket.bound_messages(HELLO_BYTES_MAX)
        self._socket.on_frames, self._socket.on_text = self._charge, self._take
        try:
            while self._machine.state is not State.CLOSED and not self._outbox.closed:
                message = await self._websocket.receive()
                if message["type"] != "websocket.receive":
                    break
                if (text := message.get("text")) is not None:
                    self._take(text)
                else:
                    self._do_now(self._machine.receive_bytes())
        finally:
            for timer in (hello, self._turn, self._paying, *self._timers):
                if timer is not None:
                    timer.cancel()
            self._lines.clear()
            self._behind_hello = ""  # what refers to itself waits for the collector; its texts needn't
            self._outbox.gone()
            if self._authenticating is not None:
                await asyncio.wait([self._authenticating])
            if self._session is not None:
                self._use_cases.sockets.gone(self._session)

    # What it sends is taken in turns, within a budget of work

    def _take(self, text: str) -> None:
        """A frame: one or more lines. Until the hello is good only its first line is looked at."""
        if self._authenticating is not None:  # it came in the same read as the hello
            self._behind_hello += f"\n{text}"
            return
        if self._machine.state is State.HELLO:
            first, _, self._behind_hello = text.lstrip().partition("\n")
            lines = [first]
        else:
            lines = lines_of(text)
        self._charge(len(lines) + len(text) // UNIT_BYTES)
        self._lines.extend(lines)
        if self._turn is None and self._authenticating is None:
            self._take_turn()

    def _take_turn(self) -> None:
        """So many lines; the rest waits for twice as long as they took: who sends much at once has a third of the loop, since
        what others said goes through many of its turns. Nothing is awaited between reading a line and queueing its command."""
        began = time.perf_counter()
        self._turn = None
        for _ in range(LINES_A_TURN):
            if not self._lines or self._outbox.closed or self._authenticating is not None:
                break
            output = self._machine.receive_line(self._lines.popleft())
            if output is not None:
                self._do_now(output)
        took_s = time.perf_counter() - began
        if self._outbox.closed:
            self._lines.clear()
        elif self._lines and self._authenticating is None:
            self._turn = self._loop.call_later(min(OTHERS * took_s, REST_MAX_S), self._take_turn)
        self._pace_reading()
        self._door.on_turn(took_s)

    def _charge(self, units: float) -> None:
        """Beyond its budget it is told so once, and read again when the debt is paid; one that runs up more, or goes on
        so, is cut off."""
        now = self._loop.time()
        debt_s = self._budget.take(units, now)
        if debt_s == 0 or self._outbox.closed:
            return
        if self._session is not None and self._machine.is_calm(now):
            wait_ms = max(1, int(1_000 * debt_s))
            self._outbox.send(self._codec.error(None, rate_limited("this socket sends more than it may", wait_ms)))
        over = self._machine.over_budget() if debt_s > BURST_S else self._machine.over_limit(now, debt_s)
        if over is not None:
            self._lines.clear()
            return self._outbox.close(over.code, over.reason)
        if self._paying is not None:
            self._paying.cancel()
        self._paying = self._loop.call_later(debt_s, self._paid)
        self._pace_reading()

    def _paid(self) -> None:
        self._paying = None
        self._pace_reading()

    def _pace_reading(self) -> None:
        """Reading pauses while lines wait, a debt is paid, or too much of this socket is unconfirmed."""
        if self._lines or self._paying is not None or self._authenticating is not None or self._is_full():
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()

    def _hello_timeout(self) -> None:
        for output in self._machine.hello_timeout():
            self._do_now(output)

    def _close(self, code: int, reason: str) -> None:
        self._machine.closed()
        self._outbox.close(code, reason)

    def _do_now(self, output: Output) -> None:
        match output:
            case Authenticate(hello):
                self._authenticating = self._use_cases.background.create_task(self._authenticate(hello))
            case Submit():
                self._submit(output)
            case Do(request, counted):
                self._request(request, counted)
            case Tell(ref, error):
                if self._session is None or self._is_within_limit(self._session, ref):
                    self._outbox.send(self._codec.error(ref, error))
            case Disconnect(code, reason):
                self._close(code, reason)

    # Who it is

    async def _authenticate(self, hello: Hello) -> None:
        sockets, resume = self._use_cases.sockets, hello.resume
        self._charge(len(resume.chats) if resume else 0)
        try:
            bearer = await self._bearer(hello)
            self._use_cases.keys.permit(bearer.scopes, Scope.READ)
            session, account = await sockets.signed_in(bearer, self._outbox)
            if self._outbox.closed:  # it left while it waited
                return self._machine.closed()
            if self._use_cases.draining:
                return self._close(Close.RESTART, "the process goes down")
            self._session = session
            self._machine.authenticated()
            if not await sockets.welcome(
                session, account, resume.chats if resume else {}, resume.epoch if resume else ""
            ):
                return self._machine.closed()
            self._expire_at(bearer)
        except ParleyError as error:
            self._machine.closed()
            await self._use_cases.strangers.failed(_address_of(self._websocket))
            self._close(Close.UNAUTHENTICATED, error.reason)
        except (Transient, Unavailable) as error:
            self._outbox.send(self._codec.error(None, unavailable("try again", error.away_s)))
            self._close(Close.INTERNAL, "try again")
        except Exception:
            self._close(Close.INTERNAL, "internal")
            raise
        finally:
            self._authenticating = None
        if not self._outbox.closed:
            self._socket.bound_messages(self._door.frame_max)
            behind, self._behind_hello = self._behind_hello, ""
            if behind.strip():
                self._take(behind)
            self._pace_reading()

    async def _bearer(self, hello: Hello) -> Bearer:
        identity = self._use_cases.identity
        if hello.ticket is not None:
            return await identity.by_ticket(hello.ticket)
        if hello.token is not None:
            return await identity.hello(hello.token)
        scheme, _, token = self._websocket.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ParleyError(Code.UNAUTHENTICATED, "no credentials")
        return await identity.hello(token.strip())

    def _expire_at(self, bearer: Bearer) -> None:
        for timer in self._timers:
            timer.cancel()
        left = bearer.until - time.monotonic()
        self._timers = [
            self._loop.call_later(max(0.0, left - EXPIRING_S), self._expiring, bearer),
            self._loop.call_later(max(0.0, left), self._close, Close.UNAUTHENTICATED, "the token has expired"),
        ]

    def _expiring(self, bearer: Bearer) -> None:
        self._outbox.send(self._codec.auth_expiring(_seconds_left(bearer)))

    # Requests

    def _submit(self, command: Submit) -> None:
        session = self._session
        assert session is not None
        if not self._is_within_limit(session, command.ref) or not self._may_write(session, command.ref):
            return
        size = len(getattr(command.action, "body", "")) * 2 + 200
        self._in_flight += 1
        self._in_flight_bytes += size
        self._use_cases.submitter.send(
            session, command.ref, command.chat_id, command.id, command.action, lambda: self._settled(size)
        )

    def _request(self, request: Any, counted: bool) -> None:
        session = self._session
        assert session is not None
        if counted and not self._is_within_limit(session, request.ref):
            return
        match request:
            case Ping():
                self._outbox.send(self._codec.pong(request.ref))
            case Sync():
                self._charge(len(request.chats))  # each is looked up, and may be given much
                self._use_cases.hub.sync(session, request.ref, dict(request.chats))
            case Typing() | ReadMark() if not self._may_write(session, getattr(request, "ref", None)):
                pass
            case Typing():
                self._use_cases.typing.say(session, request.chat_id)
            case ReadMark():
                self._spawn(request.ref, self._mark_read(session, request))
            case AuthRefresh():
                self._spawn(request.ref, self._refresh(session, request))
            case _:
                raise AssertionError(f"nothing is done for {type(request).__name__}")

    def _is_within_limit(self, session: Session, ref: str | None) -> bool:
        """Count a request; one too many is told to wait, and who goes on like this is cut off."""
        try:
            self._use_cases.count_request(session.counted)
            return True
        except ParleyError as error:
            self._outbox.send(self._codec.error(ref, error))
        over = self._machine.over_limit(self._loop.time())
        if over is not None:
            self._outbox.close(over.code, over.reason)
        return False

    def _may_write(self, session: Session, ref: str | None) -> bool:
        """A key may be good for reading alone."""
        try:
            self._use_cases.keys.permit(session.scopes, Scope.WRITE)
            return True
        except ParleyError as error:
            self._outbox.send(self._codec.error(ref, error))
            return False

    def _settled(self, size: int) -> None:
        self._in_flight -= 1
        self._in_flight_bytes -= size
        if not self._outbox.closed:
            self._pace_reading()

    def _is_full(self) -> bool:
        return self._in_flight >= IN_FLIGHT_MAX or self._in_flight_bytes >= IN_FLIGHT_BYTES_MAX

    def _spawn(self, ref: str, work: Coroutine[Any, Any, dict[str, Any]]) -> None:
        self._in_flight += 1
        self._use_cases.background.create_task(self._answer(ref, work))

    async def _answer(self, ref: str, work: Coroutine[Any, Any, dict[str, Any]]) -> None:
        try:
            line = self._codec.ok(ref, await work)
        except ParleyError as error:
            line = self._codec.error(ref, error)
        except Transient as error:
            line = self._codec.error(ref, unavailable(away_s=error.away_s))
        finally:
            self._settled(0)
        self._outbox.send(line)

    async def _mark_read(self, session: Session, request: ReadMark) -> dict[str, Any]:
        read_seq, unread = await self._use_cases.read_marks.mark(session.user_id, request.chat_id, request.seq)
        return {"chat_id": request.chat_id, **read_json(read_seq, unread)}

    async def _refresh(self, session: Session, request: AuthRefresh) -> dict[str, Any]:
        try:
            bearer = await self._use_cases.sockets.refresh(session, request.token)
        finally:
            if self._outbox.closed:  # the new token's session has ended
                self._machine.closed()
        self._expire_at(bearer)
        return {"expires_in": _seconds_left(bearer)}


def _seconds_left(bearer: Bearer) -> int:
    return max(0, int(bearer.until - time.monotonic()))
