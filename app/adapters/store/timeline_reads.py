"""A chat's timeline as it is read back: messages ∪ changes by seq; and who hears it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import sqlalchemy as sa

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.adapters.together import Together
from app.application.ports.store import Joined, OpenReply
from app.domain.events import Event, message_created
from app.domain.state import Pair

_TOGETHER, _LISTS_TOGETHER = 100, 20
_ROWS_A_TURN = 1_000


class SqlTimeline:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._places = Together(self._joined_by, _TOGETHER)
        self._place = Together(self._joined_in, _TOGETHER)
        self._open = Together(self._open_replies, _LISTS_TOGETHER)

    async def events(self, chat_id: str, after: int, limit: int) -> list[Event]:
        m, x = t.messages, t.changes
        async with self._database.read() as connection:
            created = (
                await connection.execute(
                    sa.select(m).where(m.c.chat_id == chat_id, m.c.seq > after).order_by(m.c.seq).limit(limit)
                )
            ).all()
            changed = (
                await connection.execute(
                    sa.select(x).where(x.c.chat_id == chat_id, x.c.seq > after).order_by(x.c.seq).limit(limit)
                )
            ).all()
            named = {row.message_id for row in changed if rows.is_of_message(row.type)}
            about = (
                (await connection.execute(sa.select(m).where(m.c.chat_id == chat_id, m.c.id.in_(named)))).all()
                if named
                else []
            )
            messages = {
                message.id: message
                for message in await rows.whole_messages(self._database, connection, [*created, *about])
            }
            changes = [rows.event_of_change(row, messages.get(str(row.message_id))) for row in changed]
            changes = await rows.as_named_now(connection, changes)
        events = [message_created(messages[str(row.id)], rows.text_or_none(row.command_id)) for row in created]
        events += changes
        events.sort(key=lambda event: event.seq)
        return _contiguous(events, after)[:limit]

    async def joined(self, user_id: str, chat_ids: Sequence[str] | None) -> dict[str, Joined]:
        if chat_ids is None:
            return await self._places.ask(user_id) or {}
        if len(chat_ids) == 1:
            place = await self._place.ask((user_id, chat_ids[0]))
            return {} if place is None else {chat_ids[0]: place}
        found = await self._joined_in([(user_id, chat_id) for chat_id in chat_ids])
        return {chat_id: place for (_, chat_id), place in found.items()}

    async def _joined_by(self, user_ids: Sequence[str]) -> dict[str, dict[str, Joined]]:
        source, params = self._database.values("v", {"id": "uuid"}, [(user_id,) for user_id in user_ids])
        sql = (
            f"select m.user_id, m.chat_id, m.joined_seq, m.sees_from, c.head from {source} join members m on m.user_id = v.id"
            " join chats c on c.id = m.chat_id"
        )
        found: dict[str, dict[str, Joined]] = {}
        for place, row in enumerate(await self._database.fetch(sql, params)):
            if place % _ROWS_A_TURN == 0:
                await asyncio.sleep(0)  # others have their turn between
            found.setdefault(str(row.user_id), {})[str(row.chat_id)] = Joined(row.joined_seq, row.head, row.sees_from)
        return found

    async def _joined_in(self, pairs: Sequence[Pair]) -> dict[Pair, Joined]:
        """pairs: of a user and a chat."""
        source, params = self._database.values("v", {"user_id": "uuid", "chat_id": "uuid"}, pairs)
        sql = (
            f"select m.user_id, m.chat_id, m.joined_seq, m.sees_from, c.head from {source}"
            " join members m on m.chat_id = v.chat_id and m.user_id = v.user_id join chats c on c.id = m.chat_id"
        )
        found = await self._database.fetch(sql, params)
        return {(str(row.user_id), str(row.chat_id)): Joined(row.joined_seq, row.head, row.sees_from) for row in found}

    async def removed_after(self, user_id: str, chat_id: str, after: int) -> bool:
        async with self._database.read() as connection:
            return bool(await rows.leavings(connection, chat_id, user_id, after))

    async def open_replies(self, chat_ids: Sequence[str]) -> list[OpenReply]:
        return await self._open.ask(tuple(chat_ids)) or []

    async def _open_replies(self, lists: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], list[OpenReply]]:
        of_any = dict.fromkeys(chat_id for chat_ids in lists for chat_id in chat_ids)
        source, params = self._database.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in of_any])
        sql = (
            f"select r.chat_id, r.message_id, r.attempt, m.seq from {source} join replies r on r.chat_id = v.id"
            " join messages m on m.chat_id = r.chat_id and m.id = r.message_id where not r.finished"
        )
        found: dict[str, list[OpenReply]] = {}
        for row in await self._database.fetch(sql, params):
            found.setdefault(str(row.chat_id), []).append(
                OpenReply(str(row.chat_id), str(row.message_id), row.seq, row.attempt > 0)
            )
        if not found:
            return {}
        return {ids: [pair for chat_id in ids for pair in found.get(chat_id, ())] for ids in lists}


def _contiguous(events: list[Event], after: int) -> list[Event]:
    """Only the run that follows `after`: two limited reads may leave the longer one's tail hanging."""
    for place, event in enumerate(events):
        if event.seq != after + 1 + place:
            return events[:place]
    return events
