"""A request's bounds: what comes behind its head counts wherever it stands, and is taken in turns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from app.adapters.rest import transport as module
from app.adapters.rest.transport import ParleyHttpProtocol
from app.adapters.websocket.transport import ParleyWebSocketProtocol
from tests.unit.adapters.websocket.test_transport import HEAD as UPGRADE
from tests.unit.adapters.websocket.test_transport import Transport
from tests.unit.virtual_time import run

POST = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """answers: at the first piece of a body, else when all of it is there."""

    def __init__(self, answers: bool = False) -> None:
        self.answers = answers
        self.bodies: list[int] = []
        self.upgrades = 0

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            self.upgrades += 1
            await asyncio.sleep(100)
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if self.answers or not message.get("more_body"):
                break
        self.bodies.append(size)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    def connect(self) -> tuple[ParleyHttpProtocol, Transport]:
        config = uvicorn.Config(
            self.app, interface="asgi3", log_config=None, ws=ParleyWebSocketProtocol, ws_ping_interval=None
        )
        protocol, transport = ParleyHttpProtocol(config, ServerState(), {}), Transport()
        made: Any = transport
        protocol.connection_made(made)
        return protocol, transport


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def status(transport: Transport) -> int:
    return int(b"".join(transport.written).split(b" ")[1]) if transport.written else 0


def test_a_body_in_small_chunks_is_taken_in_turns() -> None:
    async def go() -> None:
        server = Server()
        protocol, transport = server.connect()
        protocol.data_received(POST + chunk(b"x") * 9_000 + b"0\r\n\r\n")
        assert (
            protocol._body_pieces <= module._PIECES_A_TURN + module._PIECE_BYTES // len(chunk(b"x"))
            and not transport.reading
        )
        await asyncio.sleep(1)
        assert server.bodies == [9_000] and status(transport) == 200 and transport.reading

    run(go())


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize(
    "endless",
    [chunk(b"x") * 1_000, b"0\r\n" + b"a: " + b"b" * 8_000 + b"\r\n", chunk(b"x" * 60_000), b"x: y\r\n" * 1_000],
    ids=["small chunks", "long trailers", "large chunks", "many trailers"],
)
def test_a_body_that_never_ends_is_refused_and_nothing_more_of_it_is_read(endless: bytes, answers: bool) -> None:
    async def go() -> None:
        server = Server(answers)
        protocol, transport = server.connect()
        begin = POST + (b"" if endless[:1].isdigit() else b"0\r\n")
        protocol.data_received(begin)
        sent = 0
        while not transport.closed and sent < 10 * module.READ_BYTES_MAX:
            again = endless.removeprefix(b"0\r\n") if sent else endless
            protocol.data_received(again)
            sent += len(again)
            await asyncio.sleep(0.01)
        assert transport.closed and sent <= module.READ_BYTES_MAX + 200_000
        assert status(transport) in ((200, 413, 400) if answers else (413, 400))

    run(go())


def test_the_head_of_an_upgrade_is_bounded_as_the_library_takes_it_and_of_this_century() -> None:
    async def go() -> None:
        bad = {
            UPGRADE.replace(b"Host: x", b"Host: x\r\nX: " + b"y" * 9_000): 431,
            UPGRADE.replace(b"Host: x", b"Host: x" + b"\r\nX: y" * 130): 431,
            UPGRADE.replace(b"/v1/ws", b"/v1/ws?" + b"y" * 9_000): 431,
            UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"): 400,
        }
        for head, expected in bad.items():
            server = Server()
            protocol, transport = server.connect()
            protocol.data_received(head)
            await asyncio.sleep(0.1)
            assert (status(transport), transport.closed, server.upgrades) == (expected, True, 0)
        server = Server()
        protocol, transport = server.connect()
        transport.set_protocol = lambda new: None  # type: ignore[attr-defined]
        protocol.data_received(UPGRADE)
        await asyncio.sleep(0.1)
        assert server.upgrades == 1 and not transport.closed

    run(go())


def test_who_does_not_read_an_answer_is_cut_off_and_who_reads_slowly_is_not() -> None:
    async def go() -> None:
        protocol, transport = Server().connect()
        for _ in range(5):
            protocol.pause_writing()
            await asyncio.sleep(19)
            protocol.resume_writing()
        assert not transport.aborted
        protocol.pause_writing()
        await asyncio.sleep(20.5)
        assert transport.aborted

    run(go())


heads = st.lists(
    st.one_of(
        st.sampled_from([
            b"GET /x HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"GET http://y/x?%zz#f HTTP/1.0\r\n", b"GET * HTTP/2.0\r\n",
            b"Host: x\r\n", b"Host: x\r\nHost: y\r\n", b"Content-Length: 3\r\n", b"Content-Length: -1\r\n",
            b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip, x\r\n",
            b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Sec-WebSocket-Version: 13\r\n",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Expect: 100-continue\r\n", b" folded\r\n", b"No colon\r\n",
            b": no name\r\n", b"X: \xff\x00\r\n", b"\r\n", b"\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n",
        ]),
        st.binary(max_size=20),
    ),
    max_size=14,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(heads, st.integers(1, 40))
def test_whatever_comes_as_a_head_or_a_body_is_answered_or_let_go_and_never_a_500(parts: list[bytes], cut: int) -> None:
    async def go() -> None:
        protocol, transport = Server().connect()
        transport.set_protocol = lambda new: None  # type: ignore[attr-defined]
        data = b"".join(parts)
        for start in range(0, len(data), cut):
            if not transport.closed:
                protocol.data_received(data[start : start + cut])
            await asyncio.sleep(0)
        await asyncio.sleep(50)
        for answer in b"".join(transport.written).split(b"HTTP/1.1 ")[1:]:
            assert int(answer[:3]) < 500 and int(answer[:3]) != 0, answer
        assert transport.closed or not data or protocol.cycle is not None

    run(go())
