"""SQLite itself, told that there are no more pages: a command waits, and isn't refused for it."""

from __future__ import annotations

import asyncio

import sqlalchemy as sa

from app.adapters.store.database import Database
from app.application.ports.errors import Transient
from app.domain.command import Command
from tests import actions as c
from tests.contracts.store_setting import Store
from tests.world import new_id


async def pages_at_most(database: Database, most: int) -> None:
    async with database.engine.connect() as connection:
        await connection.execute(sa.text(f"pragma max_page_count = {most}"))


async def test_what_is_said_while_the_disk_is_full_is_committed_when_it_isnt(database: Database) -> None:
    if database.postgresql:
        return
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    await pages_at_most(database, 1)  # as many as there are
    command = Command(chat_id, anna, new_id(), c.SendMessage("x" * 20_000))
    deciding = asyncio.create_task(store.do(command))
    for _ in range(100):
        await asyncio.sleep(0.05)
        if database.why_not() is not None:
            break
    assert database.why_not() == "its disk is full" and not deciding.done()
    try:
        await store.history.mark_read(anna, chat_id, 1, 1, 10)  # what needs no new page may go
    except Transient:
        pass
    assert len((await store.history.messages(chat_id, None, None, 10)).messages) == 0, "reading goes on"
    await pages_at_most(database, 1_000_000)
    [result] = await asyncio.wait_for(deciding, 20)
    assert (result.outcome.code, result.outcome.seq) == (None, 2)
    async with asyncio.timeout(10):
        while database.why_not() is not None:
            await asyncio.sleep(0.2)
            await database.probe()
