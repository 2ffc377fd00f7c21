"""Uvicorn's HTTP protocol with bounds on a request: how large its head and body are, in how many pieces they come, how
long they may take; and what one connection can have done for it in one turn of the loop.

Pinned with uvicorn by the lock file and tested.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.adapters.wire.problems import PROBLEM_TYPE, problem_json
from app.adapters.wire.text import encode
from app.domain.errors import Code, ParleyError

HEAD_BYTES_MAX = 32 * 1024
HEAD_S = 10.0
BODY_S = 30.0
STALLED_S = 20.0
"""How long an answer may stand unread, as on sockets."""
READ_BYTES_MAX = 2 * 1024 * 1024
"""Of all that comes behind a head, chunks' sizes and trailers included. What is beyond the size of a good body and below
this is read, so that who sends it sees the answer."""
READ_PIECES_MAX = 10_000
HEADER_LINE_MAX = 8_000
HEADERS_MAX = 120
"""Of an upgrade's head: what the WebSocket library takes."""
_PIECE_BYTES = 8 * 1024
_PIECES_A_TURN = 500

_TOO_SLOW = (408, "Request Timeout", "the request did not come in time")
_HEAD_TOO_LARGE = (431, "Request Header Fields Too Large", "the request's head is too large")
_BODY_TOO_LARGE = (413, "Content Too Large", "the request's body is too large, or comes in too many pieces")
_OLD = (400, "Bad Request", "an upgrade takes HTTP/1.1")


class ParleyHttpProtocol(HttpToolsProtocol):
    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = _head_size = _body_bytes = _body_pieces = 0
    _pieces = 0
    _unread = b""
    _turn: asyncio.Handle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._arm(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unread = b""
        for timer in (self._turn, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if self._turn is None:
            self._take_turn()

    def _take_turn(self) -> None:
        """So many pieces of requests; the rest waits until others had their turn."""
        waited, self._turn, self._pieces = self._turn is not None, None, 0
        while self._unread and self._pieces < _PIECES_A_TURN and not self.transport.is_closing():
            piece, self._unread = self._unread[:_PIECE_BYTES], self._unread[_PIECE_BYTES:]
            self._feed(piece)
        if self.transport.is_closing():
            self._unread = b""
        elif self._unread:
            self.transport.pause_reading()
            self._turn = self.loop.call_soon(self._take_turn)
        elif waited and not self.flow.read_paused:
            self.transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        else:
            self._body_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(*_HEAD_TOO_LARGE)
        elif not self._in_head and (self._body_bytes > READ_BYTES_MAX or self._body_pieces > READ_PIECES_MAX):
            if self.cycle is not None and self.cycle.response_started:
                self.transport.close()
            else:
                self._refuse(*_BODY_TOO_LARGE)

    def on_url(self, url: bytes) -> None:
        self._head_size += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._pieces += 1
        if self._in_head:
            self._head_size += len(name) + len(value) + 4
        self._body_pieces += not self._in_head  # a trailer
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._pieces += 1
        self._body_pieces += 1
        super().on_body(body)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._pieces += 1
        self._arm(HEAD_S)

    def on_headers_complete(self) -> None:
        size, self._head_size = self._head_size, 0
        if size > HEAD_BYTES_MAX:  # it came with the last piece
            return self._refuse(*_HEAD_TOO_LARGE)
        self._in_head, self._head_bytes, self._body_bytes, self._body_pieces = False, 0, 0, 0
        self._arm(BODY_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()
        self._in_head = True

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        self._unread = b""  # nothing may follow before it is accepted
        if self.scope["http_version"] != "1.1":
            return self._refuse(*_OLD)
        headers = list(self.scope["headers"])
        longest = max((len(name) + len(value) for name, value in headers), default=0)
        if max(longest, len(self.url)) > HEADER_LINE_MAX or len(headers) > HEADERS_MAX:
            return self._refuse(*_HEAD_TOO_LARGE)
        super().handle_websocket_upgrade()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads, if slowly: a new stall counts anew."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def _too_slow(self) -> None:
        if self._in_head:
            self._refuse(*_TOO_SLOW)
        else:
            self.transport.abort()

    def _refuse(self, status: int, title: str, detail: str) -> None:
        """No request was understood, so nobody else can answer."""
        self._disarm()
        code = Code.TOO_LARGE if status in (413, 431) else Code.INVALID
        body = encode(problem_json(ParleyError(code, detail), status))
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: {PROBLEM_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write((head + body).encode())
        self.transport.close()
