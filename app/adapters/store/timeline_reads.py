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
        query = (
            sa.select(t.members.c.chat_id, t.members.c.joined_seq, t.chats.c.head)
            .join(t.chats, t.chats.c.id == t.members.c.chat_id)
            .where(t.members.c.user_id == user_id)
        )
        if chat_ids is not None:
            query = query.where(t.members.c.chat_id.in_(list(chat_ids)))
        async with self._database.read() as connection:
            found = await connection.execute(query)
            return {row.chat_id: (row.joined_seq, row.head) for row in found}

    async def removed_after(self, user_id: str, chat_id: str, after: int) -> bool:
        async with self._database.read() as connection:
            return bool(await rows.leavings(connection, chat_id, user_id, after))

    async def open_replies(self, chat_ids: Sequence[str]) -> list[Pair]:
        r = t.replies
        async with self._database.read() as connection:
            found = await connection.execute(
                sa.select(r.c.chat_id, r.c.message_id).where(
                    ~r.c.finished, r.c.attempt > 0, r.c.chat_id.in_(list(chat_ids))
                )
            )
            return [(row.chat_id, row.message_id) for row in found]


def _contiguous(events: list[Event], after: int) -> list[Event]:
    """Only the run that follows `after`: two limited reads may leave the longer one's tail hanging."""
    for place, event in enumerate(events):
        if event.seq != after + 1 + place:
            return events[:place]
    return events
