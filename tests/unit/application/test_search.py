"""Words of a query, what is found by them page by page, and the index that is kept up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from app.application import search
from app.application.authorize import Reader
from app.application.ports.errors import Transient
from app.application.ports.history import Looked, Search
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
        self.asked, self.part = 0, 1_000_000
        self.messages = [
            Message(chat_id, n + 1, f"{n:05}", ANNA, "user", None, body, None, "complete", START - timedelta(seconds=n))
            for n, body in enumerate(bodies)
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def search(self, user_id: str, search: Search, limit: int) -> Looked:
        """It looks at `part` of them at most, where it is given."""
        self.asked += 1
        later = [m for m in self.messages if search.before is None or m.created_at < search.before[0]]
        seen = later[: min(limit, self.part)]
        found = [m for m in seen if self.part > 10_000 or m.body == "東京"]
        return Looked(found, (seen[-1].created_at, seen[-1].id) if len(seen) < len(later) else None)

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


def test_where_only_a_part_was_looked_at_it_goes_on_by_itself_and_after_a_while_says_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def go() -> None:
        history = Wide([*["x"] * 30, "東京", *["x"] * 30])
        history.part = 10
        page = await history.find("東京", 2)
        assert [item.message.body for item in page.items] == ["東京"] and page.goes_on is None and history.asked == 7
        monkeypatch.setattr(search, "_SECONDS_MAX", -1.0)
        page = await history.find("東京", 2)
        assert page.items == [] and page.goes_on == (START - timedelta(seconds=2), "00002")

    asyncio.run(go())


def test_one_persons_searches_go_one_after_the_other_and_too_many_are_told() -> None:
    async def go() -> None:
        history, busy, most = Wide(["東京"]), [0], [0]
        look = history.search

        async def slow(*args: Any) -> Looked:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
            await asyncio.sleep(0.01)
            busy[0] -= 1
            return await look(*args)

        history.search = slow  # type: ignore[method-assign, assignment]
        wide: Any = history
        finder = MessageSearch(Reader(PEP, wide), PEP, wide)
        asked = Search(words_of("東京"))
        done = await asyncio.gather(
            *(finder.find(ANNA, asked, 1) for _ in range(9)), finder.find(BEN, asked, 1), return_exceptions=True
        )
        assert [type(one).__name__ for one in done] == ["FoundPage"] * 6 + ["Unavailable"] * 3 + ["FoundPage"]
        assert most == [2], "one of each"
        assert not finder._one_each._here

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
