"""Codes that are good once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.adapters.store import tables as t
from app.adapters.store.database import Database, from_json
from app.application.ports.codes import CodeUse, Purpose

_c, _u = t.one_time_codes, t.users


class SqlCodes:
    """Implements Codes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, hash_: str, purpose: Purpose, user_id: str, ttl_s: float, details: Mapping[str, Any], each_s: float = 0.0
    ) -> datetime | None:
        mine = sa.and_(_c.c.user_id == user_id, _c.c.purpose == purpose)
        async with self._database.write() as connection:
            lock = sa.select(_u.c.id).where(_u.c.id == user_id)
            await connection.execute(lock.with_for_update() if self._database.postgresql else lock)
            now = await self._database.now(connection)
            until = now + timedelta(seconds=ttl_s)
            newest = await connection.scalar(sa.select(sa.func.max(_c.c.expires_at)).where(mine))
            if each_s and newest is not None and newest > until - timedelta(seconds=each_s):
                return None
            if purpose is Purpose.PASSWORD:
                await connection.execute(sa.delete(_c).where(mine))
            row = {"hash": hash_, "purpose": purpose, "user_id": user_id, "expires_at": until, "details": dict(details)}
            await connection.execute(sa.insert(_c).values(row))
        return until

    async def look(self, hash_: str, purpose: Purpose) -> CodeUse | None:
        async with self._database.read() as connection:
            good = _c.c.expires_at > await self._database.now(connection)
            query = sa.select(_c.c.user_id, _c.c.details).where(_c.c.hash == hash_, _c.c.purpose == purpose, good)
            return _use((await connection.execute(query)).one_or_none())

    async def use(self, hash_: str, purpose: Purpose) -> CodeUse | None:
        async with self._database.write() as connection:
            good = _c.c.expires_at > await self._database.now(connection)
            gone = sa.delete(_c).where(_c.c.hash == hash_, _c.c.purpose == purpose, good)
            return _use((await connection.execute(gone.returning(_c.c.user_id, _c.c.details))).one_or_none())


def _use(row: Any) -> CodeUse | None:
    return CodeUse(str(row.user_id), from_json(row.details)) if row is not None else None
