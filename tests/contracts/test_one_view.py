"""What is read together is of one moment: whatever is committed between two of its statements isn't in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest
from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError

from app.adapters.store.database import Database
from app.adapters.store.history import SqlHistory
from app.adapters.store.word_index import SqlWordIndex
from app.adapters.wire.messages import message_json
from app.adapters.wire.text import encode_bytes, parse
from app.application.authorize import Reader
from app.application.chats import Chats
from app.application.members import Members
from app.application.messages import Messages
from app.application.ports.errors import Transient
from app.application.ports.history import Search
from app.application.search import MessageSearch, words_of
from app.domain.command import Command
from app.domain.errors import ParleyError
from app.domain.values import REACTION_USERS_SHOWN
from tests import actions as c
from tests.contracts.store_setting import CODEC, PEP, Store
from tests.world import new_id


class Cut:
    """A connection of which, behind its n-th statement, something else is committed once."""

    def __init__(self, connection: Any, behind: int, then: Callable[[], Awaitable[Any]], cuts: list[int]) -> None:
        self._connection, self._behind, self._then, self._cuts = connection, behind, then, cuts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def execute(self, *args: Any, **more: Any) -> Any:
        result = await self._connection.execute(*args, **more)
        self._behind -= 1
        if self._behind == 0 and not self._cuts:
            self._cuts.append(1)
            await self._then()
        return result


def cut(
    monkeypatch: pytest.MonkeyPatch, database: Database, behind: int, then: Callable[[], Awaitable[Any]]
) -> list[int]:
    begin, cuts = database._begin, list[int]()

    @asynccontextmanager
    async def begun(engine: Any, deadline_s: float | None = None) -> AsyncIterator[Any]:
        async with begin(engine, deadline_s) as connection:
            yield Cut(connection, behind, then, cuts) if engine is database._reader and not cuts else connection

    monkeypatch.setattr(database, "_begin", begun)
    return cuts


class Setting(Store):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.messages = Messages(None, Reader(PEP, self.history), self.history, self.timeline, CODEC)  # type: ignore[arg-type]

    async def start(self) -> None:
        self.anna, self.ben = await self.person(), await self.person()
        self.chat_id = await self.group(self.anna, self.ben)
        await self.do(self.by(self.anna, c.SendMessage("before")))

    def by(self, actor: str, action: Any) -> Command:
        return Command(self.chat_id, actor, new_id(), action)

    async def remove_ben_and_speak(self) -> None:
        results = await self.do(
            self.by(self.anna, c.RemoveMember(self.ben)),
            self.by(self.anna, c.SendMessage("b, of no business of Ben's")),
        )
        assert [result.outcome.code for result in results] == [None, None]


@pytest.mark.parametrize("behind", [1, 2, 3, 4])
async def test_a_page_of_history_and_the_right_to_it_are_of_one_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    s = Setting(database)
    await s.start()
    cuts = cut(monkeypatch, database, behind, s.remove_ben_and_speak)
    page = await s.messages.page(s.ben, s.chat_id, None, None, 50)
    assert [message.body for message in page.messages] == ["before"]
    assert cuts or behind > 2, "it was cut"
    if cuts:
        with pytest.raises(ParleyError, match="not_found"):
            await s.messages.page(s.ben, s.chat_id, None, None, 50)


async def test_a_page_of_a_head_is_what_the_page_is_and_only_at_that_head(database: Database) -> None:
    """With reactions of many, an edit, a tombstone; up and down, and where there is nothing."""
    s = Setting(database)
    await s.start()
    others = [await s.person() for _ in range(REACTION_USERS_SHOWN + 2)]
    for other in others:
        await s.do(s.by(s.anna, c.AddMember(other, "member")))
    for n in range(5):
        await s.do(s.by(s.ben, c.SendMessage(f"{n}")))
    told = (await s.history.messages(s.chat_id, None, None, 10)).messages
    await s.do(*(s.by(other, c.AddReaction(told[0].id, "👍")) for other in others), s.by(s.anna, c.AddReaction(told[0].id, "🎉")),
               s.by(s.anna, c.AddReaction(told[2].id, "🎉")), s.by(s.ben, c.EditMessage(told[1].id, "edited")),
               s.by(s.ben, c.DeleteMessage(told[3].id)))  # fmt: skip
    chat, _ = await s.history.chat_for(s.chat_id, s.anna)
    assert chat is not None
    for before, after, limit in (
        (None, None, 50),
        (None, None, 2),
        (told[1].seq, None, 3),
        (None, 0, 3),
        (1, None, 5),
        (None, chat.head, 5),
    ):
        slow = await s.history.messages(s.chat_id, before, after, limit)
        assert await s.history.page_at(s.chat_id, chat.head, before, after, limit) == slow, (before, after, limit)
        encoded = await s.messages.page_json(s.anna, s.chat_id, before, after, limit)
        shown = {"items": [message_json(message) for message in slow.messages], "has_more": slow.has_more}
        assert parse(encoded) == parse(encode_bytes(shown))
    assert await s.history.page_at(s.chat_id, chat.head - 1, None, None, 50) is None
    assert await s.history.page_at(new_id(), 1, None, None, 50) is None


async def test_a_page_that_was_kept_is_shown_to_who_may_read_it_and_as_long_as_nothing_changed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = Setting(database)
    await s.start()
    read, reads = s.history.page_at, list[int]()

    async def counted(*args: Any) -> Any:
        reads.append(1)
        return await read(*args)

    monkeypatch.setattr(s.history, "page_at", counted)

    async def bodies(who: str) -> list[str]:
        return [one["body"] for one in parse(await s.messages.page_json(who, s.chat_id, None, None, 50))["items"]]

    assert await bodies(s.anna) == await bodies(s.ben) == ["before"] and len(reads) == 1
    [result] = await s.do(s.by(s.anna, c.SendMessage("then")))
    assert await bodies(s.ben) == ["then", "before"] and len(reads) == 2
    last = (await s.history.messages(s.chat_id, None, None, 1)).messages[0]
    for change in (c.EditMessage(last.id, "changed"), c.AddReaction(last.id, "👍"), c.DeleteMessage(last.id)):
        await s.do(s.by(s.anna, change))
        slow = await s.history.messages(s.chat_id, None, None, 50)
        assert await bodies(s.ben) == [message.body for message in slow.messages]
    assert len(reads) == 5 and result
    await s.do(s.by(s.anna, c.RemoveMember(s.ben)))
    with pytest.raises(ParleyError, match="not_found"):
        await bodies(s.ben)
    with pytest.raises(ParleyError, match="not_found"):
        await bodies(await s.person())


@pytest.mark.parametrize("behind", [1, 2, 3, 4])
async def test_an_encoded_page_and_the_right_to_it_are_of_one_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    """Whatever is committed between its statements: it is refused, however often the chat moved on before."""
    s = Setting(database)
    await s.start()
    permit, count = s.messages._reader.permit, [0]

    async def then(*args: Any) -> Any:
        found = await permit(*args)
        count[0] += 1
        if count[0] == behind:
            await s.remove_ben_and_speak()
        elif count[0] < behind:
            await s.do(s.by(s.anna, c.SendMessage(f"{count[0]}")))
        return found

    monkeypatch.setattr(s.messages._reader, "permit", then)
    if behind == 4:  # the slow way: right and page in one transaction, begun before the removal
        page = await s.messages.page_json(s.ben, s.chat_id, None, None, 50)
        assert [one["body"] for one in parse(page)["items"]] == ["3", "2", "1", "before"]
    else:
        with pytest.raises(ParleyError, match="not_found"):
            await s.messages.page_json(s.ben, s.chat_id, None, None, 50)
    assert count[0] >= behind, "it was cut"


async def test_a_kept_page_is_no_ones_who_was_removed_while_it_was_asked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = Setting(database)
    await s.start()
    await s.messages.page_json(s.anna, s.chat_id, None, None, 50)
    permit = s.messages._reader.permit

    async def then(*args: Any) -> Any:
        found = await permit(*args)
        monkeypatch.undo()
        await s.remove_ben_and_speak()
        return found

    monkeypatch.setattr(s.messages._reader, "permit", then)
    page = await s.messages.page_json(s.ben, s.chat_id, None, None, 50)
    assert [one["body"] for one in parse(page)["items"]] == ["before"], "as it was when it was his to see"
    with pytest.raises(ParleyError, match="not_found"):
        await s.messages.page_json(s.ben, s.chat_id, None, None, 50)


async def test_with_a_replica_a_page_is_read_as_before(database: Database) -> None:
    s = Setting(database)
    await s.start()
    replica = Database(database.url, deadline_s=database.deadline_s)
    history = SqlHistory(database, replica)
    messages = Messages(None, Reader(PEP, history), history, s.timeline, CODEC)  # type: ignore[arg-type]
    assert not history.tells_heads and s.history.tells_heads
    page = parse(await messages.page_json(s.ben, s.chat_id, None, None, 50))
    assert [one["body"] for one in page["items"]] == ["before"] and not messages._kept._pages
    await replica.close()


async def test_a_statement_that_failed_or_was_cut_off_leaves_the_pool_good(database: Database) -> None:
    s = Setting(database)
    await s.start()
    good = {"chat_id": s.chat_id}
    for _ in range(3):
        with pytest.raises((Transient, DBAPIError, PostgresError)):
            await database.fetch(
                "select * from chats where id = :chat_id and 1 / 0 = 1", good
            ) if database.postgresql else (await database.fetch("select nothing", good))
        assert len(await database.fetch("select id from chats where id = :chat_id", good)) == 1
    if not database.postgresql:
        return
    for _ in range(3):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await database.fetch("select pg_sleep(5), id from chats where id = :chat_id", good)
        assert len(await database.fetch("select id from chats where id = :chat_id", good)) == 1
    await asyncio.gather(
        *(database.fetch("select id, pg_sleep(0.1) from chats where id = :chat_id", good) for _ in range(4))
    )
    other = await asyncpg.connect(database.url)
    await other.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    await other.close()
    failed = 0
    for _ in range(6):
        try:
            assert len(await database.fetch("select id from chats where id = :chat_id", good)) == 1
        except Transient:
            failed += 1
    assert failed <= 1, "the others of the pool are as dead, and not tried one by one"


@pytest.mark.parametrize("behind", [1, 2, 3, 4, 5])
async def test_a_part_of_the_timeline_has_no_end_that_came_later(
    database: Database, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    s = Setting(database)
    await s.start()
    cuts = cut(monkeypatch, database, behind, s.remove_ben_and_speak)
    part = await s.messages.timeline(s.ben, s.chat_id, 0, 100)
    assert cuts or behind > 3, "it was cut"
    assert [event.seq for event in part.events] == [1, 2] and (part.head, part.has_more) == (2, False)


@pytest.mark.parametrize("behind", [1, 2])
async def test_a_range_is_of_one_moment(database: Database, monkeypatch: pytest.MonkeyPatch, behind: int) -> None:
    """Two tables are read one after the other: what came between them is in neither, or the range would end before it."""
    s = Setting(database)
    await s.start()

    async def more() -> None:
        await s.do(s.by(s.anna, c.SendMessage("new")), s.by(s.anna, c.UpdateChat(("title",), "t")))

    cuts = cut(monkeypatch, database, behind, more)
    assert [event.seq for event in await s.timeline.events(s.chat_id, 0, 100)] == [1, 2] and cuts
    assert [event.seq for event in await s.timeline.events(s.chat_id, 0, 100)] == [1, 2, 3, 4]


async def test_the_list_of_chats_in_one_statement_is_what_it_is_in_many(database: Database) -> None:
    """On PostgreSQL one statement where nothing else is read of that moment; the same in every way of asking."""
    s = Setting(database)
    await s.start()
    chats = [s.chat_id] + [await s.group(s.anna, s.ben) for _ in range(4)]
    for n, chat_id in enumerate(chats[:4]):
        for k in range(n):
            await s.do(Command(chat_id, s.ben, new_id(), c.SendMessage(f"{n} {k}")))
    last = (await s.history.messages(chats[2], None, None, 1)).messages[0]
    await s.do(
        Command(chats[2], s.anna, new_id(), c.AddReaction(last.id, "👍")),
        Command(chats[1], s.anna, new_id(), c.UpdateChat(("archived",), archived=True)),
    )
    await s.history.hide(chats[3], s.anna, 2)
    await s.history.mark_read(s.anna, chats[2], 2, 10, 10)
    everything: dict[str, Any] = {"archived": None, "before": None, "limit": 10, "unread_max": 10}
    listed = await s.history.memberships(s.anna, **everything)
    assert len(listed) == 5 and {m.unread for m in listed} >= {0, 1}
    ways: tuple[dict[str, Any], ...] = (
        {}, {"limit": 2}, {"archived": True}, {"archived": False}, {"hidden": True}, {"hidden": False}, {"unread_max": 1},
        {"chat_ids": chats[1:3]}, {"chat_ids": []}, {"before": (listed[1].moved_at, listed[1].chat.id)},
    )  # fmt: skip
    for more in ways:
        asked = everything | more
        async with s.history.one_view():
            many = await s.history.memberships(s.anna, **asked)
        assert await s.history.memberships(s.anna, **asked) == many, more


@pytest.mark.parametrize("behind", [1, 2, 3, 4])
async def test_the_list_of_chats_is_of_one_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    s = Setting(database)
    await s.start()
    cuts = cut(monkeypatch, database, behind, s.remove_ben_and_speak)
    [mine] = await s.history.memberships(s.ben, archived=None, before=None, limit=10, unread_max=10)
    assert mine.last_message is not None and mine.last_message.body == "before"
    assert (mine.chat.head, mine.unread) == (2, 1)
    assert cuts or behind > 2 or database.postgresql, "there it is one statement"


@pytest.mark.parametrize("in_one_chat", [True, False], ids=["in one chat", "in all"])
@pytest.mark.parametrize("behind", [1, 2, 3, 4, 5])
async def test_what_is_found_is_ones_to_know(
    database: Database, monkeypatch: pytest.MonkeyPatch, behind: int, in_one_chat: bool
) -> None:
    """Removed between any two of its statements: nothing is found that was written behind the removal, nor later."""
    s = Setting(database)
    await s.start()
    index, finder = SqlWordIndex(database), MessageSearch(Reader(PEP, s.history), PEP, s.history)

    async def follow() -> None:
        while await index.follow():
            pass

    async def find() -> list[str | None]:
        asked = Search(words_of("b"), s.chat_id if in_one_chat else None)
        return [found.message.body for found in (await finder.find(s.ben, asked, 10)).items]

    async def meanwhile() -> None:
        await s.remove_ben_and_speak()
        await follow()

    await s.do(s.by(s.anna, c.SendMessage("b, before")))
    await follow()
    was = await find()
    assert "b, before" in was
    cuts = cut(monkeypatch, database, behind, meanwhile)
    with suppress(ParleyError):
        assert set(await find()) <= set(was)
    assert cuts or behind > 2, "it was cut"
    if cuts and in_one_chat:
        with pytest.raises(ParleyError, match="not_found"):
            await find()
    elif cuts:
        assert await find() == []


@pytest.mark.parametrize("what", ["members", "bans", "pins", "chat"])
@pytest.mark.parametrize("behind", [1, 2, 3])
async def test_what_else_is_read_of_a_chat_is_of_one_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch, what: str, behind: int
) -> None:
    """Ben is an admin, and removed between two of the statements: he sees what was, or nothing."""
    s = Setting(database)
    await s.start()
    reader = Reader(PEP, s.history)
    nothing: Any = None
    members = Members(nothing, reader, s.history)
    chats = Chats(nothing, reader, s.history, *[nothing] * 4)
    newcomer, barred = await s.person(), await s.person()
    last = (await s.history.messages(s.chat_id, None, None, 1)).messages[0]
    await s.do(s.by(s.anna, c.UpdateMember(s.ben, ("role",), "admin")), s.by(s.anna, c.BanMember(barred)),
               s.by(s.anna, c.PinMessage(last.id)))  # fmt: skip

    async def meanwhile() -> None:
        results = await s.do(
            s.by(s.anna, c.RemoveMember(s.ben)), s.by(s.anna, c.AddMember(newcomer, "member")),
            s.by(s.anna, c.UnbanMember(barred)), s.by(s.anna, c.UnpinMessage(last.id)), s.by(s.anna, c.UpdateChat(("title",), "later")),
        )  # fmt: skip
        assert [result.outcome.code for result in results] == [None] * 5

    async def read() -> Any:
        match what:
            case "members":
                return {member.user.id for member in await members.of(s.ben, s.chat_id, None, 10)}
            case "bans":
                return [person.id for person in await members.banned(s.ben, s.chat_id, None, 10)]
            case "pins":
                return [pin.id for _, pin in await s.messages.pins(s.ben, s.chat_id, None, 10)]
        return (await chats.one(s.ben, s.chat_id)).chat.title

    was = await read()
    cuts = cut(monkeypatch, database, behind, meanwhile)
    assert await read() == was and (cuts or behind > 1)
    if cuts:
        with pytest.raises(ParleyError, match="not_found"):
            await read()


async def test_with_a_replica_it_is_asked_again_behind_the_page(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = Setting(database)
    await s.start()
    replica = Database(database.url, deadline_s=database.deadline_s)
    history = SqlHistory(database, replica)
    messages = Messages(None, Reader(PEP, history), history, s.timeline, CODEC)  # type: ignore[arg-type]
    assert len((await messages.page(s.ben, s.chat_id, None, None, 50)).messages) == 1
    read = history.messages

    async def removed_meanwhile(*args: Any) -> Any:
        await s.remove_ben_and_speak()
        return await read(*args)

    monkeypatch.setattr(history, "messages", removed_meanwhile)
    with pytest.raises(ParleyError, match="not_found"):
        await messages.page(s.ben, s.chat_id, None, None, 50)
    await replica.close()
