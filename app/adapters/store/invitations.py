"""Invitations, and who came by them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.application.ports.invitations import Invitation

_i, _d, _u = t.invitations, t.invited, t.users


class SqlInvitations:
    """Implements Invitations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, invitation: Invitation, most: int) -> Invitation | None:
        async with self._database.write() as connection:
            lock = sa.select(_u.c.id).where(_u.c.id == invitation.made_by)
            await connection.execute(lock.with_for_update() if self._database.postgresql else lock)
            has = sa.select(sa.func.count()).select_from(_i).where(_i.c.made_by == invitation.made_by)
            if (await connection.scalar(has) or 0) >= most:
                return None
            now = await self._database.now(connection)
            await connection.execute(
                sa.insert(_i).values(
                    code=invitation.code,
                    chat_id=invitation.chat_id,
                    made_by=invitation.made_by,
                    created_at=now,
                    expires_at=invitation.expires_at,
                    uses=invitation.uses,
                )
            )
            if invitation.chat_id is None:
                details = {"uses": invitation.uses}
                await rows.write_down(
                    connection, now, invitation.made_by, "invitation.created", invitation.made_by, details
                )
        return replace(invitation, created_at=now)

    async def of(self, made_by: str | None, before: tuple[datetime, str] | None, limit: int) -> list[Invitation]:
        query = _all().order_by(_i.c.created_at.desc(), _i.c.code.desc()).limit(limit)
        if made_by is not None:
            query = query.where(_i.c.made_by == made_by)
        if before is not None:
            same = sa.and_(_i.c.created_at == before[0], _i.c.code < before[1])
            query = query.where(sa.or_(_i.c.created_at < before[0], same))
        async with self._database.read() as connection:
            return [_invitation(row) for row in await connection.execute(query)]

    async def end(self, code: str, made_by: str | None) -> bool:
        mine = _i.c.code == code if made_by is None else sa.and_(_i.c.code == code, _i.c.made_by == made_by)
        async with self._database.write() as connection:
            done = await connection.execute(sa.delete(_i).where(mine))
            if done.rowcount:
                await connection.execute(sa.delete(_d).where(_d.c.code == code))
        return bool(done.rowcount)

    async def take(self, code: str, user_id: str) -> tuple[Invitation, bool] | None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            lock = sa.select(_i.c.code).where(_i.c.code == code)  # who comes at once is counted one after the other
            await connection.execute(lock.with_for_update() if self._database.postgresql else lock)
            good = sa.or_(_i.c.expires_at.is_(None), _i.c.expires_at > now)
            living = sa.exists().where(_u.c.id == _i.c.made_by, ~_u.c.disabled)
            row = (await connection.execute(_all().where(_i.c.code == code, good, living))).one_or_none()
            if row is None:
                return None
            mine = sa.and_(_d.c.code == code, _d.c.user_id == user_id)
            if await connection.scalar(sa.select(_d.c.user_id).where(mine)) is not None:
                return _invitation(row), False
            if row.uses is not None and row.used >= row.uses:
                return None
            await connection.execute(sa.insert(_d).values(code=code, user_id=user_id, at=now))
        return replace(_invitation(row), used=row.used + 1), True

    async def give_back(self, code: str, user_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.delete(_d).where(_d.c.code == code, _d.c.user_id == user_id))


def _all() -> sa.Select[Any]:
    used = sa.select(sa.func.count()).where(_d.c.code == _i.c.code).scalar_subquery()
    return sa.select(_i, used.label("used"))


def _invitation(row: Any) -> Invitation:
    return Invitation(
        code=row.code,
        chat_id=rows.text_or_none(row.chat_id),
        made_by=str(row.made_by),
        created_at=row.created_at,
        expires_at=row.expires_at,
        uses=row.uses,
        used=row.used,
    )
