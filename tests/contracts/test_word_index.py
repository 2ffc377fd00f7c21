"""The index of words: what was committed is found, whoever indexes it and whenever they die."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.adapters.store.migrate import migrate
from app.adapters.store.word_index import SqlWordIndex
from app.application.ports.history import Search
from app.domain.command import Command
from app.domain.ids import ASSISTANT_ID
from app.domain.text import words
from stack.servers import Servers
from tests import actions as c
from tests.contracts.store_setting import SHARDS, Store
from tests.world import new_id


class Setting(Store):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.index = SqlWordIndex(database)

    async def say(self, chat_id: str, actor: str, *bodies: str) -> list[str]:
        results = await self.do(*(Command(chat_id, actor, new_id(), c.SendMessage(body)) for body in bodies))
        seqs = [result.outcome.seq for result in results]
        return [str((await self.history.message_at(chat_id, seq)).id) for seq in seqs]  # type: ignore[union-attr]

    async def follow(self, index: SqlWordIndex | None = None) -> None:
        async with asyncio.timeout(30):
            while await (index or self.index).follow():
                pass

    async def found(self, user_id: str, query: str) -> set[str]:
        return {m.id for m in (await self.history.search(user_id, Search(words(query)), 1_000)).messages}


async def test_what_was_said_edited_and_deleted_is_followed(database: Database) -> None:
    s = Setting(database)
    anna = await s.person()
    chat_id = await s.group(anna)
    await s.follow()
    one, two = await s.say(chat_id, anna, "the quick 東京タワー", "quick?!")
    assert await s.found(anna, "quick") == set(), "behind the commit"
    await s.follow()
    assert await s.found(anna, "QUICK") == {one, two} and await s.found(anna, "京タ quick") == {one}
    await s.do(Command(chat_id, anna, new_id(), c.EditMessage(one, "slow ❤️")))
    await s.do(Command(chat_id, anna, new_id(), c.DeleteMessage(two)))
    assert await s.found(anna, "quick") == {one}, "the deleted one is gone at once"
    await s.follow()
    assert await s.found(anna, "quick") == set() and await s.found(anna, "slow") == {one}
    assert await s.found(await s.person(), "slow") == set()
    w = t.message_words
    async with database.read() as connection:
        kept = await connection.scalar(sa.select(w.c.words).where(w.c.message_id == two))
    assert not kept, "no word of a deleted message is kept"
    found = await s.history.anywhere(two)
    assert found is not None and found.chat_id == chat_id and await s.history.anywhere(new_id()) is None


async def test_words_of_every_form_go_into_it_and_are_found(database: Database) -> None:
    s = Setting(database)
    anna = await s.person()
    chat_id = await s.group(anna)
    bodies = ["⒈⒉ ½ ℃", "ข้าว", "हिन्दी", "x" * 8_000, "1️⃣ 🇩🇪", '"quo\'ted" AND (or) * : ^', "𐐀𐐁 ᏣᎳᎩ ꭰ", "ﬁn\u00adish Ⅻ"]
    ids = await s.say(chat_id, anna, *bodies)
    await s.say(chat_id, anna, "…", "❤️")
    await s.follow()
    for id_, query in zip(
        ids, ["1 2 c", "ข้าว", "हिन्दी", "X" * 8_000, "1\u20e3", "and QUO", "𐐨𐐩 ꭰ", "finish xii"], strict=True
    ):
        assert id_ in await s.found(anna, query), query
    assert await s.found(anna, "ข่าว") == set() and await s.found(anna, "दी हिन") == set()


async def test_nothing_is_lost_with_who_indexes_and_a_new_one_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = Setting(database)
    anna = await s.person()
    chats = [await s.group(anna) for _ in range(3)]
    await s.follow()
    ids = {id_ for chat in chats for id_ in await s.say(chat, anna, *(f"tea {n}" for n in range(70)))}
    dying = SqlWordIndex(database)
    write, left = dying._write, [0]

    async def write_and_die(*args: Any) -> None:
        await write(*args)
        left[0] += 1
        if left[0] == 2:
            raise asyncio.CancelledError

    monkeypatch.setattr(dying, "_write", write_and_die)
    with pytest.raises(asyncio.CancelledError):
        await s.follow(dying)
    assert await s.found(anna, "tea") < ids, "what its last transaction held went with it"
    ids |= set(await s.say(chats[0], anna, "tea, at last"))
    await s.follow(SqlWordIndex(database))
    assert await s.found(anna, "tea") == ids


async def test_what_was_there_before_is_indexed_newest_first_and_what_is_said_meanwhile_before_it(
    database: Database,
) -> None:
    s = Setting(database)
    anna = await s.person()
    chat_id = await s.group(anna)
    old = await s.say(chat_id, anna, *(f"tea {n}" for n in range(160)))
    while not await s.found(anna, "tea"):
        await s.index.follow()
    some = await s.found(anna, "tea")
    assert some < set(old) and old[-1] in some and old[0] not in some
    [new] = await s.say(chat_id, anna, "tea again")
    await s.index.follow()
    assert new in await s.found(anna, "tea again") and len(await s.found(anna, "tea")) <= len(some) + 26
    await s.follow()
    assert await s.found(anna, "tea") == {*old, new}


async def test_it_is_rebuilt_beside_what_goes_on(database: Database) -> None:
    s = Setting(database)
    anna = await s.person()
    chat_id = await s.group(anna)
    ids = await s.say(chat_id, anna, *(f"tea {n}" for n in range(60)))
    await s.follow()
    async with database.write() as connection:  # as a defect of cutting might have left it
        await connection.execute(sa.delete(t.message_words).where(t.message_words.c.message_id == ids[3]))
        other = ["coffee"] if database.postgresql else "coffee"
        await connection.execute(
            sa.update(t.message_words).where(t.message_words.c.message_id == ids[4]).values(words=other)
        )
    await s.follow()
    assert await s.found(anna, "tea") == set(ids) - {ids[3], ids[4]}
    await s.index.rebuild()
    assert len(await s.found(anna, "tea")) == 58, "it is asked meanwhile"
    await s.follow()
    assert await s.found(anna, "tea") == set(ids) and await s.found(anna, "coffee") == set()


async def test_a_vacuum_of_the_file_loses_nothing(database: Database) -> None:
    if database.postgresql:
        return
    s = Setting(database)
    anna = await s.person()
    chat_id = await s.group(anna)
    ids = await s.say(chat_id, anna, *(f"tea {n}" for n in range(20)))
    await s.follow()
    await s.do(*(Command(chat_id, anna, new_id(), c.DeleteMessage(id_)) for id_ in ids[:10]))
    await s.follow()
    with sqlite3.connect(database.url.removeprefix("sqlite:///"), isolation_level=None) as file:
        file.execute("vacuum")
    assert await s.found(anna, "tea") == set(ids[10:]) and await s.found(anna, "tea 15") == {ids[15]}


async def test_an_answer_is_in_it_once_it_ended(database: Database) -> None:
    s = Setting(database)
    anna = await s.person()
    chat_id = new_id()
    await s.do(Command(chat_id, anna, new_id(), c.CreateChat("assistant", None, ())))
    await s.say(chat_id, anna, "what is an okapi?")
    await s.follow()
    [job] = await s.jobs.claim("w", 1, 60)
    await s.do(
        Command(chat_id, ASSISTANT_ID, new_id(), c.CompleteReply(job.message_id, 1, "complete", "forest giraffe"))
    )
    await s.follow()
    assert await s.found(anna, "forest") == {job.message_id}


async def test_the_index_of_before_goes_when_the_words_are_indexed_anew(servers: Servers) -> None:
    database = Database(servers.postgres.database(f"words_{new_id()[:8]}"))
    await migrate(database, SHARDS)
    s = Setting(database)
    driver = await asyncpg.connect(database.url)
    anna = await s.person()
    chat_id = await s.group(anna)
    await s.say(chat_id, anna, *(f"tea {n}" for n in range(100)))
    await driver.execute("create index ix_messages_words on messages (id)")
    there = "select to_regclass('ix_messages_words') is not null"
    await migrate(database, SHARDS)
    assert await driver.fetchval(there), "nothing is indexed anew yet"
    await s.index.follow()
    assert await driver.fetchval("select low from indexed where chat_id = $1", chat_id) > 0
    await migrate(database, SHARDS)
    assert await driver.fetchval(there)
    await s.follow()
    await migrate(database, SHARDS)
    assert not await driver.fetchval(there)
    await driver.close()
    await database.close()


async def test_one_process_at_a_time_is_at_it_and_batches_that_went_are_no_loss(servers: Servers) -> None:
    database = Database(servers.postgres.database(f"words_{new_id()[:8]}"))
    await migrate(database, SHARDS)
    s = Setting(database)
    anna = await s.person()
    chat_id = await s.group(anna)
    await s.follow()
    ids = set(await s.say(chat_id, anna, "tea"))
    driver = await asyncpg.connect(database.url)
    holder = driver.transaction()
    await holder.start()
    await driver.execute("select from meta where key = 'indexed' for update")
    assert not await s.index.follow() and await s.found(anna, "tea") == set()
    await holder.rollback()
    await driver.execute("delete from batches")
    await driver.execute("update meta set value = replace(value, '20', '19') where key = 'indexed'")
    await s.follow()
    assert await s.found(anna, "tea") == ids, "after a long time all chats are looked at"
    ids |= set(await s.say(chat_id, anna, "tea"))
    await driver.execute("delete from batches")
    await driver.execute(
        "update meta set value = replace(value, 'epoch\": \"', 'epoch\": \"other') where key = 'indexed'"
    )
    await s.follow()
    assert await s.found(anna, "tea") == ids, "another life of the database is begun anew"
    await driver.close()
    await database.close()


async def test_a_text_that_is_made_for_it_holds_up_nobody(database: Database) -> None:
    """Letters with thousands of marks; long texts of scripts without spaces, more than one transaction takes."""
    s = Setting(database)
    anna = await s.person()
    chat_id = await s.group(anna)
    marks = "".join(chr(0x300 + n * 7 % 21) for n in range(3_900))
    ids = await s.say(chat_id, anna, f"漢{marks}字", f"{'x' + marks} tea", "after 東京")
    await s.follow()
    assert await s.found(anna, "after 東京") == {ids[2]} and await s.found(anna, "tea") == {ids[1]}
    assert await s.found(anna, f"漢{marks}字") == {ids[0]}
    han = [chr(0x4E00 + n * 131 % 20_000) for n in range(8_000)]
    long = await s.say(chat_id, anna, *("".join(han[n:] + han[:n]) for n in range(0, 8_000, 200)))
    await s.follow()
    assert await s.found(anna, han[0] + han[1]) >= set(long[1:])


async def test_what_the_database_refuses_to_index_is_left_out_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = Setting(database)
    anna = await s.person()
    chats = [await s.group(anna) for _ in range(3)]
    ids = {id_ for chat in chats for id_ in await s.say(chat, anna, *(f"tea {n}" for n in range(10)))}
    [poison] = await s.say(chats[1], anna, "tea poison")
    write, failures = s.index._write, [0]

    async def refuses(connection: Any, rows: Any, cut: list[tuple[str, str, str]]) -> None:
        if any("poison" in words for _, _, words in cut):
            failures[0] += 1
            raise ValueError("it can't be indexed")
        await write(connection, rows, cut)

    monkeypatch.setattr(s.index, "_write", refuses)
    async with asyncio.timeout(30):
        while True:
            try:
                if not await s.index.follow():
                    break
            except ValueError:
                continue
    assert await s.found(anna, "tea") == ids and 3 < failures[0] < 12
    found = await s.history.anywhere(poison)
    assert found is not None, "operators find it all the same"
