"""Uvicorn's WebSocket protocol with what ASGI can't say: write now, know when the peer doesn't read, abort; and with
bounds on what a peer can have done for it in one turn of the loop.

ASGI's `send` blocks when the peer doesn't read, `close` too, and the socket stays (measured: still there after 50 s).
Framing is `websockets`' own, but for what nearly every frame is, a whole text in one frame: it goes straight to whoever reads
it. A frame of any other kind goes to the library, whole, so that both see where the next begins. Pinned with uvicorn by the
lock file and tested, against the library alone too.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # in C, where that is there
from websockets.protocol import State

EXTENSION = "parley.socket"
CLOSE_S = 2.0
HANDSHAKE_S = 10.0
_FRAMES_A_TURN = 200
_WHOLE_TEXT, _MASKED = 0x81, 0x80
"""RFC 6455, 5.2: the first byte of a text in one frame; of the second, the bit of what a client sends."""
_TWO_BYTES, _EIGHT_BYTES = 126, 127
"""Lengths that say: it stands in so many bytes behind."""
_UNBOUNDED = 2**63
_HEAD_TWO, _HEAD_EIGHT = struct.Struct("!BBH"), struct.Struct("!BBQ")


class ParleyWebSocketProtocol(WebSocketsSansIOProtocol):
    on_writable: Callable[[], None] | None = None
    on_text: Callable[[str], None] | None = None
    """Where set, text frames go straight there, without a queue, a task switch and two system calls each."""

    on_frames: Callable[[int], None] | None = None
    """Where set, told how many frames came, of whatever kind."""
    _frames = _behind_close = _wanted = 0
    _deaf = False
    _turn: asyncio.Handle | None = None
    _handshake: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._unread = bytearray()
        self._handshake = self.loop.call_later(HANDSHAKE_S, self._not_accepted)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._handshake, self._turn):
            if timer is not None:
                timer.cancel()
        self._unread.clear()
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
        waited, self._turn, taken, whole = self._turn is not None, None, 0, True
        while whole and not self.read_paused and not self.disconnected and taken < _FRAMES_A_TURN:
            self._frames = 0
            whole = self._take_frame() if self.handshake_initiated else self._take_request()
            taken += self._frames
            if self.close_sent:  # its answer is waited for, but not behind whatever it still sends
                self._behind_close += self._frames
                self._deaf = self._behind_close > _FRAMES_A_TURN
            if self.conn.eof_sent or self._deaf:  # it closed, or broke the rules: nothing behind that counts
                self._unread.clear()
        if taken and self.on_frames is not None:
            self.on_frames(taken)
        if self.read_paused or self.disconnected:
            return
        if whole and self._unread:
            self.transport.pause_reading()
            self._turn = self.loop.call_soon(self._take_turn)
        elif waited:
            self.transport.resume_reading()

    def _take_request(self) -> bool:
        """The head of the request, which comes first."""
        end = self._unread.find(b"\r\n\r\n") + 4
        return self._feed(end if end >= 4 else len(self._unread))

    def _feed(self, size: int) -> bool:
        """So many bytes are the library's."""
        data = bytes(self._unread[:size])
        del self._unread[:size]
        if data:
            super().data_received(data)
        return bool(data)

    def _take_frame(self) -> bool:
        """The next frame. False where it isn't there whole yet."""
        unread, conn = self._unread, self.conn
        size = len(unread)
        if size < 2 or size < self._wanted:
            return False
        length, at = unread[1] & 0x7F, 2
        if length == _TWO_BYTES:
            length, at = int.from_bytes(unread[2:4], "big"), 4
        elif length == _EIGHT_BYTES:
            length, at = int.from_bytes(unread[2:10], "big"), 10
        if size < at:
            return False
        room = (conn.max_message_size or _UNBOUNDED) - (conn.current_size or 0)
        if not unread[1] & _MASKED or length > room:
            return self._feed(size)  # it says what is wrong with it
        begin = at + 4
        end = begin + length
        if size < end:
            self._wanted = end
            return False
        self._wanted = 0
        if (
            unread[0] != _WHOLE_TEXT
            or self.on_text is None
            or self.close_sent
            or conn.current_size is not None
            or conn.state is not State.OPEN
        ):
            return self._feed(end)
        data = apply_mask(unread[begin:end], unread[at:begin])
        del unread[:end]
        self._frames = 1
        self._hand_over(data)
        return True

    def _hand_over(self, data: bytes) -> None:
        assert self.on_text is not None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self.conn.fail(1007)  # what comes behind it isn't looked at
            self.handle_parser_exception()
            return
        self.on_text(text)

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
        data, self.frames = b"".join(self.frames), []
        self._hand_over(data)

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
        size = len(data)
        if size < _TWO_BYTES:
            head = bytes((_WHOLE_TEXT, size))
        elif size < 65_536:
            head = _HEAD_TWO.pack(_WHOLE_TEXT, _TWO_BYTES, size)
        else:
            head = _HEAD_EIGHT.pack(_WHOLE_TEXT, _EIGHT_BYTES, size)
        self.transport.write(head + data)

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
