"""The thin shell around the socket's state machine: the upgrade, who it is, and one request after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from app.adapters import wire
from app.adapters.websocket.outbox import Outbox
from app.adapters.websocket.protocol import (
    Authenticate,
    Disconnect,
    Do,
    Output,
    SocketProtocol,
    State,
    Tell,
    error_frame,
)
from app.adapters.websocket.server import EXTENSION, ParleyWebSocketProtocol
from app.application.accounts import Bearer
from app.application.ports import Transient
from app.application.reads import mark_read, tell_typing
from app.application.services import Services
from app.application.sessions import Session
from app.application.signals import Note, pack_note, user_channel
from app.domain import commands as c
from app.domain.commands import Command
from app.domain.errors import Close, Code, ParleyError

SUBPROTOCOL = "parley.v1"
IN_FLIGHT_MAX = 100
IN_FLIGHT_BYTES_MAX = 256 * 1024
EXPIRING_S = 60.0
TYPING_EVERY_S = 3.0


def origin_is_good(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Absent, the same host, or listed; `null` never."""
    return origin is None or origin in (f"http://{host}", f"https://{host}") or (origin in allowed and origin != "null")


async def serve_socket(websocket: WebSocket, services: Services) -> None:
    query = parse_qs(websocket.url.query, keep_blank_values=True)
    if "token" in query or "access_token" in query:
        return await _deny(websocket, Code.INVALID, 400, "nothing secret in a URL: say it in the hello")
    origin = websocket.headers.get("origin")
    if not origin_is_good(origin, websocket.headers.get("host", ""), services.settings.allowed_origins):
        return await _deny(websocket, Code.NOT_ALLOWED, 403, "this origin may not connect")
    if services.draining:
        return await _deny(websocket, Code.UNAVAILABLE, 503, "this process is going down")
    offered = websocket.scope.get("subprotocols", [])
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    await _Connection(websocket, services).run()


async def _deny(websocket: WebSocket, code: Code, status: int, reason: str) -> None:
    body = {"type": "about:blank", "title": reason, "status": status, "detail": reason, "code": code}
    await websocket.send_denial_response(JSONResponse(body, status_code=status, media_type="application/problem+json"))


