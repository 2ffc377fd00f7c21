"""What comes on a connection is taken in turns, however much of it comes at once."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.protocol import Protocol, Side

from app.adapters.websocket import transport as module
from app.adapters.websocket.transport import EXTENSION, ParleyWebSocketProtocol
from tests.unit.virtual_time import run

HEAD = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(opcode: int, payload: bytes = b"", fin: bool = True, mask: bytes = bytes(4)) -> bytes:
    """As a client sends it. opcode: with whatever reserved bits. mask: none where it is empty."""
    head = bytes([opcode | (0x80 if fin else 0)])
    size, masked = len(payload), 0x80 if mask else 0
    if size < 126:
        length = bytes([masked | size])
    elif size < 65_536:
        length = bytes([masked | 126]) + struct.pack("!H", size)
    else:
        length = bytes([masked | 127]) + struct.pack("!Q", size)
    return head + length + mask + (apply_mask(payload, mask) if mask else payload)


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
    """A connection whose other end is the test. said: text frames as the application got them; binaries: how many others."""

    def __init__(self, accepts: bool = True) -> None:
        self.accepts = accepts
        self.socket: Any = None
        self.said: list[str] = []
        self.frames = self.binaries = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        self.socket = scope["extensions"][EXTENSION]
        await receive()
        if not self.accepts:
            await asyncio.sleep(1_000)
        await send({"type": "websocket.accept"})
        self.socket.on_text, self.socket.on_frames = self.said.append, self.count
        while (await receive())["type"] == "websocket.receive":
            self.binaries += 1

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
        most = module._FRAMES_A_TURN
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
        assert len(transport.written) < 2 * module._FRAMES_A_TURN and not protocol._unread
        assert transport.reading, "it is read, so that the close frame arrives"
        await asyncio.sleep(2)
        assert transport.aborted

    run(go())


@pytest.mark.parametrize("end", [frame(8, b"\x03\xe8"), frame(1, b"\xff"), frame(0x41, b"x")])
def test_behind_its_own_close_and_behind_what_breaks_the_rules_nothing_is_looked_at(end: bytes) -> None:
    async def go() -> None:
        peer = Peer()
        protocol, transport = await peer.connect()
        transport.written.clear()
        looked_at = 0
        take = protocol._take_frame

        def counted() -> bool:
            nonlocal looked_at
            looked_at += 1
            return take()

        protocol._take_frame = counted  # type: ignore[method-assign]
        protocol.data_received(end + frame(9) * 40_000)
        protocol.data_received(frame(9) * 40_000)
        await asyncio.sleep(0.1)
        assert looked_at < 10 and not protocol._unread and transport.closed
        assert len([data for data in transport.written if data]) == 1, "it is told once"

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


FRAME_MAX = 131_072


def some_frames(rng: random.Random) -> list[bytes]:
    """What a client may send, well or not: behind what is wrong nothing counts any more."""

    def mask() -> bytes:
        return rng.randbytes(4)

    def text(least: int = 0) -> bytes:
        size = max(least, rng.choice([0, 1, 7, 124, 125, 126, 127, 300, 65_535, 65_536, 70_000]))
        return ("aü😀\n" * (size // 8)).encode() + b"x" * (size % 8)

    def whole() -> list[bytes]:
        return [frame(1, text(), mask=mask())]

    def in_pieces() -> list[bytes]:
        words, cuts = text(least=9)[:60_000], rng.randint(1, 4)
        parts = [words[n * len(words) // cuts : (n + 1) * len(words) // cuts] for n in range(cuts)]
        made = [frame(1 if n == 0 else 0, part, fin=n == cuts - 1, mask=mask()) for n, part in enumerate(parts)]
        made.insert(rng.randint(1, len(made)), frame(9, b"between", mask=mask()))
        return made

    good = (whole, whole, whole, in_pieces, lambda: [frame(9, rng.randbytes(rng.choice([0, 4, 125])), mask=mask())],
            lambda: [frame(10, b"x", mask=mask())], lambda: [frame(2, rng.randbytes(5), mask=mask())])  # fmt: skip
    bad = (
        lambda: [frame(1, b"\xff\xfe", mask=mask())],  # not UTF-8
        lambda: [frame(1, b"\xc3", fin=False, mask=mask()), frame(0, b"(", mask=mask())],
        lambda: [frame(1, b"bare", mask=b"")],
        lambda: [frame(0x41, b"reserved", mask=mask())],
        lambda: [frame(3, b"no such opcode", mask=mask())],
        lambda: [frame(1, bytes(FRAME_MAX + 1), mask=mask())],
        lambda: [frame(1, bytes(FRAME_MAX - 5), fin=False, mask=mask()), frame(0, b"a piece", mask=mask())],
        lambda: [frame(9, bytes(126), mask=mask())],
        lambda: [frame(9, b"in pieces", fin=False, mask=mask())],
        lambda: [frame(0, b"of nothing", mask=mask())],
        lambda: [frame(1, b"one", fin=False, mask=mask()), frame(1, b"in the other", mask=mask())],
        lambda: [frame(8, struct.pack("!H", 1000) + b"bye", mask=mask())],
        lambda: [frame(8, b"", mask=mask())],
        lambda: [frame(8, b"\x03", mask=mask())],
        lambda: [frame(8, struct.pack("!H", 1005), mask=mask())],
    )
    made = [one for _ in range(rng.randint(0, 12)) for one in rng.choice(good)()]
    if rng.random() < 0.7:
        made += rng.choice(bad)() + whole() + [frame(9, b"behind", mask=mask())]
    return made


def by_the_library_alone(data: bytes) -> tuple[list[str], int, bytes]:
    """(texts, how many binary messages, what is written), as the library has it, and 1007 for what isn't UTF-8."""
    protocol = Protocol(Side.SERVER, max_size=FRAME_MAX)
    protocol.receive_data(data)
    texts, binaries, parts = list[str](), 0, b""
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.BINARY:
            binaries += 1
        elif event.opcode in (Opcode.TEXT, Opcode.CONT):
            parts += event.data
            if event.fin:
                texts.append(parts.decode())
                parts = b""
    return texts, binaries, b"".join(protocol.data_to_send())


@pytest.mark.parametrize("seed", range(150))
def test_frames_come_out_as_the_library_alone_has_them_however_they_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    data = b"".join(some_frames(rng))

    async def go() -> tuple[list[str], int, bytes]:
        peer = Peer()
        protocol, transport = await peer.connect()
        transport.written.clear()
        at, most = 0, rng.choice([1, 3, 1_000, 200_000]) if len(data) < 20_000 else 40_000
        while at < len(data) and not transport.closed:
            step = rng.randint(1, most)
            protocol.data_received(data[at : at + step])
            at += step
            while not transport.closed and (protocol._turn is not None or protocol.read_paused):
                await asyncio.sleep(0)
        return peer.said, peer.binaries, b"".join(transport.written)

    ours = run(go())
    try:
        theirs = by_the_library_alone(data)
    except UnicodeDecodeError:
        assert ours[2].endswith(b"\x88\x02\x03\xef"), "1007"
        return
    assert ours == theirs


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_text_goes_out_as_the_library_writes_it(size: int) -> None:
    async def go() -> None:
        protocol, transport = await Peer().connect()
        transport.written.clear()
        protocol.write_text(b"x" * size)
        assert b"".join(transport.written) == Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)

    run(go())
