"""What was decided of late."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.adapters.store import tables as t
from app.adapters.store.database import Database, from_json, to_time
from app.application.decisions import KEPT_MAX, Decision

_d = t.decisions
_AT_ONCE = 200


class SqlDecisions:
    """Implements DecisionLog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, decisions: Sequence[Decision]) -> None:
        insert = (postgresql.insert if self._database.postgresql else sqlite.insert)(_d)
        newer = insert.excluded
        named = ("allowed", "policies", "chat_id", "actor_id", "command_id", "type", "at")
        upsert = insert.on_conflict_do_update(
            index_elements=["id"],
            set_={name: newer[name] for name in named} | {"count": _d.c.count + newer["count"]},
        )
        made = [
            {
                "id": sha256(json.dumps([one.action, one.facts], sort_keys=True).encode()).hexdigest(),
                "action": one.action,
                "facts": one.facts,
                "allowed": one.allowed,
                "policies": list(one.policies),
                "chat_id": one.command[0],
                "actor_id": one.command[1],
                "command_id": one.command[2],
                "type": one.type,
                "at": one.at,
                "count": one.count,
            }
            for one in decisions
        ]
        made.sort(key=lambda row: str(row["id"]))  # several write at once, and never wait for each other in a circle
        for start in range(0, len(made), _AT_ONCE):
            async with self._database.write() as connection:
                await connection.execute(upsert, made[start : start + _AT_ONCE])
        async with self._database.write() as connection:
            oldest = sa.select(_d.c.at).order_by(_d.c.at.desc()).offset(KEPT_MAX).limit(1).scalar_subquery()
            await connection.execute(sa.delete(_d).where(_d.c.at <= oldest))

    async def last(self, limit: int) -> list[Decision]:
        async with self._database.read() as connection:
            found = await connection.execute(sa.select(_d).order_by(_d.c.at.desc()).limit(limit))
            return [
                Decision(
                    row.action,
                    from_json(row.facts),
                    bool(row.allowed),
                    tuple(row.policies),
                    (str(row.chat_id), str(row.actor_id), str(row.command_id)),
                    row.type,
                    to_time(row.at),
                    row._mapping["count"],
                )
                for row in found
            ]
