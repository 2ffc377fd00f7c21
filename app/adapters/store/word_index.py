"""The index of messages' words, behind the commit: what was committed is found in the log itself, so nothing is lost
with who indexes it.

A row of `indexed` for each chat: messages with low < seq ≤ `seq` are in the index, those with seq ≤ `low` were there
before there was an index, or are indexed anew, the newest first; `head` is the newest event that is known of.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import tables as t
from app.adapters.store.database import Database, from_json
from app.adapters.store.heal import EPOCH, UNSEEN
from app.application.bounded import Bounded
from app.application.ports.errors import DeadlineMissed, Transient
from app.domain.text import terms

_CHATS_AT_ONCE = 20
_EVENTS_OF_A_CHAT = 25
_SEEDED_AT_ONCE = 2_000
_CHARACTERS_AT_ONCE = 100_000
"""Of texts that one transaction indexes."""
_CHARACTERS_OF_A_TURN = 4_000
"""Of texts that are cut before others are served."""
_UNREADABLE_MAX = 1_000
_TOO_LATE = timedelta(minutes=5)
"""Batches are kept for ten."""
_NOTED = timedelta(minutes=1)
_STATE = "indexed"

Text = tuple[str, int, str, str | None]
"""(chat id, the seq by which it is met, message id, body; None of a deleted one)"""


class SqlWordIndex:
    """Implements WordIndex. On PostgreSQL who holds a row of `meta` indexes, and whoever comes next goes on from what
    was committed with it; SQLite's one process asks for the rows that came since it last looked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_rows = (-1, -1)
        self._characters = _CHARACTERS_AT_ONCE
        self._cut: tuple[Text, ...] = ()
        self._unreadable: Bounded[tuple[str, str], None] = Bounded(_UNREADABLE_MAX)

    async def follow(self) -> bool:
        try:
            more = await self._follow()
        except Exception as error:
            if isinstance(error, DeadlineMissed) or not isinstance(error, Transient):
                self._take_less()
            raise
        self._characters = _CHARACTERS_AT_ONCE
        return more

    async def _follow(self) -> bool:
        if self._database.postgresql:
            async with self._database.write() as connection:
                return await self._follow_postgresql(connection)
        return await self._follow_sqlite()

    def _take_less(self) -> None:
        """What can't be indexed together is less the next time; a text that can't be alone is found by nothing."""
        if len(self._cut) == 1:
            [(chat_id, _, message_id, _)] = self._cut
            self._unreadable[(chat_id, message_id)] = None
        self._characters //= 8

    async def rebuild(self) -> None:
        async with self._database.write(600.0) as connection:
            if self._database.postgresql:
                await connection.execute(sa.text("set local statement_timeout = 0"))
            await connection.execute(sa.update(t.meta).where(t.meta.c.key == _STATE).values(value=""))
            await connection.execute(sa.update(t.indexed).values(low=t.indexed.c.head))
            if not self._database.postgresql:
                await connection.execute(sa.text("insert into message_search (message_search) values ('rebuild')"))

    # What was committed since

    async def _follow_postgresql(self, connection: AsyncConnection) -> bool:
        m = t.meta
        mine = sa.select(m.c.value).where(m.c.key == _STATE).with_for_update(skip_locked=True)
        found = (await connection.execute(mine)).one_or_none()
        if found is None:
            return False  # another process is at it
        await connection.execute(sa.text("set local synchronous_commit = off"))  # what is lost is found again
        now = (
            await connection.execute(
                sa.text(f"select pg_current_snapshot()::text as snapshot, now() as now, {EPOCH} as epoch")
            )
        ).one()
        state: dict[str, Any] = json.loads(found.value or "{}")
        fresh = {"snapshot": now.snapshot, "epoch": now.epoch, "at": now.now.isoformat()}
        age = now.now - datetime.fromisoformat(state["at"]) if state else _TOO_LATE
        if state.get("epoch") != now.epoch or (age >= _TOO_LATE and not state.get("all_after")):
            state = fresh | {"all_after": ""}
        noted = state
        if "all_after" in state:
            heads, last = await self._all_heads(connection, state["all_after"])
            noted = {key: value for key, value in state.items() if key != "all_after"} | (
                {"all_after": last} if last else {}
            )
        else:
            rows = await connection.execute(
                sa.text(f"select b.heads from batches b where {UNSEEN}"), {"last": state["snapshot"]}
            )
            heads = {}
            for row in rows:
                for chat_id, head in from_json(row.heads).items():
                    heads[chat_id] = max(head, heads.get(chat_id, 0))
            if heads or age >= _NOTED:
                noted = fresh
        more = await self._index(connection, connection, heads, was_there="all_after" in state)
        if noted != json.loads(found.value or "{}"):
            await connection.execute(sa.update(m).where(m.c.key == _STATE).values(value=json.dumps(noted)))
        return more or "all_after" in noted

    async def _all_heads(self, connection: AsyncConnection, after: str) -> tuple[dict[str, int], str]:
        """A page of all chats, and the last one's id while there are more."""
        c = t.chats.c
        page = sa.select(c.id, c.head).order_by(c.id).limit(_SEEDED_AT_ONCE)
        found = (await connection.execute(page.where(c.id > after) if after else page)).all()
        return {row.id: row.head for row in found}, found[-1].id if len(found) == _SEEDED_AT_ONCE else ""

    async def _follow_sqlite(self) -> bool:
        async with self._database.read() as connection:
            ends = [
                await connection.scalar(sa.text(f"select max(rowid) from {name}")) for name in ("messages", "changes")
            ]
            last_rows = (ends[0] or 0, ends[1] or 0)
            first, heads = self._last_rows == (-1, -1), {}
            if last_rows != self._last_rows:
                m, x, i = t.messages, t.changes, t.indexed
                ch = t.chats
                query = (
                    sa.select(ch.c.id, ch.c.head)
                    .select_from(ch.outerjoin(i, i.c.chat_id == ch.c.id))
                    .where(sa.func.coalesce(i.c.head, 0) < ch.c.head)
                )
                if not first:
                    since = [
                        sa.select(table.c.chat_id).where(sa.literal_column(f"{table.name}.rowid") > row)
                        for table, row in zip((m, x), self._last_rows, strict=True)
                    ]
                    query = query.where(ch.c.id.in_(sa.union_all(*since)))
                heads = {row.id: row.head for row in await connection.execute(query)}
            elif not await self._waiting(connection, 1):
                return False
            more = await self._index(connection, None, heads, was_there=first)
        self._last_rows = last_rows
        return more

    # Indexing it

    async def _waiting(self, connection: AsyncConnection, most: int) -> list[Any]:
        i = t.indexed
        found = list((await connection.execute(sa.select(i).where(i.c.head > i.c.seq).limit(most))).all())
        return found or list((await connection.execute(sa.select(i).where(i.c.low > 0).limit(most))).all())

    async def _index(
        self, reading: AsyncConnection, writing: AsyncConnection | None, heads: dict[str, int], was_there: bool
    ) -> bool:
        """Note these heads, and index some of what waits, the new before what was there before. was_there: of a chat
        that isn't known yet, all was there before. True while more waits."""
        known = await self._known(reading, list(heads))
        rows: dict[str, tuple[int, int, int]] = {}
        for chat_id, head in heads.items():
            seq, old, low = known.get(chat_id, (head, head, head) if was_there else (0, head, 0))
            rows[chat_id] = (seq, max(head, old), low)
        waiting = await self._waiting(reading, _CHATS_AT_ONCE)
        all_ = {row.chat_id: (row.seq, row.head, row.low) for row in waiting} | rows
        new = [(id_, seq, min(head, seq + _EVENTS_OF_A_CHAT)) for id_, (seq, head, _) in all_.items() if head > seq]
        before = [(id_, max(0, low - _EVENTS_OF_A_CHAT), low) for id_, (_, _, low) in all_.items() if low > 0]
        ranges = (new or before)[:_CHATS_AT_ONCE]
        texts = await self._texts(reading, ranges, newest_first=not new)
        self._cut, places = self._some(texts, ranges, newest_first=not new)
        for chat_id, place in places.items():
            seq, head, low = all_[chat_id]
            rows[chat_id] = (place, head, low) if new else (seq, head, place)
        cut = await self._words(self._cut)
        if writing is not None:
            await self._write(writing, rows, cut)
        elif rows:
            async with self._database.write() as connection:
                await self._write(connection, rows, cut)
        return any(head > seq or low > 0 for seq, head, low in (all_ | rows).values())

    def _some(
        self, texts: list[Text], ranges: list[tuple[str, int, int]], newest_first: bool
    ) -> tuple[tuple[Text, ...], dict[str, int]]:
        """As many of them as one transaction takes, one at least; and how far each chat of the ranges is with them."""
        taken: list[Text] = []
        places = {chat_id: (after if newest_first else upto) for chat_id, after, upto in ranges}
        left, full = self._characters, False
        for text in texts:
            chat_id, place, _, body = text
            full = full or bool(taken and left < len(body or ""))
            if full:  # this chat goes on here the next time
                places[chat_id] = max(places[chat_id], place) if newest_first else min(places[chat_id], place - 1)
            else:
                left -= len(body or "")
                taken.append(text)
        return tuple(taken), places

    async def _words(self, texts: Iterable[Text]) -> list[tuple[str, str, str]]:
        """(chat id, message id, terms). A message that is met twice is one, as it is now."""
        made: dict[tuple[str, str], str] = {}
        characters = 0
        for chat_id, _, message_id, body in texts:
            key = (chat_id, message_id)
            if key in made:
                continue
            characters += len(body or "")
            if characters > _CHARACTERS_OF_A_TURN:
                characters = 0
                await asyncio.sleep(0)  # others are served by this loop
            made[key] = " ".join(terms(body or "")) if key not in self._unreadable else ""
        return [(*key, words) for key, words in made.items()]

    async def _known(self, connection: AsyncConnection, chat_ids: list[str]) -> dict[str, tuple[int, int, int]]:
        if not chat_ids:
            return {}
        source, params = self._database.values("v", {"chat_id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        found = await connection.execute(
            sa.text(f"select i.chat_id, i.seq, i.head, i.low from {source} join indexed i on i.chat_id = v.chat_id"),
            params,
        )
        return {str(row.chat_id): (row.seq, row.head, row.low) for row in found}

    async def _texts(
        self, connection: AsyncConnection, ranges: list[tuple[str, int, int]], newest_first: bool
    ) -> list[Text]:
        """Of the messages that were written, or changed, in these ranges (chat id, after, up to): as they are now, in order
        of the events by which they are met."""
        if not ranges:
            return []
        source, params = self._database.values("v", {"chat_id": "uuid", "after": "int8", "upto": "int8"}, ranges)
        of_changes = (
            f" union all select m.chat_id, x.seq as place, m.id, m.body from v {self._in_range('changes', 'x')}"
            " join messages m on m.chat_id = x.chat_id and m.id = x.message_id"
        )
        found = await connection.execute(
            sa.text(
                f"with v as (select * from {source}) select m.chat_id, m.seq as place, m.id, m.body"
                f" from v {self._in_range('messages', 'm')}"
                f"{'' if newest_first else of_changes} order by place{' desc' if newest_first else ''}"
            ),
            params,
        )
        return [(str(row.chat_id), row.place, str(row.id), row.body) for row in found]

    def _in_range(self, table: str, name: str) -> str:
        """Joined to the ranges `v`: their rows. PostgreSQL may think that a range holds a part of the chat, and read all of it:
        the limit, which the range has anyway, says how few they are."""
        within = f"{name}.chat_id = v.chat_id and {name}.seq > v.after and {name}.seq <= v.upto"
        if self._database.postgresql:
            few = f"select * from {table} {name} where {within} order by {name}.seq limit {_EVENTS_OF_A_CHAT}"
            return f"cross join lateral ({few}) {name}"
        return f"join {table} {name} on {within}"

    async def _write(
        self, connection: AsyncConnection, rows: dict[str, tuple[int, int, int]], cut: list[tuple[str, str, str]]
    ) -> None:
        key = {"chat_id": "uuid", "message_id": "uuid"}
        if cut:
            source, params = self._database.values("v", key | {"words": "text"}, cut)
            made = "string_to_array(v.words, ' ')" if self._database.postgresql else "v.words"
            await connection.execute(
                sa.text(
                    f"insert into message_words (chat_id, message_id, words) select v.chat_id, v.message_id, {made}"
                    f" from {source} where true on conflict (chat_id, message_id) do update set words = excluded.words"
                    " where message_words.words is distinct from excluded.words"
                ),
                params,
            )
        if rows:
            columns = {"chat_id": "uuid", "seq": "int8", "head": "int8", "low": "int8"}
            source, params = self._database.values("v", columns, [(id_, *row) for id_, row in rows.items()])
            names = ", ".join(columns)
            await connection.execute(
                sa.text(
                    f"insert into indexed ({names}) select {names} from {source} where true on conflict (chat_id)"
                    " do update set seq = excluded.seq, head = excluded.head, low = excluded.low"
                ),
                params,
            )
