"""Words of a query, what is found by them page by page, and the index that is kept up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from app.application.authorize import Reader
from app.application.ports.errors import Transient
from app.application.ports.history import Search
from app.application.search import Indexer, MessageSearch, words_of
from app.domain.errors import ParleyError
from app.domain.values import Message
from tests import actions as c
from tests.unit.memory import CHATS, PEP, START, USERS, MemoryStore
from tests.unit.virtual_time import run

ANNA, BEN = USERS[:2]
OPEN, CLOSED = CHATS[:2]


def test_words_are_told_apart_as_they_are_compared() -> None:
    assert ["".join(word.letters) for word in words_of("Tea, tea & größe-2")] == ["tea", "grösse", "2"]
    for bad in ("", "…", " ".join(f"w{n}" for n in range(21))):
        with pytest.raises(ParleyError, match="invalid"):
            words_of(bad)


class Wide:
    """A history whose index finds all that there is, in pages."""

    def __init__(self, bodies: Sequence[str | None], chat_id: str = OPEN) -> None:
        self.store: Any = MemoryStore()
        self.store.do(OPEN, ANNA, c.CreateChat("group", None, ()))
        self.store.do(CLOSED, BEN, c.CreateChat("group", None, ()))
        self.asked = 0
        self.messages = [
            Message(chat_id, n + 1, f"{n:05}", ANNA, "user", None, body, None, "complete", START - timedelta(seconds=n))
            for n, body in enumerate(bodies)
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def search(self, user_id: str, search: Search, limit: int) -> list[Message]:
        self.asked += 1
        later = [m for m in self.messages if search.before is None or m.created_at < search.before[0]]
        return later[:limit]

    async def find(self, query: str, limit: int, before: Any = None) -> Any:
        wide: Any = self
        return await MessageSearch(Reader(PEP, wide), PEP, wide).find(
            ANNA, Search(words_of(query), before=before), limit
        )


def test_what_the_index_found_for_nothing_is_passed_over_and_the_page_is_full() -> None:
    async def go() -> None:
        history = Wide(["東京", "京東", None, "在東京", "x", "東京タワー", "京東"])
        first = await history.find("東京", 2)
        assert [item.message.body for item in first.items] == ["東京", "在東京"]
        assert first.items[1].highlights == [[1, 2]] and first.goes_on is not None
        second = await history.find("東京", 2, first.goes_on)
        assert [item.message.body for item in second.items] == ["東京タワー"] and second.goes_on is None

    asyncio.run(go())


def test_a_search_that_finds_little_among_much_ends_early_and_says_where_it_goes_on() -> None:
    async def go() -> None:
        history = Wide(["x"] * 1_200 + ["y"])
        pages, before = 0, None
        while True:
            page = await history.find("y", 50, before)
            pages, before = pages + 1, page.goes_on
            if before is None:
                break
            assert page.items == []
        assert [item.message.body for item in page.items] == ["y"] and pages == 3
        history.asked = 0
        await history.find("y", 1)
        assert history.asked <= 7, "blocks are no smaller for who wants little"

    asyncio.run(go())


def test_a_chat_that_may_not_be_read_gives_nothing() -> None:
    async def go() -> None:
        page = await Wide(["tea", "tea"], CLOSED).find("tea", 1)
        assert page.items == [] and page.goes_on is None

    asyncio.run(go())


class Index:
    def __init__(self, *results: bool | Exception) -> None:
        self.results, self.asked_at = list(results), [0.0]

    async def follow(self) -> bool:
        self.asked_at.append(asyncio.get_running_loop().time())
        result = self.results.pop(0) if self.results else False
        if isinstance(result, Exception):
            raise result
        return result

    async def rebuild(self) -> None:
        """Not asked."""


def test_the_indexer_survives_what_it_meets_and_goes_on_sooner_while_there_is_more() -> None:
    met: list[str] = []

    async def go() -> None:
        index = Index(True, True, Transient("gone"), ValueError("a defect"), False)
        with suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await Indexer(index, lambda what, error: met.append(what)).run()
        gaps = [later - at for at, later in zip(index.asked_at[1:], index.asked_at[2:], strict=False)]
        assert max(gaps[:2]) < min(gaps[2:])

    run(go())
    assert met == ["transient", "index"]
