"""What comes on a connection is taken in turns, however much of it comes at once."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.adapters.websocket import transport as module
from app.adapters.websocket.transport import EXTENSION, ParleyWebSocketProtocol
from tests.unit.virtual_time import run

HEAD = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    """As a client sends it, masked with zeros."""
    head = bytes([opcode | (0x80 if fin else 0)])
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65_536:
        length = bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        length = bytes([0x80 | 127]) + struct.pack("!Q", size)
    return head + length + b"\0\0\0\0" + payload


class Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.reading = True
        self.aborted = self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = self.closed = True

    def get_extra_info(self, name: str) -> Any:
        return None


class Peer:
    """A connection whose other end is the test. said: text frames as the application got them."""

    def __init__(self, accepts: bool = True) -> None:
        self.accepts = accepts
        self.socket: Any = None
        self.said: list[str] = []
        self.frames = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.socket = scope["extensions"][EXTENSION]
        await receive()
        if not self.accepts:
            await asyncio.sleep(1_000)
        await send({"type": "websocket.accept"})
        self.socket.on_text, self.socket.on_frames = self.said.append, self.count
        await receive()

    def count(self, frames: int) -> None:
        self.frames += frames

    async def connect(self) -> tuple[ParleyWebSocketProtocol, Transport]:
        config = uvicorn.Config(
            self.app,
            interface="asgi3",
            log_config=None,
            ws_max_size=131_072,
            ws_ping_interval=None,
            ws_per_message_deflate=False,
        )
        protocol = ParleyWebSocketProtocol(config, ServerState(), {})
        transport: Any = Transport()
        protocol.connection_made(transport)
        protocol.data_received(HEAD)
        await asyncio.sleep(0.1)
        return protocol, transport


def test_forty_thousand_pings_in_one_read_are_answered_in_turns() -> None:
    async def go() -> None:
        peer = Peer()
        protocol, transport = await peer.connect()
        transport.written.clear()
        protocol.data_received(frame(9) * 40_000)
        most = module._FRAMES_A_TURN + module._PIECE_BYTES // len(frame(9))
        turns, before = 0, 0
        assert 0 < len(transport.written) <= most and not transport.reading, "the rest stays unread"
        while len(transport.written) < 40_000 and turns < 1_000:
            assert len(transport.written) - before <= most, "others have their turn between"
            before, turns = len(transport.written), turns + 1
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert turns > 40 and transport.reading and peer.frames == 40_000

    run(go())


def test_behind_a_close_little_more_is_taken_and_what_comes_then_is_thrown_away() -> None:
    async def go() -> None:
        peer = Peer()
        protocol, transport = await peer.connect()
        protocol.close_now(4429, "over")
        transport.written.clear()
        protocol.data_received(frame(9) * 40_000)
        await asyncio.sleep(0.1)
        assert len(transport.written) < 2 * module._FRAMES_A_TURN + module._PIECE_BYTES and protocol._unread == b""
        assert transport.reading, "it is read, so that the close frame arrives"
        await asyncio.sleep(2)
        assert transport.aborted

    run(go())


def test_frames_of_every_kind_count_and_text_comes_in_order() -> None:
    async def go() -> None:
        peer = Peer()
        protocol, _ = await peer.connect()
        protocol.data_received(
            frame(1, b"one") + frame(9) + frame(10, b"x") + frame(1, b"t", fin=False) + frame(0, b"w", fin=False)
            + frame(0, b"o") + b"".join(frame(1, str(n).encode()) for n in range(1_000))
        )  # fmt: skip
        await asyncio.sleep(1)
        assert peer.frames == 1_006
        assert peer.said == ["one", "two", *map(str, range(1_000))]

    run(go())


def test_while_reading_is_paused_nothing_more_is_taken() -> None:
    async def go() -> None:
        peer = Peer()
        protocol, transport = await peer.connect()
        said: list[str] = []

        def once(text: str) -> None:
            said.append(text)
            protocol.pause_reading()

        protocol.on_text = once
        protocol.data_received(b"".join(frame(1, str(n).encode() * 9_000) for n in range(4)))
        await asyncio.sleep(1)
        assert len(said) == 1 and not transport.reading
        for count in (2, 3, 4):
            protocol.resume_reading()
            await asyncio.sleep(1)
            assert len(said) == count
        protocol.resume_reading()
        assert transport.reading

    run(go())


def test_a_bound_on_messages_can_be_changed() -> None:
    async def go() -> None:
        peer = Peer()
        protocol, transport = await peer.connect()
        protocol.bound_messages(100)
        protocol.data_received(frame(1, b"x" * 101))
        assert protocol.conn.close_sent is not None and protocol.conn.close_sent.code == 1009
        assert peer.said == [] and transport.closed

    run(go())


@pytest.mark.parametrize("sent", [b"", HEAD[:40], HEAD])
def test_what_is_not_accepted_in_ten_seconds_is_gone(sent: bytes) -> None:
    async def go() -> None:
        peer = Peer(accepts=False)
        config = uvicorn.Config(peer.app, interface="asgi3", log_config=None, ws_ping_interval=None)
        protocol, transport = ParleyWebSocketProtocol(config, ServerState(), {}), Transport()
        made: Any = transport
        protocol.connection_made(made)
        if sent:
            protocol.data_received(sent)
        await asyncio.sleep(9.9)
        assert not transport.aborted
        await asyncio.sleep(0.2)
        assert transport.aborted
        protocol.connection_lost(None)

    run(go())
