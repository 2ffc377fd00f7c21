"""A socket's bounded outbox with one writer: what is ready together travels together, who doesn't read is cut off."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from app.adapters.websocket.transport import ParleyWebSocketProtocol
from app.application.ports.socket import Close

FRAMES_MAX = 256
BYTES_MAX = 1024 * 1024
JOINED_MAX = 256 * 1024
ROOM_BYTES = 256 * 1024
STALLED_S = 20.0


class Outbox:
    """Implements Sink. Frames wait only while the transport's own buffer (64 KiB) is full."""

    def __init__(self, socket: ParleyWebSocketProtocol, on_close: Callable[[int], None] = lambda code: None) -> None:
        """on_close: told why we ended it."""
        self._socket = socket
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._frames: deque[bytes] = deque()
        self._size = 0
        self._scheduled = False
        self._stalled: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()
        self.closed = False
        socket.on_writable = self._writable

    def send(self, text: str) -> None:
        if self.closed:
            return
        data = text.encode()
        self._frames.append(data)
        self._size += len(data)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        elif len(self._frames) >= FRAMES_MAX // 2 and not self._socket.writes_paused:
            self._flush()
        if self._socket.writes_paused and (len(self._frames) > FRAMES_MAX or self._size > BYTES_MAX):
            self._too_slow()
        elif self._size > ROOM_BYTES:
            self._room.clear()

    def _writable(self) -> None:
        """It reads, if slowly: a new stall counts anew."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        self._flush()

    def _flush(self) -> None:
        self._scheduled = False
        while self._frames and not self._socket.writes_paused and not self.closed:
            self._socket.write_text(self._join())
        if self._size <= ROOM_BYTES:
            self._room.set()
        if self._socket.writes_paused and self._stalled is None:
            self._stalled = self._loop.call_later(STALLED_S, self._too_slow)
        elif not self._socket.writes_paused and self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _join(self) -> bytes:
        first = self._frames.popleft()
        parts, size = [first], len(first)
        while self._frames and size + len(self._frames[0]) < JOINED_MAX:
            parts.append(self._frames.popleft())
            size += len(parts[-1]) + 1
        self._size -= size - (len(parts) - 1)
        return b"\n".join(parts) if len(parts) > 1 else first

    async def drained(self) -> None:
        if not self._room.is_set():
            await self._room.wait()

    def _too_slow(self) -> None:
        """The buffer is full of what the peer doesn't read: a close frame would stand behind it."""
        self._on_close(Close.TOO_SLOW)
        self.gone()
        self._socket.abort()

    def close(self, code: int, reason: str) -> None:
        if self.closed:
            return
        if self._frames and not self._socket.writes_paused:
            self._flush()
        if self._socket.writes_paused:
            self._too_slow()
        else:
            self._on_close(code)
            self._socket.close_now(code, reason)
            self.gone()

    def gone(self) -> None:
        self.closed = True
        self._frames.clear()
        self._size = 0
        self._room.set()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
