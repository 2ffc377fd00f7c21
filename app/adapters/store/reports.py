"""Reports of messages, and what operators looked at."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.application.ports.reports import Report


class SqlReports:
    """Implements Reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, report_id: str, chat_id: str, message_id: str, reporter_id: str, reason: str) -> Report:
        r = t.reports
        columns = {
            "id": "uuid", "at": "timestamptz", "chat_id": "uuid", "message_id": "uuid", "reporter_id": "uuid",
            "reason": "text",
        }  # fmt: skip
        async with self._database.write() as connection:
            row = (report_id, await self._database.now(connection), chat_id, message_id, reporter_id, reason)
            source, params = self._database.values("v", columns, [row])
            names = ", ".join(columns)
            await self._database.run(
                connection,
                f"insert into reports ({names}) select {names} from {source} where true"
                " on conflict (chat_id, message_id, reporter_id) do nothing",
                params,
            )
            mine = (r.c.chat_id == chat_id, r.c.message_id == message_id, r.c.reporter_id == reporter_id)
            return _report((await connection.execute(sa.select(r).where(*mine))).one())

    async def page(self, open_: bool | None, before_id: str | None, limit: int) -> list[Report]:
        r = t.reports
        query = sa.select(r).order_by(r.c.id.desc()).limit(limit)
        if open_ is not None:
            query = query.where(r.c.closed_at.is_(None) if open_ else r.c.closed_at.is_not(None))
        if before_id is not None:
            query = query.where(r.c.id < before_id)
        async with self._database.read() as connection:
            return [_report(row) for row in await connection.execute(query)]

    async def close(self, operator_id: str, report_id: str, note: str) -> Report | None:
        r = t.reports
        async with self._database.write() as connection:
            closed = await connection.execute(
                sa.update(r)
                .where(r.c.id == report_id, r.c.closed_at.is_(None))
                .values(closed_at=await self._database.now(connection), closed_by=operator_id, note=note)
            )
            row = (await connection.execute(sa.select(r).where(r.c.id == report_id))).one_or_none()
            if row is not None and closed.rowcount:
                details = {"chat_id": str(row.chat_id), "message_id": str(row.message_id), "note": note}
                now = await self._database.now(connection)
                await rows.write_down(connection, now, operator_id, "report.closed", report_id, details)
        return _report(row) if row is not None else None

    async def seen(self, operator_id: str, message_id: str, chat_id: str) -> None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            await rows.write_down(connection, now, operator_id, "message.read", message_id, {"chat_id": chat_id})


def _report(row: Any) -> Report:
    return Report(
        id=row.id,
        at=row.at,
        chat_id=row.chat_id,
        message_id=row.message_id,
        reporter_id=row.reporter_id,
        reason=row.reason,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        note=row.note,
    )
