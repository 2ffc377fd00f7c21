"""Keys. A key is a session of its user: what ends a session, and closes its sockets, does so with a key."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.accounts import end_sessions
from app.adapters.store.database import Database
from app.application.ports.keys import Key

_k, _s, _u = t.keys, t.sessions, t.users
_NOTED_EACH = timedelta(seconds=60)


class SqlKeys:
    """Implements Keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, key: Key, hash_: str, actor_id: str, most: int) -> Key | None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            lock = sa.select(_u.c.id).where(_u.c.id == (actor_id if key.service else key.user_id))
            await connection.execute(lock.with_for_update() if self._database.postgresql else lock)
            of_whom = _k.c.service if key.service else sa.and_(_k.c.user_id == key.user_id, ~_k.c.service)
            living = sa.select(sa.func.count()).select_from(_k.join(_s, _s.c.id == _k.c.id))
            good = sa.or_(_k.c.expires_at.is_(None), _k.c.expires_at > now)
            if (await connection.scalar(living.where(of_whom, _s.c.ended_at.is_(None), good)) or 0) >= most:
                return None
            made = {"id": key.id, "user_id": key.user_id, "created_at": now}
            await connection.execute(sa.insert(_s).values(**made, client=f"key {key.prefix}", is_key=True))
            await connection.execute(
                sa.insert(_k).values(
                    **made,
                    service=key.service,
                    name=key.name,
                    prefix=key.prefix,
                    hash=hash_,
                    scopes=sorted(key.scopes),
                    expires_at=key.expires_at,
                )
            )
            details = {"user_id": key.user_id, "prefix": key.prefix, "scopes": sorted(key.scopes)}
            await rows.write_down(connection, now, actor_id, "key.created", key.id, details)
        return replace(key, created_at=now)

    async def by_hash(self, hash_: str) -> tuple[Key, float | None] | None:
        living = _living().where(_k.c.hash == hash_)
        async with self._database.read() as connection:
            now = await self._database.now(connection)
            row = (await connection.execute(living)).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= now):
            return None
        if row.last_used_at is None or row.last_used_at < now - _NOTED_EACH:
            async with self._database.write() as connection:
                await connection.execute(sa.update(_k).where(_k.c.id == row.id).values(last_used_at=now))
        return _key(row), (row.expires_at - now).total_seconds() if row.expires_at is not None else None

    async def of(self, user_id: str | None, before_id: str | None, limit: int) -> list[Key]:
        async with self._database.read() as connection:
            now = await self._database.now(connection)
            mine = _k.c.service if user_id is None else sa.and_(_k.c.user_id == user_id, ~_k.c.service)
            query = _living().where(mine, sa.or_(_k.c.expires_at.is_(None), _k.c.expires_at > now))
            if before_id is not None:
                query = query.where(_k.c.id < before_id)
            found = await connection.execute(query.order_by(_k.c.id.desc()).limit(limit))  # ids grow with time
            return [_key(row) for row in found]

    async def end(self, key_id: str, user_id: str | None, actor_id: str) -> str | None:
        mine = _k.c.service if user_id is None else sa.and_(_k.c.user_id == user_id, ~_k.c.service)
        async with self._database.write() as connection:
            owner = await connection.scalar(sa.select(_k.c.user_id).where(_k.c.id == key_id, mine))
            if owner is None or not await end_sessions(self._database, connection, _s.c.id == key_id):
                return None
            now = await self._database.now(connection)
            await rows.write_down(connection, now, actor_id, "key.revoked", key_id, {"user_id": str(owner)})
        return str(owner)


def _living() -> sa.Select[Any]:
    joined = _k.join(_s, _s.c.id == _k.c.id).join(_u, _u.c.id == _k.c.user_id)
    return sa.select(_k).select_from(joined).where(_s.c.ended_at.is_(None), ~_u.c.disabled)


def _key(row: Any) -> Key:
    return Key(
        id=str(row.id),
        user_id=str(row.user_id),
        service=bool(row.service),
        name=row.name,
        prefix=row.prefix,
        scopes=frozenset(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
