"""Messages written on what was remembered: only where the store is as it was; else nothing is, whatever was planted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.database import Database
from app.adapters.store.heal import PostgresHeal
from app.adapters.store.migrate import migrate
from app.application.process import Worker
from app.domain import decide
from app.domain.command import Command
from app.domain.fold import Limits
from app.domain.ids import shard_of
from app.domain.state import Decided
from app.domain.values import Message
from stack.servers import Servers
from tests import actions as c
from tests.contracts.store_setting import PEP, SHARDS, Store
from tests.world import new_id


class Setting(Store):
    """A worker, and another one of the same store, of which the first knows nothing."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.other = Store(database)
        self.appended: list[bool] = []
        append = self.log.append

        async def noted(*args: Any) -> bool:
            self.appended.append(await append(*args))
            return self.appended[-1]

        self.log.append = noted  # type: ignore[method-assign, assignment]

    async def start(self) -> None:
        self.anna, self.ben = await self.person(), await self.person()
        self.chat_id = await self.group(self.anna, self.ben)
        for who in (self.anna, self.ben):
            await self.do(self.by(who, c.SendMessage("first")))
        self.appended.clear()

    def by(self, actor: str, action: Any, id_: str = "") -> Command:
        return Command(self.chat_id, actor, id_ or new_id(), action)

    async def bodies(self) -> list[str | None]:
        events = await self.timeline.events(self.chat_id, 3, 100)
        return [event.payload.body for event in events if isinstance(event.payload, Message)]

    async def contiguous(self) -> None:
        events = await self.timeline.events(self.chat_id, 0, 100)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_messages_are_written_as_by_reading(database: Database) -> None:
    """Rows, heads, marks, order and time: of two chats, several of one, and the same as the other way makes them."""
    s = Setting(database)
    await s.start()
    second = await s.group(s.ben, s.anna)
    for who in (s.anna, s.ben):
        await s.do(Command(second, who, new_id(), c.SendMessage("first")))
    s.appended.clear()
    commands = [s.by(s.anna, c.SendMessage("a")), Command(second, s.ben, new_id(), c.SendMessage("b")),
                s.by(s.ben, c.SendMessage("c")), s.by(s.anna, c.SendMessage("d"))]  # fmt: skip
    results = await s.do(*commands)
    assert s.appended == [True] and [r.outcome.seq for r in results] == [4, 4, 5, 6]
    assert await s.bodies() == ["a", "c", "d"]
    for n, chat_id in ((6, s.chat_id), (4, second)):
        chat, _ = await s.history.chat_for(chat_id, s.anna)
        last = await s.history.message_at(chat_id, n)
        assert chat is not None and last is not None and (chat.head, chat.last_at) == (n, last.created_at)
        assert last == s.decided[0].state.messages[(chat_id, last.id)], "what is told is what is kept"
    [other] = await s.other.do(s.by(s.anna, c.SendMessage("read")))
    made, read = await s.history.message_at(s.chat_id, 6), await s.history.message_at(s.chat_id, other.outcome.seq)
    assert made is not None and read is not None and made.created_at <= read.created_at
    assert (
        replace(read, seq=6, id=made.id, client_message_id=made.client_message_id, body="d", created_at=made.created_at)
        == made
    )
    mine = await s.history.memberships(s.anna, archived=None, before=None, limit=10, unread_max=10)
    assert {m.chat.id: m.unread for m in mine} == {s.chat_id: 0, second: 2}, "one's own are read"
    again = await s.do(*commands)
    assert s.appended[1:] == [False] and all(result.repeat for result in again), "found by who reads"
    await s.contiguous()


@pytest.mark.parametrize("what", ["said", "removed", "muted", "banned", "archived", "renamed", "edited", "reacted"])
async def test_whatever_others_changed_meanwhile_is_found_and_read_anew(database: Database, what: str) -> None:
    s = Setting(database)
    await s.start()
    first = await s.history.message_at(s.chat_id, 2)
    assert first is not None
    change: Any = {
        "said": c.SendMessage("meanwhile"), "removed": c.RemoveMember(s.ben), "banned": c.BanMember(s.ben),
        "muted": c.UpdateMember(s.ben, ("muted_until",), None, s.log.now() + timedelta(hours=1)),
        "archived": c.UpdateChat(("archived",), None, True), "renamed": c.UpdateChat(("title",), "t"),
        "edited": c.EditMessage(first.id, "anew"), "reacted": c.AddReaction(first.id, "👍"),
    }[what]  # fmt: skip
    [done] = await s.other.do(s.by(s.anna, change))
    assert done.outcome.seq == 4
    [result] = await s.do(s.by(s.ben, c.SendMessage("of Ben")))
    assert s.appended == [False]
    codes = {"removed": "not_found", "banned": "not_found", "muted": "muted", "archived": "archived"}
    assert (result.outcome.code, result.outcome.seq) == ((codes[what], None) if what in codes else (None, 5))
    await s.contiguous()
    [result] = await s.do(s.by(s.anna, c.SendMessage("of Anna")))
    assert result.outcome.code == ("archived" if what == "archived" else None)


