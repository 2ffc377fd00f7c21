"""Which workers live: each says so every second; the fair sharing of shards follows from the list."""

from __future__ import annotations

import sqlalchemy as sa

from app.adapters.store.database import Database

_ALIVE = "interval '4 seconds'"


class SqlWorkers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, worker_id: str) -> list[str]:
        """Say that this worker lives; all that do, by the database's clock, sorted."""
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
                sa.text(f"select id from workers where seen_at > now() - {_ALIVE} order by id")
            )
            return [row.id for row in found]

    async def leave(self, worker_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.text("delete from workers where id = :id"), {"id": worker_id})


def fair_share(worker_id: str, alive: list[str], shards: int) -> set[int]:
    """Every shard has one holder in every worker's view, and nobody holds two more than another."""
    everybody = sorted({*alive, worker_id})
    place = everybody.index(worker_id)
    return {shard for shard in range(shards) if shard % len(everybody) == place}
