"""A chat's timeline as it is read back: messages ∪ changes by seq; and who hears it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.domain.events import Event, message_created
from app.domain.state import Pair


class SqlTimeline:
    def __init__(self, database: Database) -> None:
        self._database = database

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
            messages = {message.id: message for message in await rows.whole_messages(connection, [*created, *about])}
            changes = [rows.event_of_change(row, messages.get(str(row.message_id))) for row in changed]
            changes = await rows.as_named_now(connection, changes)
        events = [message_created(messages[str(row.id)], rows.text_or_none(row.command_id)) for row in created]
        events += changes
        events.sort(key=lambda event: event.seq)
        return _contiguous(events, after)[:limit]

    async def joined(self, user_id: str, chat_ids: Sequence[str] | None) -> dict[str, tuple[int, int]]:
        source, params = self._database.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids or ()])
        of_these = f"{source} join members m on m.chat_id = v.id" if chat_ids is not None else "members m"
        sql = f"select m.chat_id, m.joined_seq, c.head from {of_these} join chats c on c.id = m.chat_id where m.user_id = :user_id"
        found = await self._database.fetch(sql, {"user_id": user_id} | (params if chat_ids is not None else {}))
        return {str(row.chat_id): (row.joined_seq, row.head) for row in found}

    async def removed_after(self, user_id: str, chat_id: str, after: int) -> bool:
        async with self._database.read() as connection:
            return bool(await rows.leavings(connection, chat_id, user_id, after))

    async def open_replies(self, chat_ids: Sequence[str]) -> list[Pair]:
        source, params = self._database.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        sql = (
            f"select r.chat_id, r.message_id from {source} join replies r on r.chat_id = v.id"
            " where not r.finished and r.attempt > 0"
        )
        return [(str(row.chat_id), str(row.message_id)) for row in await self._database.fetch(sql, params)]


def _contiguous(events: list[Event], after: int) -> list[Event]:
    """Only the run that follows `after`: two limited reads may leave the longer one's tail hanging."""
    for place, event in enumerate(events):
        if event.seq != after + 1 + place:
            return events[:place]
    return events
