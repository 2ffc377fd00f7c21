"""Search looks a rare word up and walks to a common one: what is found is the same, in the same order, page by page."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from app.adapters.store import found_words
from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.adapters.store.migrate import migrate
from app.application.ports.history import Looked, Place, Search
from app.domain.command import Command
from app.domain.text import words
from app.domain.values import Message
from stack.servers import Servers
from tests import actions as c
from tests.contracts.store_setting import SHARDS
from tests.contracts.test_word_index import Setting
from tests.world import new_id


class Said(Setting):
    """Two people in some chats of their own and some together, who said much, much of it in the same moments."""

    async def start(self, rng: random.Random) -> None:
        self.anna, self.ben = await self.person(), await self.person()
        chats = [
            await self.group(*pair)
            for pair in ((self.anna,), (self.anna, self.ben), (self.ben,), (self.anna, self.ben))
        ]
        empty = await self.group(self.anna)
        for _ in range(12):
            batch = []
            for _ in range(rng.randrange(1, 14)):
                chat_id = rng.choice(chats)
                who = self.ben if chat_id == chats[2] or (chat_id != chats[0] and rng.random() < 0.4) else self.anna
                body = " ".join(rng.choices(("tea", "cake", "milk", "rare"), (6, 3, 3, 1), k=2))
                batch.append(Command(chat_id, who, new_id(), c.SendMessage(body)))
            await self.do(*batch)  # of one moment
        self.chats = [*chats, empty]
        async with self.database.read() as connection:
            found = await connection.execute(
                sa.select(t.messages.c.id).where(t.messages.c.chat_id == chats[1]).limit(3)
            )
            ids = [str(row.id) for row in found]
        await self.do(Command(chats[1], self.anna, new_id(), c.DeleteMessage(ids[0])))
        await self.follow()
        async with self.database.read() as connection:
            rows = await connection.execute(
                sa.select(t.messages).order_by(t.messages.c.created_at.desc(), t.messages.c.id.desc())
            )
            self.all = [(str(r.chat_id), str(r.id), str(r.sender_id), r.body, r.created_at) for r in rows]

    def wanted(self, user: str, asked: Search) -> list[str]:
        mine = self.chats[:2] + self.chats[3:] if user == self.anna else self.chats[1:4]
        return [
            id_ for chat_id, id_, sender, body, at in self.all
            if chat_id in mine and body is not None and all(f"{word.letters}" for word in asked.words)
            and all("".join(word.letters) in body.split() for word in asked.words)
            and asked.chat_id in (None, chat_id) and asked.sender_id in (None, sender)
            and (asked.since is None or at >= asked.since) and (asked.until is None or at < asked.until)
        ]  # fmt: skip

    async def page_by_page(self, user: str, query: str, limit: int, **more: Any) -> tuple[list[str], int]:
        found: list[Message] = []
        before: Place | None = None
        for calls in range(1, 400):
            looked: Looked = await self.history.search(user, Search(words(query), before=before, **more), limit)
            assert len(looked.messages) <= limit
            found += looked.messages
            if looked.goes_on is None:
                return [message.id for message in found], calls
            assert before is None or looked.goes_on < before, "it gets on"
            before = looked.goes_on
        raise AssertionError("it never ends")


@pytest.fixture
async def postgres(servers: Servers) -> Any:
    database = Database(servers.postgres.database(f"found_{new_id()[:8]}"))
    await migrate(database, SHARDS)
    yield database
    await database.close()


@pytest.mark.parametrize("way", ["looked up", "walked to", "walked to in small steps", "the estimate was wrong"])
async def test_what_is_found_is_the_same_however_it_is_looked_for(
    postgres: Database, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way.startswith("walked"):
        monkeypatch.setattr(found_words, "RARE_MAX", -1)
    if way == "walked to in small steps":  # one message a chat, and whatever is of its moment
        monkeypatch.setattr(found_words, "_WALK", found_words._WALK.replace("greatest(10, 2000 /", "greatest(1, 1 /"))
        assert "greatest(1, 1 /" in found_words._WALK
    if way == "the estimate was wrong":
        monkeypatch.setattr(found_words, "INDEX_MS_MAX", 20)
        monkeypatch.setattr(found_words, "_BY_INDEX", f"select pg_sleep(0.2), q.* from ({found_words._BY_INDEX}) q")
    s, rng = Said(postgres), random.Random(7)
    await s.start(rng)
    middle = s.all[len(s.all) // 2][4]
    asked: list[dict[str, Any]] = [
        {}, {"chat_id": s.chats[1]}, {"sender_id": s.ben}, {"since": middle}, {"until": middle}, {"chat_id": s.chats[2]},
        {"since": middle - timedelta(seconds=1), "until": middle, "sender_id": s.anna}, {"chat_id": s.chats[4]},
    ]  # fmt: skip
    slow = way == "the estimate was wrong"  # each of these waits for what is given up first
    for user in (s.anna,) if slow else (s.anna, s.ben):
        for query in ("tea", "rare") if slow else ("tea", "rare", "tea cake", "nowhere"):
            for more in asked[:3] if slow else asked:
                wanted = s.wanted(user, Search(words(query), **more))
                for limit in (1, 3, 100):
                    found, calls = await s.page_by_page(user, query, limit, **more)
                    assert found == wanted, (query, more, limit)
                    assert way != "walked to in small steps" or calls > 1 or not wanted or more
    assert len(s.wanted(s.anna, Search(words("tea")))) > 20


async def test_where_in_a_chat_a_time_is(postgres: Database) -> None:
    s = Said(postgres)
    await s.start(random.Random(11))
    async with postgres.read() as connection:
        rows = (
            await connection.execute(
                sa.select(t.messages).where(t.messages.c.chat_id == s.chats[1]).order_by(t.messages.c.seq)
            )
        ).all()
        head = rows[-1].seq + 5
        for at in {row.created_at + timedelta(milliseconds=n) for row in rows for n in (-1, 0, 1)}:
            place = await connection.scalar(
                sa.text("select message_place(cast(:id as uuid), :head, :at)"),
                {"id": s.chats[1], "head": head, "at": at},
            )
            assert [row.seq for row in rows if row.seq <= place] == [row.seq for row in rows if row.created_at <= at]
