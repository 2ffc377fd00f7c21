"""What a reader gets, also a slow one, and when it is cut off."""

from __future__ import annotations

import asyncio
from typing import Any

from app.adapters.websocket.outbox import BYTES_MAX, FRAMES_MAX, JOINED_MAX, ROOM_BYTES, STALLED_S, Outbox
from tests.unit.virtual_time import run


class Transport:
    """A transport whose buffer is full after `room` writes."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room, self.written = room, list[bytes]()
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.on_writable: Any = None

    @property
    def writes_paused(self) -> bool:
        return self.room <= 0

    def write_text(self, data: bytes) -> None:
        self.room -= 1
        self.written.append(data)

    def close_now(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.aborted = True

    def reads(self, room: int) -> None:
        self.room = room
        self.on_writable()


def made(room: int = 1_000_000) -> tuple[Outbox, Any, list[int]]:
    codes: list[int] = []
    transport: Any = Transport(room)
    return Outbox(transport, codes.append), transport, codes


def test_what_is_ready_together_travels_together_in_order() -> None:
    async def go() -> None:
        outbox, transport, _ = made()
        for n in range(3):
            outbox.send(f"{n}ü")
        assert transport.written == []
        await asyncio.sleep(0)
        assert transport.written == ["0ü\n1ü\n2ü".encode()]
        outbox.send("3")
        await asyncio.sleep(0)
        assert transport.written[1:] == [b"3"]

    run(go())


def test_what_travels_together_has_a_bound() -> None:
    async def go() -> None:
        outbox, transport, _ = made()
        frame = "x" * (JOINED_MAX // 3)
        for _ in range(7):
            outbox.send(frame)
        outbox.send("y" * (2 * JOINED_MAX))
        await asyncio.sleep(0)
        assert (
            all(len(data) <= JOINED_MAX for data in transport.written[:-1])
            and len(transport.written[-1]) == 2 * JOINED_MAX
        )
        assert b"\n".join(transport.written) == "\n".join([frame] * 7 + ["y" * (2 * JOINED_MAX)]).encode()

    run(go())


def test_much_at_once_is_written_without_waiting_for_the_loop() -> None:
    async def go() -> None:
        outbox, transport, codes = made()
        for n in range(10 * FRAMES_MAX):
            outbox.send(str(n))
        await asyncio.sleep(0)
        assert b"\n".join(transport.written) == "\n".join(str(n) for n in range(10 * FRAMES_MAX)).encode()
        assert codes == [] and not outbox.closed

    run(go())


def test_who_does_not_read_is_cut_off_beyond_the_bounds_and_told_nothing_that_would_stand_behind() -> None:
    async def go() -> None:
        for frames, size in ((FRAMES_MAX + 1, 1), (5, BYTES_MAX // 4)):
            outbox, transport, codes = made(0)
            for n in range(frames):
                assert not outbox.closed, n
                outbox.send("x" * size)
            assert outbox.closed and transport.aborted and codes == [4413] and transport.closed is None
            outbox.send("more")
            assert transport.written == []

    run(go())


def test_who_reads_nothing_for_twenty_seconds_is_cut_off_and_who_reads_slowly_is_not() -> None:
    async def go() -> None:
        outbox, transport, codes = made(0)
        outbox.send("x")
        await asyncio.sleep(STALLED_S - 0.1)
        assert not outbox.closed
        await asyncio.sleep(0.2)
        assert outbox.closed and transport.aborted and codes == [4413]
        slow, transport, codes = made(0)
        for n in range(6):
            slow.send(str(n))
            await asyncio.sleep(STALLED_S - 1)
            transport.reads(1)
        assert codes == [] and not slow.closed
        assert b"\n".join(transport.written) == b"0\n1\n2\n3\n4\n5"
        transport.reads(10)
        await asyncio.sleep(3 * STALLED_S)
        assert not slow.closed, "an idle one is no slow one"

    run(go())


def test_a_close_comes_after_what_was_sent() -> None:
    async def go() -> None:
        outbox, transport, codes = made()
        outbox.send("last words")
        outbox.close(1012, "restarting")
        assert transport.written == [b"last words"] and transport.closed == (1012, "restarting") and codes == [1012]
        outbox.close(4401, "again")
        outbox.send("more")
        await asyncio.sleep(0)
        assert codes == [1012] and transport.written == [b"last words"] and outbox.closed
        blocked, transport, codes = made(0)
        blocked.send("x")
        blocked.close(1012, "restarting")
        assert transport.aborted and codes == [4413] and transport.closed is None

    run(go())


def test_who_fills_it_waits_for_room_or_for_the_end() -> None:
    async def go() -> None:
        outbox, transport, _ = made(0)
        await asyncio.wait_for(outbox.drained(), 1)
        outbox.send("x" * (ROOM_BYTES + 1))
        waiting = asyncio.create_task(outbox.drained())
        await asyncio.sleep(5)
        assert not waiting.done()
        transport.reads(5)
        await asyncio.wait_for(waiting, 1)
        transport.room = 0
        outbox.send("x" * (ROOM_BYTES + 1))
        waiting = asyncio.create_task(outbox.drained())
        await asyncio.sleep(0)
        outbox.gone()
        await asyncio.wait_for(waiting, 1)
        await asyncio.sleep(2 * STALLED_S)
        assert not transport.aborted, "its timer is gone with it"

    run(go())
