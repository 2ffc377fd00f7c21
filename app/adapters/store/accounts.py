"""People, their sessions, refresh tokens and tickets. Of every secret only a hash is kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import uuid_utils.compat as uuid
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database, from_json, to_time
from app.adapters.together import Together
from app.application.ports.people import (
    Account,
    AuditEntry,
    LastOperator,
    LiveSession,
    RefreshTry,
    TicketUse,
    VouchedSession,
)
from app.domain.errors import ParleyError
from app.domain.text import NAME_MAX, clean_name, folded
from app.domain.values import UserKind

SESSIONS_MAX = 50
"""Live ones of a user; one more ends the oldest."""
_FOLDED_AT_ONCE = 500
_ENDED_KEPT_S = 7 * 86_400.0
"""How long a session that has ended is kept, with its refresh tokens."""

_VOUCHED_S = 86_400.0
"""How long a token of another issuer may live."""
_SESSIONS_TOGETHER = 100


class SqlAccounts:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._living = Together(self._of_sessions, _SESSIONS_TOGETHER)

    async def create(self, account: Account) -> bool:
        async with self._database.write() as connection:
            made = await connection.scalar(
                sa.text(
                    "insert into users (id, username, display_name, kind, role, password_hash, preferences, created_at,"
                    " folded_name, external_id, attributes, made_by) values (:id, :username, :display_name, :kind, :role,"
                    " :password_hash, :preferences, :created_at, :folded, :external_id, :attributes, :made_by)"
                    " on conflict do nothing returning 1"
                ).bindparams(
                    sa.bindparam("created_at", type_=t.Time()),
                    sa.bindparam("preferences", type_=t.Json),
                    sa.bindparam("attributes", type_=t.Json),
                    sa.bindparam("id", type_=t.Id),
                    sa.bindparam("made_by", type_=t.Id),
                ),
                {
                    "id": account.id,
                    "username": account.username,
                    "display_name": account.display_name,
                    "kind": account.kind,
                    "role": account.role,
                    "password_hash": account.password_hash,
                    "preferences": account.preferences,
                    "created_at": await self._database.now(connection),
                    "folded": folded(account.display_name),
                    "external_id": account.external_id,
                    "attributes": dict(account.attributes) or None,
                    "made_by": account.made_by,
                },
            )
        return made is not None

    async def by_name(self, username: str) -> Account | None:
        return await self._one("select * from users where username = :username", username=username)

    async def by_id(self, user_id: str) -> Account | None:
        return await self._one("select * from users where id = :id", id=user_id)

    async def of_session(self, session_id: str, user_id: str) -> Account | None:
        account = await self._living.ask(session_id)
        return account if account is not None and account.id == user_id else None

    async def _of_sessions(self, session_ids: Sequence[str]) -> dict[str, Account]:
        """Whose those are that live."""
        source, params = self._database.values("v", {"id": "uuid"}, [(session_id,) for session_id in session_ids])
        sql = (
            f"select s.id as session_id, u.* from {source} join sessions s on s.id = v.id join users u on u.id = s.user_id"
            " where s.ended_at is null and not u.disabled"
        )
        return {str(row.session_id): account_of(row) for row in await self._database.fetch(sql, params)}

    async def _one(self, sql: str, **params: str) -> Account | None:
        for row in await self._database.fetch(sql, params):
            return account_of(row)
        return None

    async def search(self, query: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, Account]]:
        u, name = t.users.c, folded(query)
        rank = sa.case((u.username == name, 0), (u.folded_name == name, 1), else_=2)
        found = sa.select(t.users, rank.label("rank")).where(~u.disabled, name_begins(query, self._database.postgresql))
        by_name = u.username.collate("C") if self._database.postgresql else u.username  # the same on every database
        if after is not None:
            found = found.where(sa.or_(rank > after[0], sa.and_(rank == after[0], by_name > after[1])))
        async with self._database.read() as connection:
            accounts = await connection.execute(found.order_by(rank, by_name).limit(limit))
            return [(row.rank, account_of(row)) for row in accounts]

    async def fold_names(self) -> None:
        u, last = t.users.c, ""
        while True:
            page = sa.select(u.username, u.display_name, u.folded_name).where(u.username > last)
            async with self._database.write() as connection:
                found = (await connection.execute(page.order_by(u.username).limit(_FOLDED_AT_ONCE))).all()
                for row in found:
                    shown = _as_stored_today(row.display_name, row.username)
                    if (row.display_name, row.folded_name) != (shown, name := folded(shown)):
                        same = sa.and_(u.username == row.username, u.display_name == row.display_name)
                        values = {"display_name": shown, "folded_name": name}
                        await connection.execute(sa.update(t.users).where(same).values(values))
            if len(found) < _FOLDED_AT_ONCE:
                return
            last = found[-1].username

    async def update(
        self,
        user_id: str,
        display_name: str | None,
        preferences: Callable[[dict[str, object]], dict[str, object]] | None,
        email: str | None = None,
    ) -> None:
        u = t.users
        values: dict[str, Any] = {}
        if display_name is not None:
            values |= {"display_name": display_name, "folded_name": folded(display_name)}
        if email is not None:
            values["email"] = email or None
        kept = sa.select(u.c.preferences).where(u.c.id == user_id)
        if self._database.postgresql:
            kept = kept.with_for_update()
        async with self._database.write() as connection:
            if preferences is not None:
                values["preferences"] = preferences(from_json(await connection.scalar(kept)) or {})
            if values:
                await connection.execute(sa.update(u).where(u.c.id == user_id).values(values))

    async def page(self, prefix: str, after_name: str, limit: int) -> list[Account]:
        u = t.users.c
        query = sa.select(t.users).where(u.username > after_name).order_by(u.username).limit(limit)
        if prefix:
            query = query.where(name_begins(prefix, self._database.postgresql))
        async with self._database.read() as connection:
            return [account_of(row) for row in await connection.execute(query)]

    async def made_by(self, user_id: str, after_name: str, limit: int) -> list[Account]:
        u = t.users.c
        query = sa.select(t.users).where(u.made_by == user_id, u.kind == UserKind.BOT, u.username > after_name)
        async with self._database.read() as connection:
            return [account_of(row) for row in await connection.execute(query.order_by(u.username).limit(limit))]

    async def end_keys(self, user_id: str) -> list[str]:
        s = t.sessions.c
        async with self._database.write() as connection:
            return await end_sessions(self._database, connection, s.user_id == user_id, s.is_key)

    async def change_password(self, user_id: str, password_hash: str, keep_session: str | None) -> list[str]:
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(t.users).where(t.users.c.id == user_id).values(password_hash=password_hash)
            )
            return await self._end_others(connection, user_id, keep_session)

    async def end_other_sessions(self, user_id: str, keep_session: str) -> list[str]:
        async with self._database.write() as connection:
            return await self._end_others(connection, user_id, keep_session)

    async def _end_others(self, connection: AsyncConnection, user_id: str, keep_session: str | None) -> list[str]:
        s = t.sessions.c
        others = [s.user_id == user_id, ~s.is_key] + ([s.id != keep_session] if keep_session is not None else [])
        return await end_sessions(self._database, connection, *others)

    async def rehash(self, account: Account, password_hash: str) -> bool:
        u = t.users.c
        same = sa.and_(u.id == account.id, u.password_hash == account.password_hash)
        async with self._database.write() as connection:
            done = await connection.execute(sa.update(t.users).where(same).values(password_hash=password_hash))
        return bool(done.rowcount)

    async def administer(
        self,
        actor_id: str | None,
        user_id: str,
        disabled: bool | None,
        role: str | None,
        quotas: Mapping[str, int | None] | None = None,
    ) -> list[str]:
        u = t.users
        changes: dict[str, Any] = {k: v for k, v in {"disabled": disabled, "role": role}.items() if v is not None}
        if not changes and not quotas:
            return []
        operators = sa.select(u.c.id).where(u.c.role == "operator", ~u.c.disabled).order_by(u.c.id)
        if self._database.postgresql:
            operators = operators.with_for_update()
        async with self._database.write() as connection:
            if (disabled or role == "user") and list(await connection.scalars(operators)) == [user_id]:
                raise LastOperator
            if quotas:
                kept = sa.select(u.c.quotas).where(u.c.id == user_id)
                if self._database.postgresql:
                    kept = kept.with_for_update()
                own = {**(await connection.scalar(kept) or {}), **quotas}
                changes["quotas"] = {name: quota for name, quota in own.items() if quota is not None}
            await connection.execute(sa.update(u).where(u.c.id == user_id).values(changes))
            await rows.write_down(
                connection, await self._database.now(connection), actor_id, "user.changed", user_id, changes
            )
            return await end_sessions(self._database, connection, t.sessions.c.user_id == user_id) if disabled else []

    async def write_down(self, actor_id: str | None, act: str, target_id: str, **details: object) -> None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            await rows.write_down(connection, now, actor_id, act, target_id, details)

    async def audit(self, before_id: str | None, limit: int) -> list[AuditEntry]:
        query = sa.select(t.audit).order_by(t.audit.c.id.desc()).limit(limit)
        if before_id is not None:
            query = query.where(t.audit.c.id < before_id)
        async with self._database.read() as connection:
            return [
                AuditEntry(row.id, row.at, row.actor_id, row.act, row.target_id, from_json(row.details))
                for row in await connection.execute(query)
            ]

    async def start_session(
        self,
        account: Account,
        refresh_hash: str,
        refresh_ttl_s: float,
        client: str,
        vouched: VouchedSession | None = None,
    ) -> str | None:
        session_id, u = str(uuid.uuid7()), t.users.c
        same = sa.select(u.id).where(u.id == account.id, u.password_hash == account.password_hash, ~u.disabled)
        if self._database.postgresql:
            same = same.with_for_update(read=True)
        async with self._database.write() as connection:
            if await connection.scalar(same) is None:
                return None
            now = await self._database.now(connection)
            issuer, issuer_session, vouched_id = vouched or (None, None, None)
            if vouched_id is not None:
                lives = sa.select(t.sessions.c.id).where(t.sessions.c.id == vouched_id, t.sessions.c.ended_at.is_(None))
                if self._database.postgresql:
                    lives = lives.with_for_update(read=True)
                if await connection.scalar(lives) is None:
                    return None
            await connection.execute(
                sa.insert(t.sessions).values(
                    id=session_id,
                    user_id=account.id,
                    created_at=now,
                    client=client[:200],
                    issuer=issuer,
                    issuer_session=issuer_session,
                )
            )
            await _add_refresh(connection, session_id, refresh_hash, now + timedelta(seconds=refresh_ttl_s))
            s = t.sessions.c
            refreshed = sa.exists().where(t.refresh_tokens.c.session_id == s.id)  # not those that an issuer speaks of
            live = sa.select(s.id).where(s.user_id == account.id, s.ended_at.is_(None), ~s.is_key, refreshed)
            oldest = live.order_by(s.created_at.desc(), s.id.desc()).offset(SESSIONS_MAX)
            await end_sessions(self._database, connection, s.id.in_(oldest))
        return session_id

    async def sessions(self, user_id: str, before_id: str | None, limit: int) -> list[LiveSession]:
        s, r = t.sessions.c, t.refresh_tokens.c
        async with self._database.read() as connection:
            now = await self._database.now(connection)
            good = sa.exists().where(r.session_id == s.id, r.expires_at > now)
            lately = s.last_used_at > now - timedelta(seconds=_VOUCHED_S)
            vouched = sa.and_(s.issuer.is_not(None), ~sa.exists().where(r.session_id == s.id), lately)
            query = sa.select(t.sessions).where(s.user_id == user_id, s.ended_at.is_(None), sa.or_(good, vouched))
            if before_id is not None:
                query = query.where(s.id < before_id)
            found = await connection.execute(query.order_by(s.id.desc()).limit(limit))  # ids grow with time
            return [LiveSession(row.id, row.created_at, row.last_used_at, row.client) for row in found]

    async def owns_session(self, user_id: str, session_id: str) -> bool:
        s = t.sessions.c
        async with self._database.read() as connection:
            found = sa.select(s.id).where(s.id == session_id, s.user_id == user_id, s.ended_at.is_(None))
            return await connection.scalar(found) is not None

    async def use_refresh(self, refresh_hash: str, new_hash: str, grace_s: float, ttl_s: float) -> RefreshTry | None:
        r, s = t.refresh_tokens, t.sessions
        query = (
            sa.select(r.c.session_id, r.c.used_at, r.c.expires_at, s.c.user_id)
            .select_from(r.join(s, s.c.id == r.c.session_id).join(t.users, t.users.c.id == s.c.user_id))
            .where(r.c.hash == refresh_hash, s.c.ended_at.is_(None), ~t.users.c.disabled)
        )
        if self._database.postgresql:
            query = query.with_for_update(of=r)
        async with self._database.write() as connection:
            row = (await connection.execute(query)).one_or_none()
            now = await self._database.now(connection)
            if row is None or row.expires_at <= now:
                return None
            if row.used_at is not None and row.used_at < now - timedelta(seconds=grace_s):
                await end_sessions(self._database, connection, s.c.id == row.session_id)
                return RefreshTry(row.session_id, row.user_id, replayed=True)
            await connection.execute(
                sa.update(r).where(r.c.hash == refresh_hash, r.c.used_at.is_(None)).values(used_at=now)
            )
            await connection.execute(sa.update(s).where(s.c.id == row.session_id).values(last_used_at=now))
            await _add_refresh(connection, row.session_id, new_hash, now + timedelta(seconds=ttl_s))
        return RefreshTry(row.session_id, row.user_id, replayed=False)

    async def was_refreshed_by(self, user_id: str, refresh_hash: str) -> bool:
        r, s = t.refresh_tokens, t.sessions
        found = sa.select(r.c.hash).select_from(r.join(s, s.c.id == r.c.session_id))
        async with self._database.read() as connection:
            row = await connection.scalar(found.where(r.c.hash == refresh_hash, s.c.user_id == user_id))
        return row is not None

    async def session_alive(self, session_id: str, user_id: str | None = None) -> bool:
        account = await self._living.ask(session_id)
        return account is not None and user_id in (None, account.id)

    async def end_session(self, session_id: str) -> None:
        async with self._database.write() as connection:
            await end_sessions(self._database, connection, t.sessions.c.id == session_id)

    async def prune(self) -> None:
        r, s, k = t.refresh_tokens, t.sessions, t.tickets
        kept = sa.exists().where(r.c.session_id == s.c.id)
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            await connection.execute(sa.delete(k).where(k.c.expires_at < now))
            await connection.execute(sa.delete(r).where(r.c.expires_at < now))
            await connection.execute(sa.delete(t.one_time_codes).where(t.one_time_codes.c.expires_at < now))
            over = sa.select(s.c.id).where(s.c.ended_at < now - timedelta(seconds=_ENDED_KEPT_S))
            await connection.execute(sa.delete(k).where(k.c.session_id.in_(over)))
            await connection.execute(sa.delete(r).where(r.c.session_id.in_(over)))
            a_week_ago = now - timedelta(seconds=_ENDED_KEPT_S)
            key_over = sa.and_(s.c.is_key, sa.or_(s.c.ended_at < a_week_ago, s.c.id.in_(_keys_over(a_week_ago))))
            # Of another issuer's session what matters is when a token of it was seen, and when it ended: it stays over.
            used = sa.func.coalesce(s.c.last_used_at, s.c.created_at) < a_week_ago
            ended = sa.or_(s.c.ended_at.is_(None), s.c.ended_at < a_week_ago)
            old = sa.and_(~s.c.is_key, s.c.created_at < a_week_ago, used, ended)
            without = sa.select(s.c.id).where(~kept, sa.or_(old, key_over))
            await connection.execute(sa.delete(k).where(k.c.session_id.in_(without)))
            await connection.execute(sa.delete(t.keys).where(t.keys.c.id.in_(without)))
            await connection.execute(sa.delete(s).where(s.c.id.in_(without)))

    async def add_ticket(self, ticket_hash: str, session_id: str, ttl_s: float) -> None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            await connection.execute(
                sa.insert(t.tickets).values(
                    hash=ticket_hash, session_id=session_id, expires_at=now + timedelta(seconds=ttl_s)
                )
            )

    async def use_ticket(self, ticket_hash: str) -> TicketUse | None:
        k, s = t.tickets, t.sessions
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            row = (
                await connection.execute(
                    sa.delete(k).where(k.c.hash == ticket_hash, k.c.expires_at > now).returning(k.c.session_id)
                )
            ).one_or_none()
            if row is None:
                return None
            found = (
                await connection.execute(
                    sa.select(s.c.user_id, t.keys.c.scopes, t.keys.c.expires_at)
                    .select_from(s.outerjoin(t.keys, t.keys.c.id == s.c.id))
                    .where(s.c.id == row.session_id, s.c.ended_at.is_(None))
                )
            ).one_or_none()
        if found is None:
            return None
        scopes = frozenset(found.scopes) if found.scopes is not None else None
        left_s = (found.expires_at - now).total_seconds() if found.expires_at is not None else None
        return TicketUse(row.session_id, found.user_id, scopes, left_s)


async def end_sessions(database: Database, connection: AsyncConnection, *which: sa.ColumnElement[bool]) -> list[str]:
    """End these sessions, and leave it where the gateways' poll finds it. Their ids."""
    ended = list(
        await connection.scalars(
            sa.update(t.sessions)
            .where(*which, t.sessions.c.ended_at.is_(None))
            .values(ended_at=await database.now(connection))
            .returning(t.sessions.c.id)
        )
    )
    if database.postgresql and ended:
        await connection.execute(
            sa.text(
                "insert into batches (heads, users, refused, revoked) values ('{}', '[]', '[]', cast(:ended as jsonb))"
            ),
            {"ended": database.json(ended)},
        )
    return ended


