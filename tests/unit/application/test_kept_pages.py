"""Pages that are kept: bounded in bytes and in time."""

from __future__ import annotations

import asyncio

from app.application.kept_pages import KEPT_S, KeptPages, Key
from tests.unit.virtual_time import run


def key(n: int) -> Key:
    return ("chat", n, None, None, 50)


def test_the_oldest_go_when_there_is_no_room() -> None:
    async def go() -> None:
        kept = KeptPages(bytes_max=100 + 3 * 512)
        for n in range(4):
            kept.keep(key(n), b"x" * 30)
        assert [kept.get(key(n)) is not None for n in range(4)] == [False, True, True, True]
        kept.keep(key(2), b"y" * 40)
        assert kept.get(key(1)) == b"x" * 30 and kept.get(key(2)) == b"y" * 40, "what is kept anew takes its own place"
        kept.keep(key(9), b"z" * (101 + 3 * 512))
        assert kept.get(key(9)) is None and kept.get(key(2)) is not None, "what is larger than all isn't kept"

    run(go())


def test_after_ten_seconds_it_is_read_anew() -> None:
    async def go() -> None:
        kept = KeptPages()
        kept.keep(key(1), b"x")
        await asyncio.sleep(KEPT_S - 0.1)
        assert kept.get(key(1)) == b"x"
        await asyncio.sleep(0.1)
        assert kept.get(key(1)) is None

    run(go())


def test_small_pages_count_as_what_they_take() -> None:
    async def go() -> None:
        kept = KeptPages(bytes_max=512 * 10)
        for n in range(20):
            kept.keep(key(n), b"x")
        assert len(kept._pages) == 9

    run(go())


def test_what_is_over_goes_by_itself_whether_anybody_comes_or_not() -> None:
    async def go() -> None:
        kept = KeptPages(bytes_max=512 * 10)
        for n in range(5):
            kept.keep(key(n), b"x")
        await asyncio.sleep(KEPT_S / 2)
        kept.keep(key(99), b"x")
        await asyncio.sleep(KEPT_S / 2 + 0.1)
        assert list(kept._pages) == [key(99)] and kept._left == 512 * 9 - 1
        await asyncio.sleep(KEPT_S)
        assert not kept._pages and kept._left == 512 * 10 and kept._broom is None, "and nothing goes on"

    run(go())
