"""One contract for SQLite and PostgreSQL, and what only one of them has to keep."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa

from app.adapters.broker.rabbitmq.connection import queue_name
from app.adapters.store import tables
from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.database import Database
from app.adapters.store.heal import PostgresHeal
from app.adapters.store.migrate import LanesInUse, ShardsDiffer, change_epoch, change_lanes, change_shards, migrate
from app.adapters.store.workers import SqlWorkers
from app.adapters.wire.problems import problem_json
from app.adapters.wire.registry import event_json
from app.application.clock import utc_now
from app.application.lanes import Lanes
from app.application.ports.bus import DeadLetter
from app.application.process import Worker
from app.domain.command import Command, UnknownAction
from app.domain.decide import EVENTS
from app.domain.errors import ParleyError
from app.domain.events import Opaque
from app.domain.fold import Limits
from app.domain.ids import shard_of
from app.domain.state import Outcome
from app.domain.values import Failure, Message, Usage
from app.infrastructure.wiring import new_id as new_uuid7
from stack.pace import within
from stack.servers import Servers
from tests import actions as c
from tests.contracts.store_setting import PEP, SHARDS, Store
from tests.world import new_id


async def test_a_long_index_is_built_beside_the_traffic_and_anew_where_it_broke_off(servers: Servers) -> None:
    url = servers.postgres.database(f"index_{new_id()[:8]}")
    database = Database(url)
    await migrate(database, SHARDS)
    driver = await asyncpg.connect(url)
    valid = "select indisvalid from pg_index where indexrelid = 'ix_users_folded_name'::regclass"
    assert await driver.fetchval(valid)
    await driver.execute("update pg_index set indisvalid = false where indexrelid = 'ix_users_folded_name'::regclass")
    await asyncio.gather(*(migrate(database, SHARDS) for _ in range(3)))
    async with within(5):
        while not await driver.fetchval(valid):
            await asyncio.sleep(0.1)
    await driver.close()
    await database.close()


async def test_migrations_go_up_down_and_up_again_and_three_at_once(database: Database) -> None:
    await migrate(database, SHARDS, "base")
    await asyncio.gather(*(migrate(database, SHARDS) for _ in range(3)))
    with pytest.raises(ShardsDiffer, match="COMMAND_SHARDS"):
        await migrate(database, SHARDS + 1)
    await change_shards(database, SHARDS + 1)
    await migrate(database, SHARDS + 1)
    async with database.read() as connection:
        made = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
    assert set(tables.metadata.tables) <= set(made)


async def test_every_event_survives_the_store_and_comes_back_as_it_was_decided(database: Database) -> None:
    store = Store(database)
    anna, bert = await store.person(), await store.person()
    chat_id = await store.group(anna, bert)
    decided = [event for d in store.decided for event in d.events]

    async def do(*commands: Command) -> list[Any]:
        results = await store.do(*commands)
        decided.extend(event for d in store.decided for event in d.events)
        assert [r.outcome.code for r in results] == [None] * len(commands)
        return results

    def by(actor: str, action: Any) -> Command:
        return Command(chat_id, actor, new_id(), action)

    sent = await do(
        by(anna, c.SendMessage("first 🎉 ñ\u2028")), by(bert, c.SendMessage("@assistant hi")),
        by(anna, c.UpdateChat(("title",), "new")),
    )  # fmt: skip
    assert [r.outcome.seq for r in sent] == [2, 3, 5]
    first = await store.history.message_at(chat_id, 2)
    asked = await store.history.message_at(chat_id, 3)
    assert first is not None and asked is not None
    await do(
        by(bert, c.AddReaction(first.id, "👍")), by(anna, c.AddReaction(first.id, "👍")),
        by(anna, c.AddReaction(first.id, "🎉")), by(anna, c.RemoveReaction(first.id, "🎉")),
        by(anna, c.PinMessage(first.id)), by(bert, c.PinMessage(asked.id)), by(anna, c.UnpinMessage(first.id)),
        by(anna, c.EditMessage(first.id, "edited")), by(anna, c.DeleteMessage(asked.id)),
        by(anna, c.UpdateMember(bert, ("role",), "admin")), by(anna, c.BanMember(bert)),
        by(anna, c.UnbanMember(bert)), by(anna, c.AddMember(bert, "reader")),
    )  # fmt: skip
    shown = {event.type for event in decided}
    assert shown == set(EVENTS) - {"reply.steered"}, (
        "a new kind of event is shown here to come back; remarks: test_jobs.py"
    )
    events = await store.timeline.events(chat_id, 0, 100)
    assert [e.seq for e in events] == list(range(1, len(events) + 1)) and len(events) == len(decided)
    messages = {m.id: m for m in (await store.history.messages(chat_id, None, None, 100)).messages}
    for event, was in zip(events, sorted(decided, key=lambda e: e.seq), strict=True):
        now = messages[was.payload.id] if isinstance(was.payload, Message) else was.payload
        assert event == replace(was, payload=now), "an event read later carries its message as it is now"
    first_now = messages[first.id]
    assert [(r.emoji, r.user_ids) for r in first_now.reactions] == [("👍", (bert, anna))]
    assert (await store.timeline.events(chat_id, 3, 2)) == events[3:5]
    page = await store.history.messages(chat_id, None, None, 2)
    assert [m.seq for m in page.messages] == [4, 3] and page.has_more
    removed_at = next(e.seq for e in events if e.type == "member.removed")
    assert await store.timeline.removed_after(bert, chat_id, 0)
    assert await store.timeline.removed_after(bert, chat_id, removed_at - 1)
    assert not await store.timeline.removed_after(bert, chat_id, removed_at)
    assert not await store.timeline.removed_after(anna, chat_id, 0)
    assert await store.history.pins(chat_id, None, 10) == [], "one was taken off, the other deleted"


async def test_what_a_newer_version_wrote_is_read_as_far_as_it_is_known(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage("before")))
    id_ = new_id()
    async with database.write() as connection:
        await connection.execute(
            sa.insert(tables.changes).values(
                chat_id=chat_id, seq=3, type="poll.opened", at=utc_now(), actor_id=anna, data={"question": "tea?"}
            )
        )
        await connection.execute(
            sa.insert(tables.changes).values(
                chat_id=chat_id,
                seq=4,
                type="member.removed",
                at=utc_now(),
                actor_id=anna,
                data={"whom": "of another form"},
            )
        )
        await connection.execute(sa.update(tables.chats).where(tables.chats.c.id == chat_id).values(head=4))
        await connection.execute(
            sa.insert(tables.outcomes).values(
                chat_id=chat_id, actor_id=anna, id=id_, type="poll.open", code="too_many_polls", reason="…",
                policies=[], at=utc_now(),
            )
        )  # fmt: skip
    [after] = await store.do(Command(chat_id, anna, new_id(), c.SendMessage("after")))
    assert after.outcome.seq == 5
    events = await store.timeline.events(chat_id, 0, 100)
    assert [e.seq for e in events] == [1, 2, 3, 4, 5]
    assert (events[2].type, events[2].payload) == ("poll.opened", Opaque())
    told = event_json(events[2])
    assert set(told) == {"type", "chat_id", "seq", "at", "actor_id"} and told["type"] == "poll.opened"
    assert events[3].payload == Opaque() and set(event_json(events[3])) == set(told), (
        "nor is a known type of another form"
    )
    assert not await store.timeline.removed_after(anna, chat_id, 0)
    [again] = await store.do(Command(chat_id, anna, id_, c.SendMessage("x")))
    assert again.repeat and again.outcome.code == "too_many_polls"
    outcome = (await store.history.outcomes([(chat_id, anna, id_)])).get((chat_id, anna, id_))
    assert outcome is not None and outcome.code == "too_many_polls"
    assert problem_json(ParleyError("too_many_polls", "…"))["status"] == 409
    first = events[1].payload
    async with database.write() as connection:
        grown = {
            "failure": {"code": "cut", "reason": "why", "hint": 1},
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cost": 3},
        }
        await connection.execute(sa.update(tables.messages).where(tables.messages.c.id == first.id).values(grown))
        await connection.execute(
            sa.insert(tables.changes).values(
                chat_id=chat_id, seq=6, type="message.edited", at=utc_now(), actor_id=anna, message_id=new_id()
            )
        )
        await connection.execute(sa.update(tables.chats).where(tables.chats.c.id == chat_id).values(head=6))
    read = await store.history.message(chat_id, first.id)
    assert read is not None and (read.failure, read.usage) == (Failure("cut", "why"), Usage(1, 2))
    async with database.write() as connection:
        values = {"failure": {"why": "of another form"}, "usage": {"prompt_tokens": "many"}}
        await connection.execute(sa.update(tables.messages).where(tables.messages.c.id == first.id).values(values))
    events = await store.timeline.events(chat_id, 0, 100)
    assert (events[1].payload.failure, events[1].payload.usage) == (None, None)
    assert events[5].payload == Opaque() and "message" not in event_json(events[5]), "its message is not to be found"
    [edited] = await store.do(Command(chat_id, anna, new_id(), c.EditMessage(first.id, "still decided")))
    assert edited.outcome.seq == 7


async def test_an_id_is_one_of_chat_sender_and_id_together(database: Database) -> None:
    store, id_ = Store(database), new_id()
    anna, ben = await store.person(), await store.person()
    chats = [await store.group(anna, ben) for _ in range(2)]
    sends = [Command(chat, who, id_, c.SendMessage(f"{n}")) for n, (chat, who) in enumerate(
        (chat, who) for chat in chats for who in (anna, ben)
    )]  # fmt: skip
    seqs = [result.outcome.seq for result in await store.do(*sends)]
    assert seqs == [2, 3, 2, 3], "four messages"
    again = await store.do(*reversed(sends))
    assert [(r.repeat, r.outcome.seq) for r in again] == [(True, seq) for seq in reversed(seqs)]
    titles, other = [Command(chat, anna, new_id(), c.UpdateChat(("title",), "new")) for chat in chats], new_id()
    refused = Command(chats[0], ben, titles[0].id, c.UpdateChat(("title",), "by ben"))
    results = await store.do(*titles, refused)
    assert [r.outcome.code for r in results] == [None, None, "not_allowed"]
    missing = (chats[1], anna, titles[0].id)
    found = await store.history.outcomes([*(c.key for c in (*titles, refused, *sends, *sends)), missing])
    assert [found.pop(command.key) for command in (*titles, refused)] == [r.outcome for r in results]
    assert found == {command.key: Outcome("message.send", seq) for command, seq in zip(sends, seqs, strict=True)}
    assert await store.history.outcomes([]) == {}
    unknown = [replace(command, id=other, action=UnknownAction("poll.open")) for command in sends]
    await store.log.note_try(unknown[:1])
    await store.log.note_try(unknown[:2])
    assert await store.log.tries(unknown) == [2, 1, 0, 0]
    unknown = [replace(command, id=new_id()) for command in unknown[:1]] + unknown[2:]
    unknown[1:] = [replace(command, id=unknown[0].id) for command in unknown[1:]]
    assert await store.log.unknown_for_s(unknown[:1]) == [0.0]
    await asyncio.sleep(0.05)
    waited = await store.log.unknown_for_s(unknown)
    assert waited[0] > 0 and waited[1:] == [0.0, 0.0]


async def test_what_nobody_knows_is_left_and_after_a_while_refused_alone(database: Database) -> None:
    from app.application.ports.bus import Delivery

    store = Store(database)
    anna = await store.person()
    chat_id, other_chat = await store.group(anna), await store.group(anna)
    newer = Command(chat_id, anna, new_id(), UnknownAction("poll.open", {"question": "tea?"}))
    fine = [Command(chat, anna, new_id(), c.SendMessage("fine")) for chat in (chat_id, chat_id, other_chat)]
    before, with_newer = Delivery(0, [fine[0]]), Delivery(0, [newer, fine[1]])
    behind, elsewhere = Delivery(0, [Command(chat_id, anna, new_id(), c.SendMessage("behind"))]), Delivery(1, [fine[2]])
    deliveries = [before, with_newer, behind, elsewhere]
    told: list[tuple[str, bool]] = []
    worker = Worker(
        store.log, PEP.ask, store._announce, new_uuid7, SHARDS, Limits(1000), 0.2,
        on_unknown=lambda type_, given_up: told.append((type_, given_up)),
    )  # fmt: skip
    store.decided.clear()
    left = await worker.process(deliveries)
    assert list(left) == [with_newer, behind], "what comes from there on in its shard; nothing of others"
    done = {result.command.id for d in store.decided for result in d.results}
    assert done == {fine[0].id, fine[2].id}
    await asyncio.sleep(0.3)
    assert list(await worker.process([with_newer, behind])) == []
    ends = {r.command.id: r.outcome for d in store.decided for r in d.results}
    assert ends[newer.id].code == "conflict" and ends[fine[1].id].seq == 3
    assert told == [("poll.open", False), ("poll.open", True)]
    outcome = (await store.history.outcomes([(chat_id, anna, newer.id)])).get((chat_id, anna, newer.id))
    assert outcome is not None and (outcome.type, outcome.code) == ("poll.open", "conflict"), "with its trace"
    assert await store.log.unknown_for_s([newer]) == [math.inf], "what is known is told, and waits for nobody"
    seen_often = Delivery(0, [newer, *behind.commands], seen=120)
    assert list(await worker.process([seen_often])) == []
    assert [r.repeat for d in store.decided[-1:] for r in d.results] == [True, True]


async def test_what_is_committed_is_on_the_disk(database: Database) -> None:
    async with database.write() as connection:
        if database.postgresql:
            settings = {
                name: await connection.scalar(sa.text(f"show {name}"))
                for name in (
                    "synchronous_commit",
                    "idle_in_transaction_session_timeout",
                    "lock_timeout",
                    "statement_timeout",
                )
            }
            assert settings == {
                "synchronous_commit": "on", "idle_in_transaction_session_timeout": "5s", "lock_timeout": "4s",
                "statement_timeout": "5s",
            }  # fmt: skip
        else:
            pragmas = {
                name: await connection.scalar(sa.text(f"pragma {name}")) for name in ("synchronous", "journal_mode")
            }
            assert pragmas == {"synchronous": 2, "journal_mode": "wal"}, (
                "FULL: the write-ahead log is synced at each commit"
            )
            assert await connection.scalar(sa.text("pragma foreign_keys")) == 1


async def test_constraints_repeat_the_invariants(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    id_ = new_id()
    await store.do(Command(chat_id, anna, id_, c.SendMessage("x")))
    m = tables.messages
    async with database.read() as connection:
        row = dict((await connection.execute(sa.select(m))).mappings().one())
    for change in (
        {"id": new_id(), "seq": 3}, {"id": new_id(), "client_message_id": new_id()}, {"seq": 3, "client_message_id": new_id()},
        {"id": new_id(), "seq": 3, "client_message_id": new_id(), "body": None},
        {"id": new_id(), "seq": 0, "client_message_id": new_id()},
    ):  # fmt: skip
        with pytest.raises(sa.exc.IntegrityError):
            async with database.write() as connection:
                await connection.execute(sa.insert(m).values(row | change))


async def test_a_batch_that_raises_is_halved_to_the_one_that_raises(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    poison = Command(chat_id, anna, new_id(), c.SendMessage("poison"))
    from app.domain import decide as rules

    decide = rules.decide

    def breaks(state: Any, commands: Any, *more: Any) -> Any:
        if any(cmd.id == poison.id for cmd in commands):
            raise ZeroDivisionError
        return decide(state, commands, *more)

    monkeypatch.setattr(rules, "decide", breaks)
    batch = [Command(chat_id, anna, new_id(), c.SendMessage(str(n))) for n in range(10)]
    batch.insert(4, poison)
    results = await store.do(*batch)
    assert [r.outcome.code for r in results] == [None] * 4 + ["conflict"] + [None] * 6
    assert [r.outcome.seq for r in results if r.outcome.seq] == list(range(2, 12))
    monkeypatch.undo()
    assert [r.outcome.code for r in await store.do(poison)] == ["conflict"], "its trace stays"


async def test_a_suspect_is_tried_alone_twice_then_refused(database: Database) -> None:
    from app.application.ports.bus import Delivery

    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    command = Command(chat_id, anna, new_id(), c.SendMessage("killer"))
    other = Command(chat_id, anna, new_id(), c.SendMessage("in its company"))
    for count in range(2):
        assert await store.log.tries([other, command]) == [0, count]
        await store.log.note_try([command, command])
    await store.worker.process([Delivery(0, [command], seen=3)])
    assert store.decided[-1].results[0].outcome.code == "conflict"
    fine = Command(chat_id, anna, new_id(), c.SendMessage("fine"))
    await store.worker.process([Delivery(0, [fine], seen=7)])
    assert store.decided[-1].results[0].outcome.seq == 2


async def test_deleting_a_much_reacted_message_is_quick_and_whole(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    [sent] = await store.do(Command(chat_id, anna, new_id(), c.SendMessage("x")))
    message = await store.history.message_at(chat_id, sent.outcome.seq)
    assert message is not None
    rows = [
        {"chat_id": chat_id, "message_id": message.id, "emoji": chr(0x1F600 + n % 20), "user_id": new_id(), "seq": n}
        for n in range(20_000)
    ]
    async with database.write() as connection:
        await connection.execute(sa.insert(tables.reactions), rows)
    [deleted] = await store.do(Command(chat_id, anna, new_id(), c.DeleteMessage(message.id)))
    assert deleted.outcome.code is None
    async with database.read() as connection:
        assert await connection.scalar(sa.select(sa.func.count()).select_from(tables.reactions)) == 0


def test_chat_id_stands_in_every_key_of_the_log() -> None:
    for table in (
        tables.members, tables.messages, tables.pins, tables.changes, tables.reactions, tables.outcomes, tables.replies, tables.reads, tables.bans,
    ):  # fmt: skip
        keys = [table.primary_key, *(k for k in table.constraints if isinstance(k, sa.UniqueConstraint))]
        for key in keys:
            assert "chat_id" in [column.name for column in key.columns], f"{table.name}: {key.name}"


async def test_a_database_is_laid_out_for_lanes_once_and_older_ones_have_a_queue_a_shard(servers: Servers) -> None:
    """What a process is told counts at the first start alone: all go by what is stored."""
    database = Database(servers.postgres.database(f"lanes_{new_id()[:8]}"))
    assert await migrate(database, SHARDS, lanes=3) == 3
    assert await migrate(database, SHARDS, lanes=2) == 3, "it is stored"
    workers, me = SqlWorkers(database), new_id()
    await workers.beat(me)
    with pytest.raises(LanesInUse, match="a worker lives"):
        await change_lanes(database, 8)
    await workers.leave(me)
    for bad in (0, 9):
        with pytest.raises(ValueError, match="1 to 8 lanes"):
            await change_lanes(database, bad)
    await change_lanes(database, 8)
    assert await migrate(database, SHARDS) == 8
    await change_shards(database, 4)
    assert await migrate(database, 4) == 4, "never more lanes than shards"
    async with database.write() as connection:  # as versions before lanes left it
        await connection.execute(sa.delete(tables.meta).where(tables.meta.c.key == "lanes"))
    assert await migrate(database, 4, lanes=2) == 4
    assert queue_name(Lanes(8, 8), 3) == "commands.3" and queue_name(Lanes(8, 2), 1) == "commands.1of2"
    await database.close()


async def test_the_poll_sees_each_commit_once_also_late_ones(servers: Servers, tmp_path: Path) -> None:
    database = Database(servers.postgres.database(f"heal_{new_id()[:8]}"), pool_size=4)
    await migrate(database, SHARDS)
    store, heal = Store(database), PostgresHeal(database)
    anna, bert = await store.person(), await store.person()
    epoch = await heal.epoch()
    await heal.poll()
    chat_id = await store.group(anna)
    late = Database(str(database.url), pool_size=2)
    other_shard = (shard_of(chat_id, SHARDS) + 1) % SHARDS
    async with SqlCommandLog(late).transaction([other_shard]) as transaction:
        command = Command(new_id(), bert, new_id(), c.CreateChat("group"))
        from app.domain import decide as rules

        facts = await transaction.read([command])
        await transaction.write(rules.decide(replace(facts), [command], PEP.ask, new_id, Limits(1000)))
        await store.do(Command(chat_id, bert, new_id(), c.SendMessage("stranger")))
        found = await heal.poll()
        assert found.heads == {chat_id: 1} and found.users == {anna} and found.epoch == epoch
        assert [(r.actor_id, r.outcome.code) for r in found.refused] == [(bert, "not_found")]
    found = await heal.poll()
    assert found.heads == {command.chat_id: 1} and found.users == {bert} and not found.refused
    assert (await heal.poll()).heads == {}
    account = await store.accounts.by_id(anna)
    assert account is not None
    assert await store.accounts.start_session(replace(account, password_hash="old"), "y" * 64, 60, "a test") is None
    session = await store.accounts.start_session(account, "x" * 64, 60, "a test")
    assert session is not None
    await store.accounts.end_session(session)
    assert (await heal.poll()).revoked == {session}
    await change_epoch(database)
    assert await heal.epoch() != epoch
    await late.close()
    await database.close()


async def test_an_address_as_hosts_give_it_is_understood(servers: Servers) -> None:
    url = servers.postgres.database(f"host_{new_id()[:8]}").replace("postgresql://", "postgres://", 1)
    head, _, place = url.rpartition("@")
    hosts, _, name = place.partition("/")
    wanted = f"{head}@127.0.0.1:1,{hosts}/{name.partition('?')[0]}" if hosts else url
    more = "sslmode=prefer&connect_timeout=3&application_name=mine&options=-c%20work_mem%3D8MB&channel_binding=prefer"
    database = Database(f"{wanted}{'&' if '?' in wanted else '?'}{more}")
    await migrate(database, SHARDS)
    async with database.read() as connection:
        found = [await connection.scalar(sa.text(f"show {name}")) for name in ("application_name", "work_mem", "jit")]
    assert found == ["mine", "8MB", "off"]
    await database.close()


async def test_hiding_at_once_and_again_is_one_row(database: Database) -> None:
    store = Store(database)
    anna = await store.person()
    chat_id = await store.group(anna)
    await asyncio.gather(*(store.history.hide(chat_id, anna, 1) for _ in range(6)))

    async def hidden() -> bool:
        [found] = await store.history.memberships(anna, archived=None, before=None, limit=1, unread_max=1)
        return found.hidden

    assert await hidden()
    await store.do(Command(chat_id, anna, new_id(), c.SendMessage("x")))
    assert not await hidden()
    await store.history.hide(chat_id, anna, 2)
    assert await hidden()
    await store.history.hide(chat_id, anna, None)
    assert not await hidden()


async def test_dead_letters_are_kept_once_for_a_week_and_not_whole_where_they_are_large(database: Database) -> None:
    store = Store(database)
    large = DeadLetter("an envelope: form", b"\x00" * 200_000)
    for _ in range(2):
        await store.log.bury([DeadLetter("a command: why", b"\xff\x00x"), large, large])
    d = tables.dead_letters

    async def kept() -> list[tuple[str, bytes]]:
        async with database.read() as connection:
            found = await connection.execute(sa.select(d.c.reason, d.c.body).order_by(d.c.reason))
            return [tuple(row) for row in found]

    assert await kept() == [("a command: why", b"\xff\x00x"), ("an envelope: form", b"\x00" * 65_536)]
    async with database.write() as connection:
        week = utc_now() - timedelta(days=7, seconds=1)
        await connection.execute(sa.update(d).where(d.c.reason == "a command: why").values(at=week))
        await connection.execute(
            sa.update(d).where(d.c.reason != "a command: why").values(at=week + timedelta(seconds=60))
        )
    await store.log.prune()
    assert [reason for reason, _ in await kept()] == ["an envelope: form"]
