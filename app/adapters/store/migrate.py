"""The schema at start: migrations under a lock, the number of shards and lanes, the built-in assistant, the database's name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import sqlalchemy as sa
import uuid_utils.compat as uuid
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.adapters.store.driver_errors import Error, kind_of
from app.adapters.store.workers import ALIVE
from app.application.clock import utc_now
from app.application.ports.errors import Transient
from app.domain.ids import ASSISTANT_ID, ASSISTANT_NAME, DEFAULT_PROVIDER
from app.domain.values import AskedBy, UserKind

_LOCK = 0x5061726C6579
_TRIES = 30
LANES = 2
"""Of a new database: as many as workers may share; two are faster than eight (docs/performance.md)."""
_INDEXED_ANEW = (
    "select exists (select from meta where key = 'indexed' and value <> '' and value::json->'all_after' is null)"
    " and not exists (select from indexed where low > 0)"
)
_DEADLINE_S = 600.0
CONCURRENT_INDEXES = {
    "ix_users_folded_name": "on users (folded_name text_pattern_ops)",
    "ix_users_username_pattern": "on users (username text_pattern_ops)",
    "ix_changes_leaving": "on changes (chat_id, seq) where type = 'member.removed'",
    "ix_members_ambient": "on members (chat_id) where attention = 'ambient'",
    "ix_replies_spoken": "on replies (chat_id, assistant_id, asked_at)",
    "ix_sessions_issuer_session": "on sessions (issuer_session) where issuer_session is not null",
    "ix_users_made_by": "on users (made_by) where made_by is not null",
    "ix_changes_remarks": "on changes (chat_id, message_id) where type = 'reply.steered'",
}
OBSOLETE_INDEXES = ("ix_messages_words",)
"""Of versions before; they go when the words are indexed anew: until then older processes beside us search by them."""


class ShardsDiffer(Exception):
    """The database was laid out for another number of shards."""


class LanesInUse(Exception):
    """Who is at work would go on by the lanes as they were."""


class Pooled(Exception):
    """Between us and the database stands what gives a session to several: settings, prepared statements and the shards'
    locks of one would be another's."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


async def migrate(database: Database, shards: int, revision: str = "head", *, lanes: int = LANES) -> int:
    """Bring the schema to `revision` and seed what every process needs. Several at once are fine: one does it. lanes: for
    a database that is new. The number of lanes that this one is laid out for.

    A lock that another transaction holds is waited for 2 s, then all is tried again: no migration blocks the
    traffic for longer.
    """
    for attempt in range(_TRIES):
        try:
            if database.postgresql and revision == "head":
                await check_direct(database)
            laid_out = await _migrate(database, shards, revision, lanes)
            if database.postgresql and revision == "head":
                await _build_indexes(database)
            return laid_out
        except Transient as error:
            cause = error.__cause__
            if cause is not None and kind_of(cause) is Error.REFUSED:
                raise cause from cause.__cause__
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(0.5)
    raise AssertionError("the last try raises")


async def check_direct(database: Database) -> None:
    """Raises Pooled, Transient: a standby may be promoted soon. A pooler makes up the number by which a session could be
    cancelled."""
    try:
        driver = await database.connect()
    except Exception as error:
        if kind_of(error) is Error.PASSES:
            raise Transient(type(error).__name__) from error
        raise
    try:
        if await driver.fetchval("select pg_backend_pid()") != driver.get_server_pid():
            raise Pooled
        if await driver.fetchval("select pg_is_in_recovery()"):
            raise asyncpg.ReadOnlySQLTransactionError("a standby")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Transient(type(error).__name__) from error
    finally:
        driver.terminate()


async def _migrate(database: Database, shards: int, revision: str, lanes: int) -> int:
    async with database.write(_DEADLINE_S) as connection:
        if database.postgresql:
            await connection.execute(sa.text("set local lock_timeout = '2s'"))
            await connection.execute(sa.text("set local statement_timeout = '60s'"))
            await connection.execute(sa.text(f"select pg_advisory_xact_lock({_LOCK})"))
        await connection.run_sync(_upgrade, revision)
        if revision == "head":
            await connection.run_sync(_seed, shards, lanes)
            return await lanes_of(connection, shards)
        return shards


async def lanes_of(connection: AsyncConnection, shards: int) -> int:
    """Versions before lanes had a queue a shard, and wrote no number down."""
    found = await connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.key == "lanes"))
    return int(found) if found is not None else shards


