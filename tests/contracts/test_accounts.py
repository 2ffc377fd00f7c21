"""Accounts, sessions, refresh tokens, tickets; and who adds whom: one contract for SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.adapters.store import tables
from app.adapters.store.database import Database
from app.application.clock import utc_now
from app.application.ports.people import TicketUse
from app.domain.command import Command
from app.domain.fold import Limits
from tests import actions as c
from tests.contracts.store_setting import Store
from tests.world import new_id


async def test_a_refresh_token_rotates_and_one_used_before_ends_its_session(database: Database) -> None:
    store = Store(database)
    account = await store.accounts.by_id(await store.person())
    assert account is not None

    def use(old: str, new: str, grace_s: float = 30.0, ttl_s: float = 60.0) -> Any:
        return store.accounts.use_refresh(old, new, grace_s, ttl_s)

    session = await store.accounts.start_session(account, "t1", 60, "a test")
    assert session is not None and await use("never", "x") is None
    first = await use("t1", "t2")
    assert (first.session_id, first.user_id, first.replayed) == (session, account.id, False)
    assert (await use("t1", "t2b")).replayed is False, "a lost answer: good for the grace"
    assert (await use("t2", "t3")).replayed is False and await store.accounts.session_alive(session)
    await asyncio.sleep(0.05)
    replayed = await use("t1", "t4", grace_s=0.01)
    assert replayed.replayed and not await store.accounts.session_alive(session)
    for token in ("t2", "t2b", "t3", "t4"):
        assert await use(token, "t5") is None, "its session has ended"
    other = await store.accounts.start_session(account, "u1", 0.05, "a test")
    await asyncio.sleep(0.1)
    assert other is not None and await use("u1", "u2") is None, "it had expired"


async def test_a_ticket_is_good_once_and_not_for_long(database: Database) -> None:
    store = Store(database)
    account = await store.accounts.by_id(await store.person())
    assert account is not None
    session = await store.accounts.start_session(account, "r1", 60, "a test")
    assert session is not None
    await store.accounts.add_ticket("k1", session, 60)
    await store.accounts.add_ticket("k2", session, 0.05)
    await asyncio.sleep(0.1)
    assert await store.accounts.use_ticket("k1") == TicketUse(session, account.id)
    assert await store.accounts.use_ticket("k1") is None and await store.accounts.use_ticket("k2") is None
    await store.accounts.add_ticket("k3", session, 60)
    await store.accounts.end_session(session)
    assert await store.accounts.use_ticket("k3") is None


async def test_what_is_over_is_forgotten_and_a_person_has_fifty_sessions(database: Database) -> None:
    store = Store(database)
    anna = await store.accounts.by_id(await store.person())
    assert anna is not None
    ids = [await store.accounts.start_session(anna, f"refresh-{new_id()}", 60.0, "") for _ in range(53)]
    live = [session.id for session in await store.accounts.sessions(anna.id, None, 100)]
    pages = [await store.accounts.sessions(anna.id, live[n - 1] if n else None, 20) for n in (0, 20, 40)]
    assert [session.id for page in pages for session in page] == live
    assert sorted(live) == sorted(str(id_) for id_ in ids[3:]) and not await store.accounts.session_alive(str(ids[0]))
    long_ago = utc_now() - timedelta(days=8)
    over = await store.accounts.start_session(anna, "over", -1.0, "")
    await store.accounts.add_ticket("ticket", str(ids[10]), -1.0)
    async with database.write() as connection:
        await connection.execute(
            sa.update(tables.sessions).where(tables.sessions.c.id == ids[0]).values(ended_at=long_ago)
        )
        for id_ in (ids[0], over):
            await connection.execute(
                sa.update(tables.sessions).where(tables.sessions.c.id == id_).values(created_at=long_ago)
            )
    await store.accounts.prune()
    async with database.read() as connection:
        kept = set(await connection.scalars(sa.select(tables.sessions.c.id)))
        tickets = list(
            await connection.scalars(sa.select(tables.tickets.c.hash).where(tables.tickets.c.hash == "ticket"))
        )
    assert kept >= set(live) - {str(over)} and not kept & {ids[0], over} and not tickets
    assert str(ids[1]) in kept, "what ended just now is still known"


async def test_who_was_added_by_too_many_strangers_is_left_alone_for_the_rest_of_the_hour(database: Database) -> None:
    """Each adding counts, and nothing but an adding; at once they are counted one after the other."""
    store = Store(database)
    anna, ben, operator = [await store.person() for _ in range(3)]
    await store.accounts.administer(None, operator, None, "operator")

    def group(by: str, *others: str) -> Command:
        return Command(new_id(), by, new_id(), c.CreateChat("group", None, others))

    async def said(*commands: Command) -> list[str | None]:
        return [result.outcome.code for result in await store.do(*commands)]

    strangers = [await store.person() for _ in range(24)]
    own = await store.group(strangers[0])
    for _ in range(3):  # who removes and adds again counts again
        assert await said(Command(own, strangers[0], new_id(), c.AddMember(anna, "member"))) == [None]
        assert await said(Command(own, strangers[0], new_id(), c.RemoveMember(anna))) == [None]
    assert await said(*(group(strangers[1], anna) for _ in range(3))) == [None] * 3, "the first of them shares a chat"
    assert await said(Command(own, strangers[2], new_id(), c.AddMember(anna, "member"))) == ["not_found"]
    await store.accounts.update(anna, None, lambda kept: {"added_by": "nobody"})
    assert await said(group(strangers[2], anna)) == ["not_allowed"], "and doesn't count"
    await store.accounts.update(anna, None, lambda kept: {})
    others = [Store(Database(database.url)) for _ in range(2)] if database.postgresql else [store, store]
    at_once = [group(stranger, anna) for stranger in strangers[3:]]
    found = await asyncio.gather(*(others[n % 2].worker._transact([command]) for n, command in enumerate(at_once)))
    codes = [decided.results[0].outcome.code for decided in found]
    assert (codes.count(None), codes.count("rate_limited")) == (16, 5), codes
    last = strangers[3 + codes.index("rate_limited")]
    assert await said(group(last, ben)) == [None] and await said(group(last, anna, ben)) == ["rate_limited"]
    assert await said(group(operator, anna)) == [None] and await said(group(strangers[1], anna)) == [None]
    async with database.write() as connection:
        await connection.execute(sa.update(tables.stranger_adds).values(at=utc_now() - timedelta(hours=25)))
    await store.log.prune()
    async with database.read() as connection:
        assert await connection.scalar(sa.select(sa.func.count()).select_from(tables.stranger_adds)) == 0
    assert await said(group(last, anna)) == [None]
    for other in others:
        if other is not store:
            await other.database.close()


async def test_the_facts_of_who_is_added_are_the_stores(database: Database) -> None:
    store = Store(database)
    anna, ben, carl = [await store.person() for _ in range(3)]
    for choice, other, code in (
        ("shared", ben, "not_allowed"), ("nobody", ben, "not_allowed"), ("everyone", ben, None), ("shared", ben, None),
        (5, carl, None),
    ):  # fmt: skip
        await store.accounts.update(other, None, lambda kept, choice=choice: {"added_by": choice})  # type: ignore[misc]
        [result] = await store.do(Command(new_id(), anna, new_id(), c.CreateChat("group", None, (other,))))
        assert result.outcome.code == code, (choice, result.outcome)
    chat_id = await store.group(anna)
    await store.history.refuse(chat_id, ben, True)
    await store.history.refuse(chat_id, ben, True)
    add = c.AddMember(ben, "member")
    [result] = await store.do(Command(chat_id, anna, new_id(), add))
    assert (result.outcome.code, result.outcome.policies) == ("not_allowed", ("people-refuse-chats",))
    await store.history.refuse(chat_id, ben, False)
    [result] = await store.do(Command(chat_id, anna, new_id(), add))
    assert result.outcome.code is None


async def test_open_questions_are_counted_in_all_chats_of_who_asked(database: Database) -> None:
    store = Store(database)
    store.worker._limits = Limits(1000, open_questions_max=2)
    anna, ben = await store.person(), await store.person()
    own, group = new_id(), await store.group(anna, ben)
    await store.do(Command(own, anna, new_id(), c.CreateChat("assistant")))
    for chat_id, actor, body, code in (
        (own, anna, "one", None), (group, anna, "@assistant two", None), (own, anna, "three", "quota_exceeded"),
        (group, anna, "@assistant three", None), (group, anna, "no question", None),
        (group, ben, "@assistant", None),
    ):  # fmt: skip
        [result] = await store.do(Command(chat_id, actor, new_id(), c.SendMessage(body)))
        assert result.outcome.code == code, (body, result.outcome)
    reply = (await store.history.messages(own, None, None, 1)).messages[0]
    ended = await store.do(
        Command(own, anna, new_id(), c.StopReply(reply.id)), Command(own, anna, new_id(), c.RegenerateReply(reply.id)),
        Command(group, anna, new_id(), c.SendMessage("@assistant")),
    )  # fmt: skip
    assert [result.outcome.code for result in ended] == [None, None, None]
    [silence] = store.decided[-1].state.changes.silences
    assert (silence.user_id, silence.code) == (anna, "quota_exceeded"), "the message stands"
