"""What older versions wrote is made anew beside the service, page by page: broken off anywhere, begun again, by several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from app.adapters.store import accounts, command_log, tables
from app.adapters.store.database import Database
from app.application.ports.errors import Transient
from app.domain.command import Command
from tests import actions as c
from tests.contracts.store_setting import Store
from tests.world import new_id


def broken_off(monkeypatch: pytest.MonkeyPatch, database: Database, pages: int) -> None:
    """From now on so many pages are written, and the next one isn't."""
    write, written = database.write, list[int]()

    @asynccontextmanager
    async def writes() -> AsyncIterator[Any]:
        async with write() as connection:
            yield connection
            written.append(1)
            if len(written) > pages:
                raise Transient("in the middle of a page")

    monkeypatch.setattr(database, "write", writes)


async def test_names_and_reactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that aren't folded, aren't stored as today's are, or are of another name; reactions in other forms."""
    monkeypatch.setattr(accounts, "_FOLDED_AT_ONCE", 1)
    monkeypatch.setattr(command_log, "_FORMED_AT_ONCE", 2)
    store = Store(database)
    anna, ben, nobody, longer, longest = [await store.person() for _ in range(5)]
    chat_id = await store.group(anna, ben)
    [sent] = await store.do(Command(chat_id, anna, new_id(), c.SendMessage("x")))
    message = await store.history.message_at(chat_id, sent.outcome.seq)
    assert message is not None
    users, reactions = tables.users, tables.reactions
    older = (
        (anna, " ΝΙ\u0301ΚΟΣ ", None),
        (ben, "Ben", "old"),
        (nobody, "\u3164", "\u1160"),
        (longer, "a\u09df", "old"),
        (longest, "\u09df" * 99, None),
    )  # in NFC one of these letters is two
    given = (("❤", anna), ("❤️", anna), ("❤", ben), ("👍", ben), ("★", ben))
    async with database.write() as connection:
        for id_, name, folded in older:
            values = {"display_name": name, "folded_name": folded}
            await connection.execute(sa.update(users).where(users.c.id == id_).values(values))
        row = {"chat_id": chat_id, "message_id": message.id}
        for seq, (emoji, user_id) in enumerate(given, 3):
            await connection.execute(
                sa.insert(reactions).values(row | {"emoji": emoji, "user_id": user_id, "seq": seq})
            )
    for pages in range(4):
        for renew in (store.accounts.fold_names, store.log.one_form_of_emoji):
            with monkeypatch.context() as broken:
                broken_off(broken, database, pages)
                with pytest.raises(Transient):
                    await renew()
                    raise Transient("there were no more pages")
    for _ in range(2):
        await asyncio.gather(*(store.accounts.fold_names() for _ in range(2)), store.log.one_form_of_emoji())
    assert [account.id for _, account in await store.accounts.search("νίκος", None, 500)].count(anna) == 1
    async with database.read() as connection:
        found = await connection.execute(
            sa.select(users.c.id, users.c.username, users.c.display_name, users.c.folded_name).where(
                users.c.id.in_((anna, ben, nobody, longer, longest))
            )
        )
        names = {row.id: (row.display_name, row.folded_name, row.username) for row in found}
        kept = await connection.execute(
            sa.select(reactions.c.emoji, reactions.c.user_id).where(reactions.c.message_id == message.id)
        )
        assert {tuple(row) for row in kept} == {("❤️", anna), ("❤️", ben), ("👍", ben), ("★", ben)}
    assert names[anna][:2] == ("ΝΊΚΟΣ", "νίκοσ") and names[ben][:2] == ("Ben", "ben")
    assert names[nobody][0] == names[nobody][1] == names[nobody][2], (
        "of a name that leaves nothing to see, the username"
    )
    assert names[longer][0] == "a\u09af\u09bc" and names[longest][0] == "\u09af\u09bc" * 50, "cut, and not lost"
    [removed] = await store.do(Command(chat_id, ben, new_id(), c.RemoveReaction(message.id, "❤")))
    assert removed.outcome.seq is not None, "in whatever form it is asked"
