"""Which workers live: a row each, with when it last said so."""

from __future__ import annotations

import sqlalchemy as sa

from app.adapters.store.database import Database

ALIVE = "interval '4 seconds'"


class SqlWorkers:
    """Implements Workers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, worker_id: str) -> list[str]:
        async with self._database.write() as connection:
            await connection.execute(
                sa.text(
                    "insert into workers (id, seen_at) values (:id, now())"
                    " on conflict (id) do update set seen_at = now()"
                ),
                {"id": worker_id},
            )
            await connection.execute(sa.text("delete from workers where seen_at < now() - interval '1 minute'"))
            found = await connection.execute(
                sa.text(f"select id from workers where seen_at > now() - {ALIVE} order by id")
            )
            return [row.id for row in found]

    async def leave(self, worker_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.text("delete from workers where id = :id"), {"id": worker_id})