async def test_an_id_that_others_decided_is_found_also_where_the_head_stood_still(database: Database) -> None:
    """A refusal moves no head: it is found by its trace alone."""
    s = Setting(database)
    await s.start()
    cleo, id_ = await s.person(), new_id()
    await s.do(s.by(cleo, c.SendMessage("may I?")))
    refused = s.by(s.ben, c.EditMessage(new_id(), "x"), id_)
    [other] = await s.other.do(refused)
    assert other.outcome.code == "not_found" and s.appended == [], "hers was refused on what was read"
    [result] = await s.do(s.by(s.ben, c.SendMessage("the same id"), id_))
    assert s.appended == [False] and result.repeat and result.outcome.code == "not_found"
    assert await s.bodies() == []


async def test_a_worker_that_slept_wakes_with_an_old_memory(database: Database) -> None:
    """Two workers that write in turn, each always with what it remembers of before the other: nothing is lost or twice."""
    s = Setting(database)
    await s.start()
    commands = [s.by(s.ben if n % 3 else s.anna, c.SendMessage(f"{n}")) for n in range(12)]
    for n, command in enumerate(commands):
        await (s, s.other)[n % 2].do(command)
        if n % 4 == 3:  # and once more, by the other
            [again] = await (s.other, s)[n % 2].do(command)
            assert again.repeat
    assert await s.bodies() == [f"{n}" for n in range(12)]
    await asyncio.gather(
        *(
            store.do(*(s.by(s.anna, c.SendMessage(f"{k} {n}")) for n in range(5)))
            for k, store in enumerate((s, s.other))
        )
    )
    await s.contiguous()
    assert len(await s.bodies()) == 22


async def test_of_what_is_refused_nothing_is_written(database: Database) -> None:
    """Two chats, of which one is elsewhere: the other one's message isn't there either."""
    s = Setting(database)
    await s.start()
    second = await s.group(s.anna)
    await s.do(Command(second, s.anna, new_id(), c.SendMessage("first")))
    needs = decide.needs_of([s.by(s.anna, c.SendMessage("x")), Command(second, s.anna, "", c.SendMessage("x"))])
    state = s.worker._remembered.state_for(needs, s.log.now())
    assert state is not None
    heads = {chat_id: chat.head for chat_id, chat in state.chats.items()}
    decided = decide.decide(
        state, [s.by(s.anna, c.SendMessage("x")), Command(second, s.anna, new_id(), c.SendMessage("x"))],
        PEP.ask, new_id, Limits(1000),
    )  # fmt: skip
    shards = sorted({shard_of(chat_id, SHARDS) for chat_id in heads})
    for wrong in ({second: heads[second] - 1}, {s.chat_id: heads[s.chat_id] + 1}):
        assert not await SqlCommandLog(database).append(shards, decided, heads | wrong)
    if database.postgresql:
        late = replace(decided.state, now=decided.state.now - timedelta(seconds=2))
        assert not await SqlCommandLog(database).append(shards, Decided(late, decided.results, decided.events), heads)
    assert await s.bodies() == [] and await s.history.message_at(second, 3) is None
    assert await SqlCommandLog(database).append(shards, decided, heads)
    assert await s.bodies() == ["x"] and await s.history.message_at(second, 3) is not None


async def test_two_at_once_wait_for_the_shards_lock(servers: Servers) -> None:
    """The one that waited sees what it waited for: a head that moved, or an id that became known, under the lock."""
    database = Database(servers.postgres.database(f"append_{new_id()[:8]}"), pool_size=4)
    await migrate(database, SHARDS)
    s, heal = Setting(database), PostgresHeal(database)
    await s.start()
    await heal.poll()
    await s.do(s.by(s.anna, c.SendMessage("polled")), s.by(s.ben, c.SendMessage("too")))
    found = await heal.poll()
    assert s.appended.pop() and (found.heads, found.users, found.refused) == ({s.chat_id: 5}, set(), [])
    shard = shard_of(s.chat_id, SHARDS)
    for command in (s.by(s.anna, c.SendMessage("waits")), s.by(s.anna, c.SendMessage("is done"))):
        is_done = command.action.body == "is done"  # type: ignore[union-attr]
        async with SqlCommandLog(database).transaction([shard]) as transaction:
            waiting = asyncio.create_task(s.do(command))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            meanwhile = [command if is_done else s.by(s.ben, c.SendMessage("meanwhile"))]
            facts = await transaction.read(meanwhile)
            await transaction.write(decide.decide(facts, meanwhile, PEP.ask, new_id, Limits(1000)))
        [result] = await waiting
        assert s.appended.pop() is False and result.repeat == is_done
    assert await s.bodies() == ["polled", "too", "meanwhile", "waits", "is done"]
    await s.contiguous()
    with pytest.raises(RuntimeError, match="a shard has no row"):
        few = Worker(s.log, PEP.ask, s._announce, new_id, 10_000, Limits(1000), 600.0)
        few._remembered = s.worker._remembered
        await few._transact([s.by(s.anna, c.SendMessage("x"))])
    await database.close()


async def test_an_error_makes_a_worker_forget(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked may have been done: the next try reads."""
    s = Setting(database)
    await s.start()
    write, append = s.by(s.anna, c.SendMessage("x")), SqlCommandLog(database).append

    async def done_and_lost(*args: Any) -> bool:
        assert await append(*args)
        monkeypatch.undo()
        raise asyncio.CancelledError

    monkeypatch.setattr(s.log, "append", done_and_lost)
    with pytest.raises(asyncio.CancelledError):
        await s.worker._transact([write])
    decided = await s.worker._transact([write])
    assert decided.results[0].repeat and await s.bodies() == ["x"] and s.appended == []
