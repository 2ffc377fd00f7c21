"""Uvicorn's WebSocket protocol with what ASGI can't say: write now, know when the peer doesn't read, abort; and with
bounds on what a peer can have done for it in one turn of the loop.

ASGI's `send` blocks when the peer doesn't read, `close` too, and the socket stays (measured: still there after 50 s).
Framing stays `websockets`' own. Pinned with uvicorn by the lock file and tested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

EXTENSION = "parley.socket"
CLOSE_S = 2.0
HANDSHAKE_S = 10.0
_PIECE_BYTES = 2 * 1024
_FRAMES_A_TURN = 200


class ParleyWebSocketProtocol(WebSocketsSansIOProtocol):
    on_writable: Callable[[], None] | None = None
    on_text: Callable[[str], None] | None = None
    """Where set, text frames go straight there, without a queue, a task switch and two system calls each."""

    on_frames: Callable[[int], None] | None = None
    """Where set, told how many frames came, of whatever kind."""
    _unread = b""
    _frames = _behind_close = 0
    _deaf = False
    _turn: asyncio.Handle | None = None
    _handshake: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._handshake = self.loop.call_later(HANDSHAKE_S, self._not_accepted)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._handshake, self._turn):
            if timer is not None:
                timer.cancel()
        self._unread = b""
        super().connection_lost(exc)

    def _not_accepted(self) -> None:
        """A request that is none, or that nobody answered."""
        if not self.handshake_complete:
            self.abort()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    # What comes is taken in turns: one read may hold forty thousand frames.

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._unread += data
        if self._turn is None and not self.read_paused:
            self._take_turn()

    def _take_turn(self) -> None:
        """So many frames; the rest waits, unread, until others had theirs."""
        waited, self._turn, taken = self._turn is not None, None, 0
        while self._unread and not self.read_paused and not self.disconnected and taken < _FRAMES_A_TURN:
            piece, self._unread = self._unread[:_PIECE_BYTES], self._unread[_PIECE_BYTES:]
            self._frames = 0
            super().data_received(piece)
            taken += self._frames
            if self._frames and self.on_frames is not None:
                self.on_frames(self._frames)
            if self.close_sent:  # its answer is waited for, but not behind whatever it still sends
                self._behind_close += self._frames
                self._deaf = self._behind_close > _FRAMES_A_TURN
            if self.conn.parser_exc is not None or self._deaf:
                self._unread = b""
        if self.read_paused or self.disconnected:
            return
        if self._unread:
            self.transport.pause_reading()
            self._turn = self.loop.call_soon(self._take_turn)
        elif waited:
            self.transport.resume_reading()

    def handle_text(self, event: Any) -> None:
        self._frames += 1
        super().handle_text(event)

    def handle_bytes(self, event: Any) -> None:
        self._frames += 1
        super().handle_bytes(event)

    def handle_cont(self, event: Any) -> None:
        self._frames += 1
        super().handle_cont(event)

    def handle_ping(self) -> None:
        self._frames += 1
        super().handle_ping()

    def handle_pong(self, event: Any) -> None:
        self._frames += 1
        super().handle_pong(event)

    async def receive(self) -> Any:
        message = await self.queue.get()
        if self.queue.empty():
            self.resume_reading()
        return message

    @property
    def writes_paused(self) -> bool:
        return not self.writable.is_set()

    def send_receive_event_to_app(self) -> None:
        if self.on_text is None or self.curr_msg_data_type != "text" or self.close_sent:
            return super().send_receive_event_to_app()
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        try:
            text = bytes(data).decode()
        except UnicodeDecodeError:
            self.conn.send_close(1007)
            self.handle_parser_exception()
            return
        self.on_text(text)

    def pause_reading(self) -> None:
        if not self.read_paused and not self.disconnected:
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused and not self.disconnected:
            self.read_paused = False
            if self._unread:
                self._turn = self._turn or self.loop.call_soon(self._take_turn)
            else:
                self.transport.resume_reading()

    def bound_messages(self, bytes_max: int) -> None:
        """A larger one ends the connection, with 1009."""
        self.conn.max_message_size = bytes_max

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.on_writable is not None:
            self.on_writable()

    def write_text(self, data: bytes) -> None:
        if self.disconnected or self.close_sent or self.conn.state is not State.OPEN:
            return
        self.conn.send_text(data)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def close_now(self, code: int, reason: str) -> None:
        """Say why, if the peer still reads; gone in 2 s in any case."""
        if self.disconnected or self.close_sent:
            return
        if self.conn.state is State.OPEN:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.resume_reading()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.close_timer = self.loop.call_later(CLOSE_S, self.abort)

    def abort(self) -> None:
        if not self.disconnected:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        self.pong_timer = None
        self.abort()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self.loop.call_later(CLOSE_S, self.abort)