class _Connection:
    def __init__(self, websocket: WebSocket, services: Services) -> None:
        self._websocket = websocket
        self._services = services
        self._protocol = SocketProtocol(services.settings.body_max)
        self._socket: ParleyWebSocketProtocol = websocket.scope["extensions"][EXTENSION]
        self._outbox = Outbox(self._socket, services.on_close)
        self._session: Session | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._in_flight = self._in_flight_bytes = 0
        self._typed: dict[str, float] = {}

    async def run(self) -> None:
        hello = self._loop.call_later(self._services.settings.hello_s, self._hello_timeout)
        try:
            while self._protocol.state is not State.CLOSED and not self._outbox.closed:
                message = await self._websocket.receive()
                if message["type"] != "websocket.receive":
                    break
                text = message.get("text")
                outputs = self._protocol.receive_text(text) if text is not None else self._protocol.receive_bytes()
                for output in outputs:
                    await self._do(output)
                    if self._outbox.closed:
                        break
                if self._session is not None and self._socket.queue.empty():
                    self._socket.on_text = self._on_text  # from here on receive() tells only of the end
        finally:
            hello.cancel()
            for timer in self._timers:
                timer.cancel()
            self._outbox.gone()
            if self._session is not None:
                self._services.hub.drop(self._session)
                self._services.open_sockets.closed(self._session.user_id, self._session.id)

    def _on_text(self, text: str) -> None:
        """A frame of a signed-in client: nothing is awaited between reading it and queueing its commands."""
        for output in self._protocol.receive_text(text):
            if self._outbox.closed:
                return
            self._do_now(output)
        if self._is_full():
            self._socket.pause_reading()

    def _hello_timeout(self) -> None:
        for output in self._protocol.hello_timeout():
            if isinstance(output, Disconnect):
                self._outbox.close(output.code, output.reason)

    def _close(self, code: int, reason: str) -> None:
        self._protocol.closed()
        self._outbox.close(code, reason)

    async def _do(self, output: Output) -> None:
        if isinstance(output, Authenticate):
            await self._authenticate(output.hello)
        else:
            self._do_now(output)

    def _do_now(self, output: Output) -> None:
        match output:
            case Tell(frame):
                if self._session is None or self._is_within_limit(self._session, frame.get("ref")):
                    self._outbox.send(wire.encode(frame))
            case Disconnect(code, reason):
                self._close(code, reason)
            case Do(request, counted):
                self._request(request, counted)

    # Who it is

    async def _authenticate(self, hello: wire.Hello) -> None:
        try:
            bearer = await self._bearer(hello)
            account = await self._services.accounts.by_id(bearer.user_id)
            if account is None:
                raise ParleyError(Code.UNAUTHENTICATED)
        except ParleyError as error:
            return self._close(Close.UNAUTHENTICATED, error.reason)
        except Transient:
            return self._close(Close.INTERNAL, "try again")
        session = Session(self._services.new_id(), bearer.user_id, bearer.session_id, self._outbox)
        self._session = session
        self._protocol.authenticated()
        welcome = {
            "type": "welcome",
            "session_id": session.id,
            "user": {**wire.person_json(account.person), "role": account.role, "preferences": account.preferences},
            "heartbeat_s": self._services.settings.heartbeat_s,
            "limits": self._limits(),
        }
        resume = hello.resume
        try:
            await self._services.hub.open(
                session, welcome, resume.chats if resume else {}, resume.epoch if resume else ""
            )
            if not await self._services.accounts.session_alive(bearer.session_id):
                return self._close(Close.UNAUTHENTICATED, "the session has ended")
            await self._make_room(session)
            self._expire_at(bearer)
        except Transient:
            self._close(Close.INTERNAL, "try again")

    async def _make_room(self, session: Session) -> None:
        """One socket too many closes the oldest, on whatever gateway it is."""
        services = self._services
        most = services.settings.sockets_per_user
        oldest = await services.open_sockets.opened(session.user_id, session.id, most)
        if oldest:
            services.hub.evict(session.user_id, oldest)
            await services.fan_out.publish([(user_channel(session.user_id), pack_note(Note("evicted", oldest)))])

    async def _bearer(self, hello: wire.Hello) -> Bearer:
        identity = self._services.identity
        if hello.ticket is not None:
            return await identity.by_ticket(hello.ticket)
        if hello.token is not None:
            return await identity.bearer(hello.token)
        scheme, _, token = self._websocket.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise ParleyError(Code.UNAUTHENTICATED, "no credentials")
        return await identity.bearer(token.strip())

    def _limits(self) -> dict[str, int]:
        settings = self._services.settings
        return {
            "body_max": settings.body_max,
            "frame_max": settings.frame_in_max,
            "group_members_max": settings.group_members_max,
            "sockets_per_user": settings.sockets_per_user,
        }

    def _expire_at(self, bearer: Bearer) -> None:
        for timer in self._timers:
            timer.cancel()
        left = bearer.expires_at - time.time()
        self._timers = [
            self._loop.call_later(max(0.0, left - EXPIRING_S), self._expiring, bearer),
            self._loop.call_later(max(0.0, left), self._close, Close.UNAUTHENTICATED, "the token has expired"),
        ]

    def _expiring(self, bearer: Bearer) -> None:
        left = max(0, int(bearer.expires_at - time.time()))
        self._outbox.send(wire.encode({"type": "auth.expiring", "expires_in": left}))

    # Requests

    def _request(self, request: Any, counted: bool) -> None:
        session = self._session
        assert session is not None
        ref: str | None = getattr(request, "ref", None)
        if counted and not self._is_within_limit(session, ref):
            return
        match request:
            case wire.Ping():
                self._outbox.send(wire.encode({"type": "pong", "ref": ref}))
            case wire.Sync():
                self._services.hub.sync(session, request.ref, dict(request.chats))
            case wire.Typing():
                self._typing(session, request.chat_id)
            case wire.ReadMark():
                self._spawn(request.ref, self._mark_read(session, request))
            case wire.AuthRefresh():
                self._spawn(request.ref, self._refresh(session, request))
            case _:
                self._command(session, request)

    def _is_within_limit(self, session: Session, ref: str | None) -> bool:
        """Count a request; one too many is told to wait, and who goes on like this is cut off."""
        retry_after_ms = self._services.limiter.request(session.user_id)
        if retry_after_ms is None:
            return True
        error = ParleyError(Code.RATE_LIMITED, "too many requests", retry_after_ms=retry_after_ms)
        self._outbox.send(wire.encode(error_frame(ref, error)))
        over = self._protocol.over_limit(self._loop.time())
        if over is not None:
            self._outbox.close(over.code, over.reason)
        return False

    def _command(self, session: Session, request: wire.SocketCommand) -> None:
        size = len(getattr(request, "body", "")) * 2 + 200
        command = _command(request, session.user_id, self._services)
        self._in_flight += 1
        self._in_flight_bytes += size
        self._services.submitter.send(session, command, request.ref, lambda: self._settled(size))

    def _settled(self, size: int) -> None:
        self._in_flight -= 1
        self._in_flight_bytes -= size
        if self._socket.read_paused and not self._is_full():
            self._socket.resume_reading()

    def _is_full(self) -> bool:
        """Reading pauses while too much of this socket is unconfirmed."""
        return self._in_flight >= IN_FLIGHT_MAX or self._in_flight_bytes >= IN_FLIGHT_BYTES_MAX

    def _spawn(self, ref: str, work: Coroutine[Any, Any, dict[str, Any]]) -> None:
        self._in_flight += 1
        self._services.group.create_task(self._answer(ref, work, lambda: self._settled(0)))

    async def _answer(self, ref: str, work: Coroutine[Any, Any, dict[str, Any]], settled: Callable[[], None]) -> None:
        try:
            frame = {"type": "ok", "ref": ref, **await work}
        except ParleyError as error:
            frame = error_frame(ref, error)
        except Transient:
            frame = error_frame(ref, ParleyError(Code.UNAVAILABLE, retry_after_ms=1_000))
        finally:
            settled()
        self._outbox.send(wire.encode(frame))

    async def _mark_read(self, session: Session, request: wire.ReadMark) -> dict[str, Any]:
        read_seq, unread = await mark_read(self._services, session.user_id, request.chat_id, request.seq)
        return {"chat_id": request.chat_id, "read_seq": read_seq, "unread": unread}

    async def _refresh(self, session: Session, request: wire.AuthRefresh) -> dict[str, Any]:
        bearer = await self._services.identity.bearer(request.token)
        if bearer.user_id != session.user_id:
            raise ParleyError(Code.UNAUTHENTICATED, "this token is another user's")
        session.auth_session_id = bearer.session_id
        if not await self._services.accounts.session_alive(bearer.session_id):  # from here on its end is told to us
            self._close(Close.UNAUTHENTICATED, "the session has ended")
            raise ParleyError(Code.UNAUTHENTICATED, "the session has ended")
        self._expire_at(bearer)
        return {"expires_in": max(0, int(bearer.expires_at - time.time()))}

    def _typing(self, session: Session, chat_id: str) -> None:
        now = self._loop.time()
        if chat_id not in session.cursors or now - self._typed.get(chat_id, -TYPING_EVERY_S) < TYPING_EVERY_S:
            return
        self._typed[chat_id] = now
        self._services.group.create_task(tell_typing(self._services, session.user_id, chat_id))


def _command(request: wire.SocketCommand, user_id: str, services: Services) -> Command:
    origin = services.hub.process_id
    if isinstance(request, wire.MessageSend):
        send = c.SendMessage(request.body, request.reply_to)
        return Command(request.chat_id, user_id, request.client_message_id, send, origin)
    action: c.Action
    match request:
        case wire.MessageEdit():
            action = c.EditMessage(request.message_id, request.body)
        case wire.MessageDelete():
            action = c.DeleteMessage(request.message_id)
        case wire.ReactionAdd():
            action = c.AddReaction(request.message_id, request.emoji)
        case wire.ReactionRemove():
            action = c.RemoveReaction(request.message_id, request.emoji)
        case wire.ReplyStop():
            action = c.StopReply(request.message_id)
        case wire.ReplyRegenerate():
            action = c.RegenerateReply(request.message_id)
    return Command(request.chat_id, user_id, request.command_id or services.new_id(), action, origin, wait=True)
