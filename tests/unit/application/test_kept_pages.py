"""Pages that are kept: bounded in bytes and in time."""

from __future__ import annotations

import pytest

from app.application import kept_pages
from app.application.kept_pages import KeptPages, Key


def key(n: int) -> Key:
    return ("chat", n, None, None, 50)


def test_the_oldest_go_when_there_is_no_room() -> None:
    kept = KeptPages(bytes_max=100 + 3 * 512)
    for n in range(4):
        kept.keep(key(n), b"x" * 30)
    assert [kept.get(key(n)) is not None for n in range(4)] == [False, True, True, True]
    kept.keep(key(2), b"y" * 40)
    assert kept.get(key(1)) == b"x" * 30 and kept.get(key(2)) == b"y" * 40, "what is kept anew takes its own place"
    kept.keep(key(9), b"z" * (101 + 3 * 512))
    assert kept.get(key(9)) is None and kept.get(key(2)) is not None, "what is larger than all isn't kept"


def test_after_ten_seconds_it_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(kept_pages, "monotonic", lambda: now[0])
    kept = KeptPages()
    kept.keep(key(1), b"x")
    now[0] = 109.9
    assert kept.get(key(1)) == b"x"
    now[0] = 110.0
    assert kept.get(key(1)) is None


def test_what_is_over_goes_also_where_there_is_room_and_small_pages_count_as_what_they_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(kept_pages, "monotonic", lambda: now[0])
    kept = KeptPages(bytes_max=512 * 10)
    for n in range(20):
        kept.keep(key(n), b"x")
    assert len(kept._pages) == 9
    now[0] = 111.0
    kept.keep(key(99), b"x")
    assert list(kept._pages) == [key(99)] and kept._left == 512 * 9 - 1
