"""The one poll: what was committed since the last look, each row exactly once, whatever order commits came in."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import tables as t
from app.adapters.store.database import Database, from_json, to_time
from app.application.ports.store import Healing, Refusal
from app.domain.state import Outcome

_TOO_LATE = timedelta(minutes=5)
EPOCH = (
    "(select value from meta where key = 'data_id') || (select system_identifier from pg_control_system())::text"
    " || left(pg_walfile_name(pg_current_wal_lsn()), 8)"
)
UNSEEN = (
    "b.xid >= pg_snapshot_xmin(cast(cast(:last as text) as pg_snapshot))"
    " and not pg_visible_in_snapshot(b.xid, cast(cast(:last as text) as pg_snapshot))"
)
"""Of batches b: committed since the snapshot `last`."""


class PostgresHeal:
    """By snapshot, not by time: a transaction that commits late is still new to the next snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshot: str | None = None
        self._polled_at: datetime | None = None

    async def epoch(self) -> str:
        async with self._database.read() as connection:
            return _hash(await connection.scalar(sa.text(f"select {EPOCH}")))

    async def poll(self) -> Healing:
        async with self._database.read() as connection:
            if self._snapshot is None:
                head = (await connection.execute(_look("false"))).all()
            else:
                head = (await connection.execute(_look(UNSEEN), {"last": self._snapshot})).all()
        first = head[0]
        now = to_time(first.now)
        self._database.note_time(now)
        too_late = self._polled_at is not None and now - self._polled_at > _TOO_LATE
        self._snapshot, self._polled_at = first.snapshot, now
        healing = Healing(_hash(first.epoch), now, too_late)
        for row in head:
            if row.heads is not None:
                _add(healing, row)
        return healing


def _look(unseen: str) -> sa.TextClause:
    return sa.text(
        f"with s as (select pg_current_snapshot()::text as snapshot, now() as now, {EPOCH} as epoch)"
        " select s.snapshot, s.now, s.epoch, b.heads, b.users, b.refused, b.revoked"
        f" from s left join batches b on {unseen}"
    )


def _add(healing: Healing, row: Any) -> None:
    for chat_id, head in from_json(row.heads).items():
        healing.heads[chat_id] = max(head, healing.heads.get(chat_id, 0))
    healing.users.update(from_json(row.users))
    healing.revoked.update(from_json(row.revoked))
    for chat_id, actor_id, id_, type_, code, reason, policies, *_ in from_json(row.refused):
        outcome = Outcome(type_, None, code, reason, tuple(policies))
        healing.refused.append(Refusal(chat_id, actor_id, id_, outcome))


class SqliteHeal:
    """One process, one fan-out that loses nothing: there is nothing to find."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def epoch(self) -> str:
        async with self._database.read() as connection:
            return _hash(await data_id(connection))

    async def poll(self) -> Healing | None:
        return None


async def data_id(connection: AsyncConnection) -> str:
    return str(await connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.key == "data_id")))


def _hash(value: Any) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:32]