def _upgrade(connection: sa.Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(config)
    known = {found.revision for found in script.walk_revisions()}
    if current is not None and current not in known:
        return  # a newer version was here; migrations are additive, so this one still works
    if revision == "head":
        command.upgrade(config, "head")
    else:
        command.downgrade(config, revision)


def _seed(connection: sa.Connection, shards: int, lanes: int) -> None:
    if connection.scalar(sa.select(t.meta.c.value).where(t.meta.c.key == "data_id")) is None:
        connection.execute(sa.insert(t.meta).values(key="data_id", value=str(uuid.uuid7())))
    present = set(connection.scalars(sa.select(t.shards.c.id)))
    if not present:
        connection.execute(sa.insert(t.shards), [{"id": shard} for shard in range(shards)])
        connection.execute(sa.insert(t.meta).values(key="lanes", value=str(min(lanes, shards))))
    elif present != set(range(shards)):
        raise ShardsDiffer(
            f"the database is laid out for {len(present)} shards, COMMAND_SHARDS says {shards}:"
            f" set it to {len(present)}, or stop all gateways and run `python -m app shards {shards}`"
        )
    if connection.scalar(sa.select(t.users.c.id).where(t.users.c.id == ASSISTANT_ID)) is None:
        connection.execute(
            sa.insert(t.users).values(
                id=ASSISTANT_ID,
                username=ASSISTANT_NAME,
                display_name="Assistant",
                kind=UserKind.ASSISTANT,
                preferences={},
                created_at=utc_now(),
            )
        )
    v = t.assistant_versions
    if connection.scalar(sa.select(v.c.version).where(v.c.assistant_id == ASSISTANT_ID).limit(1)) is None:
        connection.execute(
            sa.insert(v).values(
                assistant_id=ASSISTANT_ID,
                version=1,
                display_name="Assistant",
                provider=DEFAULT_PROVIDER,
                parameters={},
                asked_by=AskedBy.EVERYONE,
                listed=[],
                created_at=utc_now(),
            )
        )


async def _build_indexes(database: Database) -> None:
    """Indexes that take long on a large table, built beside the traffic. One process does it; the others go on: what
    needs the index works without it, only slower."""
    driver = await database.connect(bounded=False)
    try:
        if not await driver.fetchval("select pg_try_advisory_lock($1)", _LOCK + 1):
            return
        for name, sql in CONCURRENT_INDEXES.items():
            valid = await driver.fetchval("select indisvalid from pg_index where indexrelid = to_regclass($1)", name)
            if valid is False:  # left by a build that was broken off
                await driver.execute(f"drop index concurrently {name}")
            if not valid:
                await driver.execute(f"create index concurrently {name} {sql}")
        if await driver.fetchval(_INDEXED_ANEW):
            for name in OBSOLETE_INDEXES:
                await driver.execute(f"drop index concurrently if exists {name}")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Transient(type(error).__name__) from error
    finally:
        await driver.close(timeout=5)


async def change_shards(database: Database, shards: int) -> None:
    """Lay the database out for another number of shards. Gateways must be stopped and the queues empty."""
    async with database.write() as connection:
        await connection.execute(sa.delete(t.shards))
        await connection.execute(sa.insert(t.shards), [{"id": shard} for shard in range(shards)])
        lanes = sa.cast(t.meta.c.value, sa.Integer())
        await connection.execute(
            sa.update(t.meta).where(t.meta.c.key == "lanes", lanes > shards).values(value=str(shards))
        )


async def change_lanes(database: Database, lanes: int) -> None:
    """Have so many queues carry the shards. All processes must be stopped and the queues empty: a chat's commands must never
    wait in two. Raises LanesInUse where a worker lives, ValueError for more lanes than shards."""
    async with database.write() as connection:
        shards = await connection.scalar(sa.select(sa.func.count()).select_from(t.shards)) or 0
        if not 1 <= lanes <= shards:
            raise ValueError(f"there are {shards} shards: 1 to {shards} lanes can carry them")
        if await connection.scalar(sa.text(f"select 1 from workers where seen_at > now() - {ALIVE} limit 1")):
            raise LanesInUse(
                "a worker lives: stop the gateways and assistant workers, let the queues run empty, stop the workers"
            )
        await connection.execute(sa.delete(t.meta).where(t.meta.c.key == "lanes"))
        await connection.execute(sa.insert(t.meta).values(key="lanes", value=str(lanes)))


async def change_epoch(database: Database) -> None:
    """A step of restoring a copy: clients that were ahead of it start their chats anew."""
    async with database.write() as connection:
        await connection.execute(sa.update(t.meta).where(t.meta.c.key == "data_id").values(value=str(uuid.uuid7())))
