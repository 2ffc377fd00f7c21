"""Uvicorn's HTTP protocol with bounds on a request: how large its head is, how long head and body may take.

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

_TOO_SLOW = (408, "Request Timeout", "the request did not come in time")
_TOO_LARGE = (431, "Request Header Fields Too Large", "the request's head is too large")


class ParleyHttpProtocol(HttpToolsProtocol):
    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0

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
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._refuse(*_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._arm(HEAD_S)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._arm(BODY_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()
        self._in_head = True

    def handle_websocket_upgrade(self) -> None:
        self._disarm()
        super().handle_websocket_upgrade()

    def _too_slow(self) -> None:
        if self._in_head:
            self._refuse(*_TOO_SLOW)
        else:
            self.transport.abort()

    def _refuse(self, status: int, title: str, detail: str) -> None:
        """No request was understood, so nobody else can answer."""
        self._disarm()
        code = Code.TOO_LARGE if status == 431 else Code.INVALID
        body = encode(problem_json(ParleyError(code, detail), status))
        head = (
            f"HTTP/1.1 {status} {title}\r\ncontent-type: {PROBLEM_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write((head + body).encode())
        self.transport.close()
