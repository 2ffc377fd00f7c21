"""Assistants and their versions, and prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.application.ports.assistants import AssistantVersion, KeptPrompt
from app.domain.text import folded
from app.domain.values import UserKind

_v, _u, _p = t.assistant_versions, t.users, t.prompts
_MADE = ("display_name", "description", "model", "provider", "parameters", "instructions", "asked_by", "listed")


def _all() -> sa.Select[Any]:
    """Every version of those that are not deleted."""
    living = sa.and_(_u.c.id == _v.c.assistant_id, ~_u.c.disabled)
    return sa.select(_v, _u.c.username).join(_u, living)


def _newest() -> sa.Select[Any]:
    later = _v.alias()
    newest = sa.select(sa.func.max(later.c.version)).where(later.c.assistant_id == _v.c.assistant_id).scalar_subquery()
    return _all().where(_v.c.version == newest)


class SqlAssistants:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, after_name: str, limit: int) -> list[AssistantVersion]:
        by_name = _u.c.username.collate("C") if self._database.postgresql else _u.c.username
        query = _newest().where(by_name > after_name).order_by(by_name).limit(limit)
        async with self._database.read() as connection:
            return [_version(row) for row in await connection.execute(query)]

    async def one(self, assistant_id: str) -> AssistantVersion | None:
        async with self._database.read() as connection:
            return await _one(connection, assistant_id)

    async def versions(self, assistant_id: str, before: int | None, limit: int) -> list[AssistantVersion]:
        query = _all().where(_v.c.assistant_id == assistant_id).order_by(_v.c.version.desc()).limit(limit)
        if before is not None:
            query = query.where(_v.c.version < before)
        async with self._database.read() as connection:
            return [_version(row) for row in await connection.execute(query)]

    async def nobodies(self, user_ids: Sequence[str]) -> list[str]:
        query = sa.select(_u.c.id).where(_u.c.id.in_(user_ids), _u.c.kind == "human")
        async with self._database.read() as connection:
            people = set((await connection.execute(query)).scalars())
        return [user_id for user_id in user_ids if user_id not in people]

    async def create(self, first: AssistantVersion) -> bool:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            insert = postgresql.insert if self._database.postgresql else sqlite.insert
            done = await connection.execute(
                insert(_u)
                .on_conflict_do_nothing(index_elements=["username"])
                .values(
                    id=first.assistant_id,
                    username=first.username,
                    display_name=first.display_name,
                    folded_name=folded(first.display_name),
                    kind=UserKind.ASSISTANT,
                    preferences={},
                    created_at=now,
                )
            )
            if not done.rowcount:
                return False
            await self._add(connection, replace(first, created_at=now), "assistant.created")
        return True

    async def change(
        self, actor_id: str, assistant_id: str, changed: Callable[[AssistantVersion], AssistantVersion]
    ) -> tuple[AssistantVersion, AssistantVersion] | None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            lock = sa.select(_u.c.id).where(_u.c.id == assistant_id)
            await connection.execute(lock.with_for_update() if self._database.postgresql else lock)
            before = await _one(connection, assistant_id)
            if before is None:
                return None
            after = changed(before)
            if after == before:
                return before, before
            after = replace(after, version=before.version + 1, created_at=now, created_by=actor_id)
            await self._add(connection, after, "assistant.changed")
            if after.display_name != before.display_name:
                names = {"display_name": after.display_name, "folded_name": folded(after.display_name)}
                await connection.execute(sa.update(_u).where(_u.c.id == assistant_id).values(names))
            return before, after

    async def _add(self, connection: AsyncConnection, version: AssistantVersion, act: str) -> None:
        values: dict[str, Any] = {name: getattr(version, name) for name in _MADE}
        values |= {"parameters": dict(version.parameters), "listed": list(version.listed)}
        key = {"assistant_id": version.assistant_id, "version": version.version}
        made = {"created_at": version.created_at, "created_by": version.created_by}
        await connection.execute(sa.insert(_v).values(**values, **key, **made))
        details = {"version": version.version}
        await rows.write_down(connection, version.created_at, version.created_by, act, version.assistant_id, details)

    async def delete(self, actor_id: str, assistant_id: str) -> bool:
        async with self._database.write() as connection:
            living = sa.and_(_u.c.id == assistant_id, _u.c.kind == UserKind.ASSISTANT, ~_u.c.disabled)
            done = await connection.execute(sa.update(_u).where(living).values(disabled=True))
            if not done.rowcount:
                return False
            now = await self._database.now(connection)
            await rows.write_down(connection, now, actor_id, "assistant.deleted", assistant_id, {})
        return True

    async def stop_all(self, assistant_id: str) -> tuple[list[tuple[str, str]], bool]:
        r = t.replies
        open_ = sa.select(r.c.chat_id, r.c.message_id).where(
            r.c.assistant_id == assistant_id, ~r.c.finished, ~r.c.stop_requested
        )
        async with self._database.write() as connection:
            free = open_.with_for_update(skip_locked=True) if self._database.postgresql else open_
            keys = [(row.chat_id, row.message_id) for row in await connection.execute(free)]
            for chat_id, message_id in keys:
                its = sa.and_(r.c.chat_id == chat_id, r.c.message_id == message_id)
                await connection.execute(sa.update(r).where(its).values(stop_requested=True))
            return keys, await connection.scalar(open_.limit(1)) is not None


async def _one(connection: AsyncConnection, assistant_id: str) -> AssistantVersion | None:
    found = (await connection.execute(_newest().where(_v.c.assistant_id == assistant_id))).one_or_none()
    return _version(found) if found is not None else None


def _version(row: Any) -> AssistantVersion:
    return AssistantVersion(
        assistant_id=str(row.assistant_id),
        username=row.username,
        version=row.version,
        display_name=row.display_name,
        description=row.description,
        model=row.model,
        provider=row.provider,
        parameters=row.parameters,
        instructions=row.instructions,
        asked_by=row.asked_by,
        listed=tuple(row.listed),
        created_at=row.created_at,
        created_by=rows.text_or_none(row.created_by),
    )


class SqlPrompts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, user_id: str, after_id: str, limit: int) -> list[KeptPrompt]:
        query = sa.select(_p).where(sa.or_(_p.c.owner_id == user_id, _p.c.shared)).order_by(_p.c.id).limit(limit)
        if after_id:
            query = query.where(_p.c.id > after_id)
        async with self._database.read() as connection:
            return [_prompt(row) for row in await connection.execute(query)]

    async def one(self, prompt_id: str) -> KeptPrompt | None:
        async with self._database.read() as connection:
            found = (await connection.execute(sa.select(_p).where(_p.c.id == prompt_id))).one_or_none()
            return _prompt(found) if found is not None else None

    async def change(self, prompt: KeptPrompt) -> None:
        async with self._database.write() as connection:
            values = {"name": prompt.name, "text": prompt.text, "shared": prompt.shared}
            await connection.execute(sa.update(_p).where(_p.c.id == prompt.id).values(values))

    async def add(self, prompt: KeptPrompt, most: int) -> bool:
        async with self._database.write() as connection:
            lock = sa.select(_u.c.id).where(_u.c.id == prompt.owner_id)
            await connection.execute(lock.with_for_update() if self._database.postgresql else lock)
            has = await connection.scalar(
                sa.select(sa.func.count()).select_from(_p).where(_p.c.owner_id == prompt.owner_id)
            )
            if (has or 0) >= most:
                return False
            now = await self._database.now(connection)
            await connection.execute(
                sa.insert(_p).values(
                    id=prompt.id,
                    owner_id=prompt.owner_id,
                    name=prompt.name,
                    text=prompt.text,
                    shared=prompt.shared,
                    created_at=now,
                )
            )
        return True

    async def delete(self, prompt_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(sa.delete(_p).where(_p.c.id == prompt_id))


def _prompt(row: Any) -> KeptPrompt:
    return KeptPrompt(str(row.id), str(row.owner_id), row.name, row.text, bool(row.shared))
