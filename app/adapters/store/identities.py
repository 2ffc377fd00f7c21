"""Whom other issuers mean, and the sessions that they speak of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.store import tables as t
from app.adapters.store.accounts import end_sessions
from app.adapters.store.database import Database, from_json
from app.application.other_issuers import session_id_of
from app.application.ports.issuers import Known
from app.domain.text import folded

_i, _s, _u = t.identities, t.sessions, t.users


class SqlIdentities:
    """Implements Identities."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, issuer: str, subject: str) -> Known | None:
        query = sa.select(_i.c.user_id, _i.c.signed_out_at).where(_i.c.issuer == issuer, _i.c.subject == subject)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        out: datetime | None = row.signed_out_at
        return Known(str(row.user_id), out.timestamp() if out is not None else 0.0)

    async def bind(self, issuer: str, subject: str, user_id: str) -> str:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            row = {"issuer": issuer, "subject": subject, "user_id": user_id, "created_at": now}
            await connection.execute(self._insert(_i).values(row).on_conflict_do_nothing())
            query = sa.select(_i.c.user_id).where(_i.c.issuer == issuer, _i.c.subject == subject)
            return str(await connection.scalar(query))

    async def vouch(self, session_id: str, user_id: str, issuer: str, issuer_session: str, used: bool) -> None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            row = {"id": session_id, "user_id": user_id, "created_at": now, "issuer": issuer}
            row |= {"issuer_session": issuer_session, "client": issuer[:200]} | ({"last_used_at": now} if used else {})
            insert = self._insert(_s).values(row)
            seen = insert.on_conflict_do_update(index_elements=["id"], set_={"last_used_at": now})
            await connection.execute(seen if used else insert.on_conflict_do_nothing())

    async def sign_out(self, issuer: str, subject: str, issuer_session: str) -> list[tuple[str, str]]:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            user_id = await connection.scalar(
                sa.select(_i.c.user_id).where(_i.c.issuer == issuer, _i.c.subject == subject)
            )
            which = [_s.c.issuer == issuer]
            if issuer_session:
                which.append(_s.c.issuer_session == issuer_session)
                if user_id is not None:  # what comes with a token of it that wasn't seen here yet is over too
                    row = {
                        "id": session_id_of(issuer, subject, issuer_session),
                        "user_id": user_id,
                        "created_at": now,
                        "issuer": issuer,
                        "issuer_session": issuer_session,
                    }
                    await connection.execute(self._insert(_s).values(row).on_conflict_do_nothing())
            elif user_id is None:
                return []
            else:
                which.append(_s.c.user_id == user_id)
                mine = sa.and_(_i.c.issuer == issuer, _i.c.subject == subject)
                await connection.execute(sa.update(_i).where(mine).values(signed_out_at=now))
            ended = await end_sessions(self._database, connection, *which)
            query = sa.select(_s.c.id, _s.c.user_id).where(_s.c.id.in_(ended))
            return [(str(row.id), str(row.user_id)) for row in await connection.execute(query)]

    async def follow(
        self, user_id: str, display_name: str | None, email: str | None, attributes: Mapping[str, object]
    ) -> bool:
        values: dict[str, Any] = {}
        if display_name is not None:
            values |= {"display_name": display_name, "folded_name": folded(display_name)}
        if email is not None:
            values["email"] = email
        living = sa.and_(_u.c.id == user_id, _u.c.erased_at.is_(None))
        lock = sa.select(_u.c.display_name, _u.c.attributes).where(living)
        async with self._database.write() as connection:
            query = lock.with_for_update() if self._database.postgresql else lock
            before = (await connection.execute(query)).one_or_none()
            if before is None:
                return False
            if attributes:
                values["attributes"] = {**(from_json(before.attributes) or {}), **attributes}
            if values:
                await connection.execute(sa.update(_u).where(living).values(values))
        return display_name is not None and before.display_name != display_name

    def _insert(self, table: sa.Table) -> Any:
        return (postgresql.insert if self._database.postgresql else sqlite.insert)(table)
