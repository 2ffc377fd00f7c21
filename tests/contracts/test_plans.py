"""What the hot statements touch, whatever PostgreSQL's statistics say: counted in rows, not in time.

Two chats of 6,000 messages; statistics of nothing, of when the tables were empty, and right ones. A plan
that reads a whole chat for one message, or a whole table, is found by the rows that it reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from app.adapters.store.database import Database
from app.adapters.store.migrate import migrate
from app.adapters.store.word_index import SqlWordIndex
from app.application.ports.history import Search
from app.domain.command import Command
from app.domain.text import words
from stack.servers import Servers
from tests import actions as c
from tests.contracts.store_setting import SHARDS, Store
from tests.world import new_id

MESSAGES = 6_000
TABLES = (
    "messages",
    "message_words",
    "changes",
    "chats",
    "members",
    "outcomes",
    "reactions",
    "reads",
    "users",
    "batches",
)


class Setting(Store):
    driver: asyncpg.Connection[Any]

    async def start(self, statistics: str, messages: bool = True) -> None:
        self.driver = await self.database.connect(bounded=False)
        await self.driver.execute(
            f"alter database {self.database.url.rpartition('/')[2]} set default_statistics_target = 100"
        )
        for table in TABLES:  # nobody makes them right in the middle of the test
            await self.driver.execute(f"alter table {table} set (autovacuum_enabled = off)")
        if statistics == "of empty tables":
            await self.driver.execute("analyze")
        self.anna, self.ben = await self.person(), await self.person()
        self.chats = [await self.group(self.anna, self.ben) for _ in range(2)]
        if not messages:
            return
        for chat_id in self.chats:
            await self.fill(chat_id, 2)
        await self.driver.execute(
            "insert into message_words (chat_id, message_id, words) select chat_id, id, string_to_array(body, ' ') from messages"
        )
        if statistics == "right":
            await self.driver.execute("analyze")

    async def fill(self, chat_id: str, first: int) -> None:
        """Messages from this seq on, to MESSAGES."""
        await self.driver.execute(
            "insert into messages (chat_id, seq, id, sender_id, kind, client_message_id, body, status, created_at)"
            " select $1, n, gen_random_uuid(), $2, 'user', gen_random_uuid(), 'word number ' || n, 'complete',"
            " now() - interval '1 day' + n * interval '1 millisecond' from generate_series($4::int, $3::int) n",
            chat_id, self.anna, MESSAGES, first,
        )  # fmt: skip
        await self.driver.execute("update chats set head = $2 where id = $1", chat_id, MESSAGES)

    def say(self, count: int) -> list[Command]:
        return [Command(self.chats[n % 2], self.anna, new_id(), c.SendMessage(f"{n}")) for n in range(count)]

    async def rows(self) -> dict[str, int]:
        """That were read of each table so far, by all connections."""
        found = await self.driver.fetch(
            "select relname, seq_tup_read + coalesce(idx_tup_fetch, 0) as rows from pg_stat_user_tables where relname = any($1)",
            list(TABLES),
        )
        return {row["relname"]: row["rows"] for row in found}

    async def touched(self, do: Callable[[], Awaitable[Any]]) -> dict[str, int]:
        """Statistics are told when a session is idle for ten seconds, or ends: so it ends, and the driver tells what it did before."""
        await self.database.engine.dispose()
        await self.driver.execute("select pg_stat_force_next_flush()")
        before = await self.rows()
        await do()
        await self.database.engine.dispose()
        await asyncio.sleep(0.1)
        return {name: rows - before[name] for name, rows in (await self.rows()).items() if rows != before[name]}


@pytest.fixture
async def database(servers: Servers) -> AsyncIterator[Database]:
    made = Database(servers.postgres.database(f"plans_{new_id()[:8]}"), pool_size=2)
    await migrate(made, SHARDS)
    yield made
    await made.close()


@pytest.mark.parametrize("statistics", ["none", "of empty tables", "right"])
async def test_hot_statements_touch_what_they_are_about(database: Database, statistics: str) -> None:
    s = Setting(database)
    await s.start(statistics)
    index = SqlWordIndex(database)
    assert await index.follow(), "all messages were there before, and wait"
    last = await s.history.message_at(s.chats[0], MESSAGES)
    assert last is not None
    commands = s.say(100)

    async def read() -> None:
        s.worker._remembered.forget()
        assert all(result.outcome.seq for result in await s.do(*commands))

    async def repeat() -> None:
        assert all(result.repeat for result in await s.do(*commands))

    async def appended() -> None:
        await s.do(*s.say(100))

    async def edited() -> None:
        [result] = await s.do(Command(s.chats[0], s.anna, new_id(), c.EditMessage(last.id, "anew")))
        assert result.outcome.seq

    hot: dict[str, tuple[Callable[[], Awaitable[Any]], int]] = {
        "a batch that is read": (read, 800),
        "a batch of repeats": (repeat, 800),
        "a batch that is remembered": (appended, 800),
        "an edit": (edited, 60),
        "a page": (lambda: s.history.messages(s.chats[0], None, None, 50), 300),
        "a page in the middle": (lambda: s.history.messages(s.chats[0], MESSAGES // 2, None, 50), 300),
        "a page by the head": (lambda: s.history.page_at(s.chats[1], MESSAGES + 100, None, None, 50), 300),
        "a range": (lambda: s.timeline.events(s.chats[0], MESSAGES - 60, 50), 300),
        "the chats of one": (
            lambda: s.history.memberships(s.anna, archived=None, before=None, limit=50, unread_max=99), 600,
        ),
        "where one is": (lambda: s.timeline.joined(s.anna, None), 60),
        "outcomes": (lambda: s.history.outcomes([command.key for command in commands]), 400),
        "words behind the commit": (index.follow, 300),
        "a rare word": (lambda: s.history.search(s.anna, Search(words("5999")), 50), 300),
        "a common word": (lambda: s.history.search(s.anna, Search(words("word")), 50), 12_000),
    }  # fmt: skip
    for name, (do, most) in hot.items():
        found = await s.touched(do)
        assert found and sum(found.values()) <= most, (name, found)
    await s.driver.close()


async def test_a_plan_that_was_made_when_the_table_was_empty_is_as_good(database: Database) -> None:
    """Plans are kept by each connection until there are new statistics, a minute or more on a young database."""
    s = Setting(database)
    await s.start("none", messages=False)
    # They are remembered, so that what is said first is appended to a table without any message.
    for chat_id in s.chats:
        [result] = await s.do(Command(chat_id, s.anna, new_id(), c.UpdateChat(("title",), "t")))
        assert result.outcome.seq
    for _ in range(5):
        await s.do(*s.say(10))
    for chat_id in s.chats:
        await s.fill(chat_id, 1 + await s.driver.fetchval("select head from chats where id = $1", chat_id))
    s.worker._remembered.forget()
    assert all(result.outcome.seq for result in await s.do(*s.say(100)))  # read: another plan's affair
    before = await s.rows()
    for _ in range(5):
        await s.do(*s.say(100))
    await database.engine.dispose()
    await asyncio.sleep(0.1)
    after = await s.rows()
    assert after["messages"] - before["messages"] < 2_000, "of 500 messages in chats of 6,000"
    await s.driver.close()
