"""Users and chats by what a host calls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.accounts import account_of, end_sessions
from app.adapters.store.database import Database
from app.application.other_issuers import username_of
from app.application.ports.external import PutUser, WantedUser
from app.application.ports.people import Account
from app.domain.errors import Code
from app.domain.ids import external_user_id
from app.domain.text import folded
from app.domain.values import UserKind

ERASED_NAME = "Deleted user"


def names_for(external_id: str) -> tuple[str, ...]:
    """Usernames for who comes without one, the first that is free."""
    name, id_ = username_of(external_id), external_user_id(external_id).replace("-", "")
    return name, f"{name[:25]}-{id_[:6]}", f"{name[:19]}-{id_[:12]}"


_u, _c = t.users, t.external_chats
_AT_ONCE = 500


class SqlExternal:
    """Implements External."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_users(self, actor_id: str, wanted: Sequence[WantedUser]) -> list[PutUser]:
        async with self._database.write() as connection:
            ids = [external_user_id(one.external_id) for one in wanted]
            there = await self._by_id(connection, ids)
            names = [
                name for one in wanted for name in ((one.username,) if one.username else names_for(one.external_id))
            ]
            taken = await self._taken(connection, names)
            made = []
            for one, id_ in zip(wanted, ids, strict=True):
                done = await self._put(connection, actor_id, id_, one, there, taken)
                if done.account is not None:
                    there[id_] = (done.account, False)
                    taken[done.account.username] = id_
                made.append(done)
            return made

    async def _by_id(self, connection: AsyncConnection, ids: Sequence[str]) -> dict[str, tuple[Account, bool]]:
        """Each with whether it is erased."""
        found: dict[str, tuple[Account, bool]] = {}
        for start in range(0, len(ids), _AT_ONCE):
            query = sa.select(_u).where(_u.c.id.in_(ids[start : start + _AT_ONCE]))
            query = query.order_by(_u.c.id).with_for_update() if self._database.postgresql else query
            for row in await connection.execute(query):
                found[str(row.id)] = (account_of(row), row.erased_at is not None)
        return found

    async def _taken(self, connection: AsyncConnection, names: Sequence[str]) -> dict[str, str]:
        """Username → whose it is."""
        found: dict[str, str] = {}
        for start in range(0, len(names), _AT_ONCE):
            query = sa.select(_u.c.username, _u.c.id).where(_u.c.username.in_(names[start : start + _AT_ONCE]))
            found |= {row.username: str(row.id) for row in await connection.execute(query)}
        return found

    async def _put(
        self,
        connection: AsyncConnection,
        actor_id: str,
        id_: str,
        one: WantedUser,
        there: dict[str, tuple[Account, bool]],
        taken: dict[str, str],
    ) -> PutUser:
        before, erased = there.get(id_, (None, False))
        if erased:
            return PutUser(None, code=Code.CONFLICT, reason="this user was erased")
        if one.username is not None and taken.get(one.username, id_) != id_:
            return PutUser(None, code=Code.CONFLICT, reason="this username is taken")
        if before is not None and before.role == "operator" and one.disabled not in (None, before.disabled):
            return PutUser(None, code=Code.NOT_ALLOWED, reason="operators are disabled by operators")
        now = await self._database.now(connection)
        values: dict[str, Any] = {}
        if one.username is not None:
            values["username"] = one.username
        if one.display_name is not None:
            values |= {"display_name": one.display_name, "folded_name": folded(one.display_name)}
        if one.attributes is not None:
            values["attributes"] = dict(one.attributes)
        if one.disabled is not None:
            values["disabled"] = one.disabled
        if one.email is not None:
            values["email"] = one.email
        if before is None:
            if one.username is None:
                free = [name for name in names_for(one.external_id) if taken.get(name, id_) == id_]
                values["username"] = free[0] if free else f"user-{id_.replace('-', '')[:24]}"
            shown = one.display_name or values["username"]
            new = {"display_name": shown, "folded_name": folded(shown), "external_id": one.external_id}
            row = {"id": id_, "kind": UserKind.HUMAN, "preferences": {}, "created_at": now, **values, **new}
            insert = postgresql.insert if self._database.postgresql else sqlite.insert
            done = await connection.execute(insert(_u).values(row).on_conflict_do_nothing())
            if not done.rowcount:
                return PutUser(None, code=Code.CONFLICT, reason="this username is taken")
            await rows.write_down(connection, now, actor_id, "user.created", id_, {"external_id": one.external_id})
            return PutUser(await self._read(connection, id_), made=True)
        differs = {name: value for name, value in values.items() if getattr(before, name, value) != value}
        if not differs:
            return PutUser(before)
        if "username" in differs:
            mine = sa.select(_u.c.id).where(_u.c.username == differs["username"])
            if await connection.scalar(mine) not in (None, id_):
                return PutUser(None, code=Code.CONFLICT, reason="this username is taken")
        await connection.execute(sa.update(_u).where(_u.c.id == id_).values(values))
        told = {name: value for name, value in differs.items() if name not in ("attributes", "email")}
        await rows.write_down(connection, now, actor_id, "user.changed", id_, told)
        ended: list[str] = []
        if differs.get("disabled"):
            ended = await end_sessions(self._database, connection, t.sessions.c.user_id == id_)
        renamed = "display_name" in differs or "username" in differs
        return PutUser(await self._read(connection, id_), renamed=renamed, ended=tuple(ended))

    async def _read(self, connection: AsyncConnection, id_: str) -> Account:
        return account_of((await connection.execute(sa.select(_u).where(_u.c.id == id_))).one())

    async def user(self, external_id: str) -> Account | None:
        async with self._database.read() as connection:
            query = sa.select(_u).where(_u.c.id == external_user_id(external_id))
            row = (await connection.execute(query)).one_or_none()
        return account_of(row) if row is not None else None

    async def ids_of(self, external_ids: Sequence[str]) -> dict[str, str]:
        wanted = {external_user_id(external_id): external_id for external_id in external_ids}
        query = sa.select(_u.c.id).where(_u.c.id.in_(list(wanted)), _u.c.erased_at.is_(None))
        async with self._database.read() as connection:
            return {wanted[str(id_)]: str(id_) for id_ in await connection.scalars(query)}

    async def external_ids(self, user_ids: Sequence[str]) -> dict[str, str]:
        query = sa.select(_u.c.id, _u.c.external_id).where(_u.c.id.in_(user_ids), _u.c.external_id.is_not(None))
        async with self._database.read() as connection:
            return {str(row.id): row.external_id for row in await connection.execute(query)}

    async def erase(self, actor_id: str, user_id: str) -> list[str] | None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            done = await connection.execute(
                sa.update(_u)
                .where(_u.c.id == user_id, _u.c.erased_at.is_(None))
                .values(
                    erased_at=now,
                    disabled=True,
                    username=f"deleted-{user_id.replace('-', '')[:16]}",
                    display_name=ERASED_NAME,
                    folded_name=folded(ERASED_NAME),
                    password_hash=None,
                    email=None,
                    attributes=sa.null(),
                    preferences={},
                )
            )
            if not done.rowcount:
                return None
            names = sa.and_(t.audit.c.target_id == user_id, t.audit.c.act.in_(("user.changed", "user.created")))
            await connection.execute(sa.update(t.audit).where(names).values(details={}))
            await rows.write_down(connection, now, actor_id, "user.erased", user_id, {})
            return await end_sessions(self._database, connection, t.sessions.c.user_id == user_id)

    async def all_read(self, chat_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                sa.text(
                    "insert into reads (chat_id, user_id, seq) select m.chat_id, m.user_id, c.head from members m"
                    " join chats c on c.id = m.chat_id where m.chat_id = :chat_id"
                    " on conflict (chat_id, user_id) do update set seq = excluded.seq where reads.seq < excluded.seq"
                ).bindparams(sa.bindparam("chat_id", type_=t.Id)),
                {"chat_id": chat_id},
            )

    async def chat_id(self, external_id: str) -> str | None:
        async with self._database.read() as connection:
            found = await connection.scalar(sa.select(_c.c.chat_id).where(_c.c.external_id == external_id))
        return str(found) if found is not None else None

    async def call_chat(self, external_id: str, chat_id: str) -> str:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            insert = postgresql.insert if self._database.postgresql else sqlite.insert
            row = {"external_id": external_id, "chat_id": chat_id, "created_at": now}
            upsert = insert(_c).values(row)
            # One that was refused left a name without a chat.
            none_there = sa.text("not exists (select 1 from chats where chats.id = external_chats.chat_id)")
            keep = upsert.on_conflict_do_update(
                index_elements=["external_id"], set_={"chat_id": upsert.excluded.chat_id}, where=none_there
            )
            await connection.execute(keep)
            return str(await connection.scalar(sa.select(_c.c.chat_id).where(_c.c.external_id == external_id)))