def _keys_over(before: datetime) -> sa.Select[Any]:
    return sa.select(t.keys.c.id).where(t.keys.c.expires_at < before)


def name_begins(query: str, postgresql: bool) -> sa.ColumnElement[bool]:
    """Username or display name, as texts are compared; a row of an older version as its database lowers it, until
    `fold_names` was there. On PostgreSQL the bounds are what the indexes of patterns serve."""
    u, begin = t.users.c, folded(query)
    escaped = begin.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"

    def has(column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        like = column.like(escaped, escape="\\")
        if not postgresql:
            return like
        return sa.and_(like, column.op("~>=~")(begin), column.op("~<~")(f"{begin}\U0010ffff"))

    older = sa.and_(u.folded_name.is_(None), sa.func.lower(u.display_name).like(escaped, escape="\\"))
    return sa.or_(has(u.username), has(u.folded_name), older)


async def _add_refresh(connection: AsyncConnection, session_id: str, hash_: str, expires_at: datetime) -> None:
    await connection.execute(
        sa.insert(t.refresh_tokens).values(hash=hash_, session_id=session_id, expires_at=expires_at)
    )


def _as_stored_today(display_name: str, username: str) -> str:
    """NFC makes some names longer: they are cut, as new ones may not be."""
    shown = unicodedata.normalize("NFC", display_name).strip()[:NAME_MAX]
    try:
        return clean_name(shown, NAME_MAX)
    except ParleyError:
        return username


def account_of(row: Any) -> Account:
    return Account(
        id=str(row.id),
        username=row.username,
        display_name=row.display_name,
        kind=row.kind,
        role=row.role,
        preferences=from_json(row.preferences),
        password_hash=row.password_hash,
        disabled=bool(row.disabled),
        created_at=to_time(row.created_at),
        quotas=from_json(row.quotas) or {},
        email=row.email,
        external_id=row.external_id,
        attributes=from_json(row.attributes) or {},
        made_by=rows.text_or_none(row.made_by),
    )
