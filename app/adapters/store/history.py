"""What people read: chats, members, messages, search; and their read marks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import found_words, rows
from app.adapters.store import tables as t
from app.adapters.store.accounts import name_begins
from app.adapters.store.database import Database, to_time
from app.adapters.store.memberships import REACTIONS, membership_of, reactions_of, seen_by, statement
from app.adapters.store.read_facts import Facts
from app.adapters.together import Together
from app.application.ports.history import Looked, Membership, Page, Search
from app.domain.state import Outcome
from app.domain.text import folded
from app.domain.values import Chat, Member, Message, Person

_WORDS_SQLITE = "message_words.id in (select rowid from message_search where message_search match :words)"

_BEYOND = 2**63 - 1
_LISTS_TOGETHER = 20
_TITLES_A_TURN = 500
_CHAT_FOR = (
    "select c.*, m.chat_id, m.user_id, m.role, m.muted_until, m.joined_at, m.joined_seq, m.attention,"
    " m.budget_per_hour, m.sees_from, u.username, u.display_name, u.attributes,"
    " u.kind as user_kind from chats c left join (members m join users u on u.id = m.user_id)"
    " on m.chat_id = c.id and m.user_id = :user_id where c.id = :chat_id"
)
_PAGE = (
    "select c.is_at, p.*, x.shown from (select (select head from chats where id = :chat_id) as is_at) c left join"
    " (select * from messages where chat_id = :chat_id and seq {side} :place order by seq {order} limit :most) p on true"
    f" left join lateral {REACTIONS} x on true order by p.seq {{order}}"
)
"""The page and the chat's head of one moment: one statement. A chat without messages there is one row of nothing."""
_PAGE_DOWN = _PAGE.format(side="<", order="desc")
_PAGE_UP = _PAGE.format(side=">", order="asc")


class SqlHistory:
    """reader: where history, lists and search are read; the primary where it names none."""

    def __init__(self, database: Database, reader: Database | None = None) -> None:
        self._primary = database
        self._reader = reader or database
        self._listed = Together(self._memberships_of, _LISTS_TOGETHER)

    @property
    def tells_heads(self) -> bool:
        return self._reader is self._primary

    def now(self) -> datetime:
        return self._primary.heard_now()

    @asynccontextmanager
    async def one_view(self) -> AsyncIterator[bool]:
        if self._reader is not self._primary:
            yield False
            return
        async with self._primary.one_view():
            yield True

    async def chat_for(self, chat_id: str, user_id: str) -> tuple[Chat | None, Member | None]:
        if self._primary.postgresql and not self._primary.is_viewing:
            found = await self._primary.fetch(_CHAT_FOR, {"chat_id": chat_id, "user_id": user_id})
            for row in found:
                return rows.chat_of(row), rows.member_of(row) if row.user_id is not None else None
            return None, None
        async with self._primary.read() as connection:
            chat = (await connection.execute(sa.select(t.chats).where(t.chats.c.id == chat_id))).one_or_none()
            member = await _member(connection, chat_id, user_id)
        return (rows.chat_of(chat) if chat else None), member

    async def member(self, chat_id: str, user_id: str) -> Member | None:
        async with self._primary.read() as connection:
            return await _member(connection, chat_id, user_id)

    async def _memberships_of(
        self, asked: Sequence[tuple[str, int, int]]
    ) -> dict[tuple[str, int, int], list[Membership]]:
        """asked: user, how many chats at the most, how far to count what is unread. SQLite has them one after the other."""
        found: dict[tuple[str, int, int], list[Membership]] = {}
        if not self._primary.postgresql:
            for one in asked:
                found[one] = await self._memberships(one[0], limit=one[1], unread_max=one[2])
            return found
        for limit, unread_max in dict.fromkeys(one[1:] for one in asked):
            users = [user_id for user_id, *rest in asked if tuple(rest) == (limit, unread_max)]
            of_all = await self._primary.fetch(*statement(users, limit=limit, unread_max=unread_max))
            for user_id, own in groupby(of_all, key=lambda row: str(row.user_id)):
                found[user_id, limit, unread_max] = [membership_of(row) for row in own]
                await asyncio.sleep(0)  # others have their turn between
        return found

    async def memberships(
        self,
        user_id: str,
        *,
        archived: bool | None,
        before: tuple[datetime, str] | None,
        limit: int,
        unread_max: int,
        chat_ids: Sequence[str] | None = None,
        hidden: bool | None = None,
    ) -> list[Membership]:
        if (archived, before, chat_ids, hidden) == (None, None, None, None) and not self._primary.is_viewing:
            return await self._listed.ask((user_id, limit, unread_max)) or []
        return await self._memberships(
            user_id,
            archived=archived,
            before=before,
            limit=limit,
            unread_max=unread_max,
            chat_ids=chat_ids,
            hidden=hidden,
        )

    async def called(self, user_id: str, query: str) -> list[str]:
        me, others, u = t.members.alias("me"), t.members.alias("others"), t.users
        named = (
            sa.select(me.c.chat_id)
            .distinct()
            .select_from(me.join(others, others.c.chat_id == me.c.chat_id).join(u, u.c.id == others.c.user_id))
            .where(me.c.user_id == user_id, u.c.id != user_id, name_begins(query, self._primary.postgresql))
        )
        titled = (
            sa.select(t.chats.c.id, t.chats.c.title)
            .select_from(me.join(t.chats, t.chats.c.id == me.c.chat_id))
            .where(me.c.user_id == user_id, t.chats.c.title.is_not(None))
        )
        async with self._primary.read() as connection:
            found = dict.fromkeys(map(str, await connection.scalars(named)))
            titles = (await connection.execute(titled)).all()
        wanted = " " + folded(query)
        for at, (chat_id, title) in enumerate(titles):
            if wanted in " " + " ".join(folded(title).split()):
                found[str(chat_id)] = None
            if at % _TITLES_A_TURN == 0:
                await asyncio.sleep(0)
        return list(found)

    async def _memberships(
        self,
        user_id: str,
        *,
        limit: int,
        unread_max: int,
        archived: bool | None = None,
        before: tuple[datetime, str] | None = None,
        chat_ids: Sequence[str] | None = None,
        hidden: bool | None = None,
    ) -> list[Membership]:
        if self._primary.postgresql and not self._primary.is_viewing:
            asked = statement(
                [user_id],
                archived=archived,
                hidden=hidden,
                before=before,
                limit=limit,
                unread_max=unread_max,
                chat_ids=chat_ids,
            )
            return [membership_of(row) for row in await self._primary.fetch(*asked)]
        query = _list_of_chats(
            self._primary.postgresql, archived is not None, hidden, chat_ids is not None, before is not None
        )
        params: dict[str, Any] = {"user": user_id, "most": limit}
        if archived is not None:
            params["is_archived"] = archived
        if chat_ids is not None:
            params["chat_ids"] = list(chat_ids)
        if before is not None:
            params |= {"before_at": before[0], "before_id": before[1]}
        async with self._primary.read() as connection:
            found = (await connection.execute(query, params)).all()
            person = await _person(connection, user_id)
            # Who came by an older version has no mark, and begins where they joined all the same.
            marks = {str(row.id): max(row.read_seq or 0, row.joined_seq) for row in found}
            unread = await _unread(self._primary, connection, user_id, marks, unread_max)
            last = await _last_messages(self._primary, connection, list(marks))
        return [
            Membership(
                chat=rows.chat_of(row),
                member=(
                    member := Member(
                        str(row.id), person, row.role, row.muted_until, row.joined_at, row.joined_seq,
                        sees_from=row.sees_from,
                    )
                ),
                read_seq=marks[str(row.id)],
                unread=unread.get(str(row.id), 0),
                last_message=seen_by(member, last.get(str(row.id))),
                moved_at=to_time(row.moved_at),
                hidden=bool(row.hidden),
            )
            for row in found
        ]  # fmt: skip

    async def members(self, chat_id: str, after: str | None, limit: int) -> list[Member]:
        query = (
            sa.select(*rows.MEMBER_COLUMNS)
            .select_from(rows.MEMBERS_WITH_USERS)
            .where(t.members.c.chat_id == chat_id)
            .order_by(t.members.c.user_id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(t.members.c.user_id > after)
        async with self._reader.read() as connection:
            return [rows.member_of(row) for row in await connection.execute(query)]

    async def left_at(self, chat_id: str, user_id: str) -> datetime | None:
        async with self._primary.read() as connection:
            left = await rows.leavings(connection, chat_id, user_id)
        return left[0].at if left else None

    async def refuse(self, chat_id: str, user_id: str, refused: bool) -> None:
        r = t.chat_refusals
        async with self._primary.write() as connection:
            mine = sa.and_(r.c.chat_id == chat_id, r.c.user_id == user_id)
            if not refused:
                await connection.execute(sa.delete(r).where(mine))
                return
            await connection.execute(
                sa.text(
                    "insert into chat_refusals (chat_id, user_id, at) values (:chat_id, :user_id, :at) on conflict do nothing"
                ).bindparams(
                    sa.bindparam("chat_id", type_=t.Id), sa.bindparam("user_id", type_=t.Id), sa.bindparam("at", type_=t.Time())
                ),
                {"chat_id": chat_id, "user_id": user_id, "at": await self._primary.now(connection)},
            )  # fmt: skip

    async def hide(self, chat_id: str, user_id: str, seq: int | None) -> None:
        h = t.hidden_chats
        async with self._primary.write() as connection:
            if seq is None:
                await connection.execute(sa.delete(h).where(h.c.user_id == user_id, h.c.chat_id == chat_id))
                return
            source, params = self._primary.values(
                "v", {"user_id": "uuid", "chat_id": "uuid", "seq": "int8"}, [(user_id, chat_id, seq)]
            )
            await self._primary.run(
                connection,
                f"insert into hidden_chats (user_id, chat_id, seq) select v.user_id, v.chat_id, v.seq from {source}"
                " where true on conflict (user_id, chat_id) do update set seq = excluded.seq",
                params,
            )

    async def bans(self, chat_id: str, after: str | None, limit: int) -> list[Person]:
        b, u = t.bans, t.users
        query = (
            sa.select(u.c.id, u.c.username, u.c.display_name, u.c.kind)
            .select_from(b.join(u, u.c.id == b.c.user_id))
            .where(b.c.chat_id == chat_id)
            .order_by(b.c.user_id)
            .limit(limit)
        )
        if after is not None:
            query = query.where(b.c.user_id > after)
        async with self._reader.read() as connection:
            now = sa.literal(await self._reader.now(connection), t.Time())
            lasting = query.where(sa.or_(b.c.until.is_(None), b.c.until > now))
            return [Person(*row) for row in await connection.execute(lasting)]

    async def messages(self, chat_id: str, before: int | None, after: int | None, limit: int, since: int = 0) -> Page:
        m = t.messages
        query = sa.select(m).where(m.c.chat_id == chat_id).limit(limit + 1)
        if since:
            query = query.where(m.c.seq >= since)
        if after is not None:
            query = query.where(m.c.seq > after).order_by(m.c.seq)
        else:
            query = query.order_by(m.c.seq.desc())
            if before is not None:
                query = query.where(m.c.seq < before)
        async with self._reader.read() as connection:
            found = (await connection.execute(query)).all()
            return Page(await rows.whole_messages(self._primary, connection, found[:limit]), len(found) > limit)

    async def page_at(self, chat_id: str, head: int, before: int | None, after: int | None, limit: int) -> Page | None:
        if not self._primary.postgresql:
            async with self._primary.one_view():
                async with self._primary.read() as connection:
                    is_at = await connection.scalar(sa.select(t.chats.c.head).where(t.chats.c.id == chat_id))
                return await self.messages(chat_id, before, after, limit) if is_at == head else None
        sql = _PAGE_UP if after is not None else _PAGE_DOWN
        place = after if after is not None else before if before is not None else _BEYOND
        found = await self._primary.fetch(sql, {"chat_id": chat_id, "place": place, "most": limit + 1})
        if found[0].is_at != head:
            return None
        messages = [
            rows.message_of(row, reactions_of(row.shown) if row.shown is not None else ())
            for row in found[:limit]
            if row.seq is not None
        ]
        return Page(messages, len(found) > limit)

    async def message(self, chat_id: str, message_id: str) -> Message | None:
        return await self._one_message(t.messages.c.id == message_id, chat_id)

    async def message_at(self, chat_id: str, seq: int) -> Message | None:
        return await self._one_message(t.messages.c.seq == seq, chat_id)

    async def _one_message(self, where: sa.ColumnElement[bool], chat_id: str) -> Message | None:
        async with self._primary.read() as connection:
            found = await connection.execute(sa.select(t.messages).where(t.messages.c.chat_id == chat_id, where))
            messages = await rows.whole_messages(self._primary, connection, found.all())
        return messages[0] if messages else None

    async def anywhere(self, message_id: str) -> Message | None:
        w = t.message_words
        async with self._primary.read() as connection:
            chat_id = await connection.scalar(sa.select(w.c.chat_id).where(w.c.message_id == message_id))
        return await self.message(chat_id, message_id) if chat_id is not None else None

    async def pins(self, chat_id: str, before: int | None, limit: int, since: int = 0) -> list[tuple[int, Message]]:
        p, m = t.pins, t.messages
        query = (
            sa.select(m, p.c.seq.label("pin_seq"))
            .select_from(p.join(m, sa.and_(m.c.chat_id == p.c.chat_id, m.c.id == p.c.message_id)))
            .where(p.c.chat_id == chat_id, m.c.seq >= since)
            .order_by(p.c.seq.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(p.c.seq < before)
        async with self._reader.read() as connection:
            found = (await connection.execute(query)).all()
            messages = await rows.whole_messages(self._primary, connection, found)
        return [(row.pin_seq, message) for row, message in zip(found, messages, strict=True)]

    async def search(self, user_id: str, search: Search, limit: int) -> Looked:
        database = self._reader
        if not database.postgresql:
            async with database.read() as connection:
                found = (await connection.execute(_search_sqlite(user_id, search).limit(limit))).all()
                messages = await rows.whole_messages(self._primary, connection, found)
            return Looked(messages, (messages[-1].created_at, messages[-1].id) if len(messages) == limit else None)
        keys, goes_on = await found_words.find(database, user_id, search, limit)
        source, params = database.values("v", {"chat_id": "uuid", "id": "uuid"}, keys)
        sql = (
            f"select m.* from {source} join messages m on m.chat_id = v.chat_id and m.id = v.id"
            " where m.deleted_at is null order by v.o"
        )
        async with database.read() as connection:
            found = (await connection.execute(sa.text(sql), params)).all()
            return Looked(await rows.whole_messages(self._primary, connection, found), goes_on)

    async def outcomes(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Outcome]:
        async with self._primary.read() as connection:
            await self._primary.now(connection)  # the driver joins the transaction that this begins
            return await Facts(self._primary, connection).known(list(dict.fromkeys(keys)))

    async def mark_read(self, user_id: str, chat_id: str, seq: int, head: int, unread_max: int) -> tuple[int, int]:
        async with self._primary.write() as connection:
            await self._primary.run(connection, *rows.moved_marks(self._primary, {(chat_id, user_id): min(seq, head)}))
            mark = await connection.scalar(
                sa.select(t.reads.c.seq).where(t.reads.c.user_id == user_id, t.reads.c.chat_id == chat_id)
            )
            unread = await _unread(self._primary, connection, user_id, {chat_id: int(mark or 0)}, unread_max)
        return int(mark or 0), unread.get(chat_id, 0)


@cache
def _list_of_chats(
    postgresql: bool, by_archived: bool, hidden: bool | None, of_these: bool, goes_on: bool
) -> sa.Select[Any]:
    """Chats of `user`, moved last first, `most` of them; of those that are `is_archived`, are hidden or not, are among
    `chat_ids`, stand behind `before_at`, `before_id`. Built once: parts of a statement name each other in a circle, and a
    statement a call kept the collector busy."""
    ch, me, rd, hd = t.chats, t.members, t.reads, t.hidden_chats
    user = sa.bindparam("user", type_=t.Id)
    m = t.messages.alias()
    newest = sa.select(m).where(m.c.chat_id == ch.c.id).order_by(m.c.seq.desc()).limit(1)
    spoken_at = newest.with_only_columns(m.c.created_at).scalar_subquery()
    spoken_seq = newest.with_only_columns(m.c.seq).scalar_subquery()
    later = sa.func.greatest if postgresql else sa.func.max
    moved_at = later(sa.func.coalesce(spoken_at, ch.c.created_at), me.c.joined_at, type_=t.Time())
    since = sa.func.coalesce(spoken_seq, 0)
    is_hidden = sa.func.coalesce(sa.and_(hd.c.seq >= since, hd.c.seq >= me.c.joined_seq), sa.false())
    query = (
        sa.select(
            ch,
            moved_at.label("moved_at"),
            is_hidden.label("hidden"),
            me.c.role,
            me.c.muted_until,
            me.c.joined_at,
            me.c.joined_seq,
            me.c.sees_from,
            rd.c.seq.label("read_seq"),
        )
        .select_from(
            me.join(ch, ch.c.id == me.c.chat_id)
            .outerjoin(rd, sa.and_(rd.c.user_id == user, rd.c.chat_id == ch.c.id))
            .outerjoin(hd, sa.and_(hd.c.user_id == user, hd.c.chat_id == ch.c.id))
        )
        .where(me.c.user_id == user)
        .order_by(moved_at.desc(), ch.c.id.desc())
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
    if by_archived:
        query = query.where(ch.c.archived == sa.bindparam("is_archived", type_=sa.Boolean))
    if hidden is not None:
        query = query.where(is_hidden if hidden else ~is_hidden)
    if of_these:
        query = query.where(ch.c.id.in_(sa.bindparam("chat_ids", expanding=True, type_=t.Id)))
    if goes_on:
        place = sa.tuple_(sa.bindparam("before_at", type_=t.Time()), sa.bindparam("before_id", type_=t.Id))
        query = query.where(sa.tuple_(moved_at, ch.c.id) < place)
    return query


def _search_sqlite(user_id: str, search: Search) -> sa.Select[Any]:
    m, w = t.messages.c, t.message_words.c
    words = " ".join(f'"{term}"' for term in search.terms)
    mine = sa.select(t.members.c.chat_id).where(t.members.c.user_id == user_id)
    query = (
        sa.select(t.messages)
        .join(t.message_words, sa.and_(w.chat_id == m.chat_id, w.message_id == m.id))
        .where(sa.text(_WORDS_SQLITE).bindparams(words=words), m.chat_id.in_(mine), m.deleted_at.is_(None))
    )
    if search.chat_id is not None:
        query = query.where(m.chat_id == search.chat_id)
    if search.sender_id is not None:
        query = query.where(m.sender_id == search.sender_id)
    if search.since is not None:
        query = query.where(m.created_at >= search.since)
    if search.until is not None:
        query = query.where(m.created_at < search.until)
    if search.before is not None:
        at, id_ = search.before
        place = sa.tuple_(sa.literal(at, t.Time()), sa.literal(id_, t.Id))
        query = query.where(sa.tuple_(m.created_at, m.id) < place)
    return query.order_by(m.created_at.desc(), m.id.desc())


async def _person(connection: AsyncConnection, user_id: str) -> Person:
    u = t.users
    row = (await connection.execute(sa.select(u).where(u.c.id == user_id))).one()
    return Person(row.id, row.username, row.display_name, row.kind)


async def _member(connection: AsyncConnection, chat_id: str, user_id: str) -> Member | None:
    found = await connection.execute(
        sa.select(*rows.MEMBER_COLUMNS)
        .select_from(rows.MEMBERS_WITH_USERS)
        .where(t.members.c.chat_id == chat_id, t.members.c.user_id == user_id)
    )
    row = found.one_or_none()
    return rows.member_of(row) if row else None


async def _unread(
    database: Database, connection: AsyncConnection, user_id: str, marks: dict[str, int], most: int
) -> dict[str, int]:
    """Others' messages beyond the mark that are not deleted, counted up to `most`."""
    if not marks:
        return {}
    source, params = database.values("v", {"chat_id": "uuid", "seq": "int8"}, list(marks.items()))
    found = await connection.execute(
        sa.text(
            f"select v.chat_id, (select count(*) from (select 1 from messages m where m.chat_id = v.chat_id"
            " and m.seq > v.seq and m.sender_id <> :user_id and m.deleted_at is null and m.kind <> 'system'"
            f" limit :most) as found) as unread from {source}"
        ),
        params | {"user_id": user_id, "most": most},
    )
    return {str(row.chat_id): row.unread for row in found}


async def _last_messages(database: Database, connection: AsyncConnection, chat_ids: list[str]) -> dict[str, Message]:
    if not chat_ids:
        return {}
    source, params = database.values("v", {"chat_id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
    found = await connection.execute(
        sa.text(
            f"select m.* from {source} join messages m on m.chat_id = v.chat_id"
            " and m.seq = (select max(x.seq) from messages x where x.chat_id = v.chat_id)"
        ),
        params,
    )
    return {message.chat_id: message for message in await rows.whole_messages(database, connection, found.all())}
