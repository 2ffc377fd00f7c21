"""python -m app check: does what Parley does with everything that the settings name, undoes it, and says in words what is
wrong and what to do."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import httpx2
import sqlalchemy as sa
from redis.exceptions import ResponseError

from app.adapters.broker.rabbitmq.connection import connect as connect_broker
from app.adapters.broker.rabbitmq.connection import declare, refusal
from app.adapters.lost import causes
from app.adapters.policy.cedar import CedarPolicies
from app.adapters.redis_connection import connect
from app.adapters.store import tables as t
from app.adapters.store.address import BadAddress
from app.adapters.store.database import Database, to_time
from app.adapters.store.migrate import Pooled, check_direct, lanes_of
from app.application.clock import utc_now
from app.application.lanes import Lanes
from app.application.ports.model import Delta, Finish, ModelFailed, Prompt, Thinking, Turn
from app.domain.ids import DEFAULT_PROVIDER
from app.infrastructure.providers import provider_settings
from app.infrastructure.settings import Settings, SettingsError, check_world, listed
from app.infrastructure.wiring import make_database, make_model, policies_folder

DEADLINE_S = 8.0
FREE_BYTES_MIN = 512 * 2**20
CLOCK_DIFFERS_S_MAX = 5.0
_SQLITE = ("open database file", "readonly", "disk", "locked", "not a database", "malformed")
"""What is the surroundings' fault; else it is ours."""
POOLED = (
    "a pooler such as PgBouncer stands before the database, and what one session is told another would hear: let"
    " DATABASE_URL lead to PostgreSQL itself; a process holds DATABASE_POOL connections at most"
)
_ADVICE = {
    "ConnectionRefusedError": "nothing listens there: is it running, and is the address right?",
    "ConnectError": "nothing listens there: is it running, and is the address right?",
    "ConnectionError": "nothing listens there: is it running, and is the address right?",
    "gaierror": "this name is unknown here: is the address right?",
    "InvalidPasswordError": "the database refuses the name or the password",
    "AuthenticationError": "it refuses the name or the password",
    "ProbableAuthenticationError": "it refuses the name or the password",
    "PermissionError": "it refuses the key",
    "TimeoutError": "it doesn't answer in time: a firewall, or too busy?",
    "InvalidCatalogNameError": "there is no such database: create it first",
    "InvalidAuthorizationSpecificationError": "the database refuses this name from here",
    "InsufficientPrivilegeError": "this name may not do that there: grant it rights on the database and its schema",
    "ReadOnlySQLTransactionError": "the database is read only: a standby, or set so?",
    "ProtocolViolationError": POOLED,
    "DiskFullError": "the database's disk is full",
    "TooManyConnectionsError": "the database takes no more connections: a smaller DATABASE_POOL, or a larger max_connections",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """name: of the part. finding: a sentence; where it isn't good, with what to do."""

    name: str
    good: bool
    finding: str


class _Bad(Exception):
    """In words, with what to do."""


async def check(settings: Settings) -> AsyncIterator[Finding]:
    """Each part, as it was found. Raises SettingsError for half a world."""
    check_world(settings, "all")
    for name, look in _looks(settings):
        try:
            async with asyncio.timeout(DEADLINE_S):
                yield Finding(name, True, await look())
        except Exception as error:
            yield Finding(name, False, _why(error))


def _looks(settings: Settings) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    looks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("policies", lambda: _policies(settings)),
        ("files", lambda: _files(settings)),
        ("database", lambda: _database(settings)),
    ]
    if settings.database_read_url:
        looks.append(("read replica", lambda: _replica(settings)))
    if not settings.embedded:
        looks.append((f"broker {_place(settings.broker_url)}", lambda: _broker(settings)))
        looks.append((f"Redis {_place(settings.redis_url)}", lambda: _redis(settings)))
    looks.append(("assistant", lambda: _model(settings)))
    for name in provider_settings(settings):
        if name != DEFAULT_PROVIDER:
            looks.append((f"provider {name}", partial(_model, settings, name)))
    if settings.otel_exporter_otlp_endpoint:
        looks.append((f"traces {settings.otel_exporter_otlp_endpoint}", lambda: _traces(settings)))
    return looks


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def advice(error: BaseException) -> str | None:
    """Of the first cause that we have any for; never what a URL holds."""
    for one in causes(error):
        cause = getattr(one, "orig", one)
        if isinstance(cause, sqlite3.Error) and any(words in str(cause) for words in _SQLITE):
            return f"SQLite says: {cause}"
        if type(cause).__name__ in _ADVICE:
            return _ADVICE[type(cause).__name__]
    return None


def _why(error: BaseException) -> str:
    if isinstance(error, (_Bad, BadAddress, SettingsError)):
        return str(error)
    return refusal(error) or advice(error) or (str(error) if isinstance(error, ValueError) else type(error).__name__)


async def _policies(settings: Settings) -> str:
    return f"version {CedarPolicies(policies_folder(settings)).version}"


async def _files(settings: Settings) -> str:
    """Embedded: the folder is ours, writable, and has room."""
    if not settings.embedded:
        return "none are kept: everything is on the servers"
    folder = settings.data_dir
    beside = folder if folder.exists() else folder.resolve().parent
    if not os.access(beside, os.W_OK | os.X_OK):
        raise _Bad(f"{beside} can't be written by this user: give it to them, or set DATA_DIR")
    free = shutil.disk_usage(beside).free
    if free < FREE_BYTES_MIN:
        raise _Bad(f"{beside} has {free // 2**20} MiB free: make room, below {FREE_BYTES_MIN // 2**20} it is soon full")
    open_to = [f"{path.name} ({stat.S_IMODE(path.stat().st_mode):o})" for path in (folder, folder / "jwt_secret", folder / "parley.db")
               if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]  # fmt: skip
    if open_to:
        raise _Bad(f"others on this machine may read {', '.join(open_to)}: chmod go= them")
    return f"{beside} is writable, {free // 2**30} GiB are free"


async def _database(settings: Settings) -> str:
    if settings.embedded and not (settings.data_dir / "parley.db").exists() and not settings.database_url:
        return f"SQLite in {settings.data_dir}, made at the first start"
    database = make_database(settings)
    try:
        if database.postgresql:
            await check_direct(database)
        async with database.read() as connection:
            version = await connection.scalar(
                sa.text("select version()" if database.postgresql else "select 'SQLite ' || sqlite_version()")
            )
            there = await connection.scalar(
                sa.text("select now()" if database.postgresql else "select strftime('%Y-%m-%dT%H:%M:%fZ')")
            )
            tables = await connection.run_sync(lambda c: sa.inspect(c).get_table_names())
        differs = abs((to_time(there) - utc_now()).total_seconds())
        if differs > CLOCK_DIFFERS_S_MAX:
            raise _Bad(
                f"this machine's clock is {differs:.0f} s from the database's: let both follow a time server (NTP)"
            )
        named = str(version).partition(" (")[0]
        if "alembic_version" not in tables:
            await _writes(database, "create table parley_check (id int)")
            return f"{named}, empty: the schema is made at the first start"
        async with database.read() as connection:
            revision = await connection.scalar(sa.text("select version_num from alembic_version"))
            shards = await connection.scalar(sa.select(sa.func.count()).select_from(t.shards))
        if shards != settings.command_shards:
            raise _Bad(f"laid out for {shards} shards: set COMMAND_SHARDS={shards}, or see `python -m app shards`")
        await _writes(database, "insert into meta (key, value) values ('check', '')")
        return f"{named}, schema {revision}, {shards} shards, takes writes"
    except Pooled:
        raise _Bad(POOLED) from None
    finally:
        await database.close()


class _Undo(Exception):
    """What was tried is rolled back."""


async def _writes(database: Database, statement: str) -> None:
    try:
        async with database.write() as connection:
            await connection.execute(sa.text(statement))
            raise _Undo
    except _Undo:
        return


async def _lanes(settings: Settings) -> Lanes:
    """As the database has them; of one that isn't there yet, as it will."""
    shards = settings.command_shards
    database = make_database(settings)
    try:
        async with database.read() as connection:
            return Lanes(shards, await lanes_of(connection, shards))
    except Exception:
        return Lanes(shards, min(settings.command_lanes, shards))
    finally:
        await database.close()


async def _replica(settings: Settings) -> str:
    database = Database(settings.database_read_url)
    try:
        async with database.read() as connection:
            if database.postgresql and not await connection.scalar(sa.text("select pg_is_in_recovery()")):
                return "answers, but is no standby: is it the primary's address?"
            await connection.execute(sa.select(t.meta).limit(1))
            behind = await connection.scalar(
                sa.text("select coalesce(extract(epoch from now() - pg_last_xact_replay_timestamp()), 0)")
            )
        return f"a standby, at most {float(behind or 0):.0f} s behind"
    finally:
        await database.close()


async def _broker(settings: Settings) -> str:
    """As gateways and workers use it: declare, publish with a confirm, consume."""
    lanes = await _lanes(settings)
    connection = await connect_broker(settings.broker_url, "parley check")
    async with connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        await declare(channel, lanes)
        name = f"commands.check.{uuid.uuid4().hex[:8]}"
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True)
        await channel.default_exchange.publish(aio_pika.Message(b"check"), name, mandatory=True)
        message = await queue.get(timeout=DEADLINE_S, fail=False)
        if message is None or message.body != b"check":
            raise _Bad("what was published there doesn't come back: look at the broker's policies for commands.*")
        await message.ack()
    return f"{lanes.count} queues are there, takes and gives messages"


async def _redis(settings: Settings) -> str:
    """As gateways and assistants use it: keys, a script, a channel."""
    client = connect(settings.redis_url)
    key = f"reply:check:{uuid.uuid4().hex[:8]}"
    try:
        try:
            pubsub = client.pubsub()
            await pubsub.subscribe(f"chat:{key}")
            await client.set(key, "1", ex=10)
            script = client.register_script("redis.call('PUBLISH', ARGV[1], redis.call('GET', KEYS[1])) return 1")
            await script(keys=[key], args=[f"chat:{key}"])
            heard: Any = None
            while heard is None or heard["type"] != "message":
                heard = await pubsub.get_message(timeout=DEADLINE_S)
            await client.delete(key)
            await pubsub.aclose()  # type: ignore[no-untyped-call]
        except ResponseError as error:
            raise _Bad(
                f"it refuses what we ask of it ({str(error)[:120]}): give the name keys, channels and scripts"
            ) from None
        try:
            info = await client.info("server")
        except ResponseError:
            info = {}
    finally:
        await client.aclose()
    return f"version {info.get('redis_version', '?')}, keeps keys, runs scripts, carries messages"


async def _model(settings: Settings, provider: str = DEFAULT_PROVIDER) -> str:
    """Asks for one token: what it costs is a few hundredths of a cent at most."""
    of = provider_settings(settings)[provider]
    if provider == DEFAULT_PROVIDER and not settings.has_model:
        return "the built-in demo (set OPENAI_API_KEY or OPENAI_BASE_URL for a model)"
    model = make_model(settings)
    asked = Prompt((Turn("user", "Say: ok"),), None, None, provider=provider)
    try:
        async with aclosing(model.stream(asked)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if isinstance(piece, (Delta, Thinking, Finish)):
                    break
    except ModelFailed as error:
        said = f" (it said: {error.said})" if error.said else ""
        where = "OPENAI_BASE_URL, OPENAI_API_KEY and ASSISTANT_MODEL"
        if provider != DEFAULT_PROVIDER:
            where = "its base_url, key and model in PROVIDERS"
        raise _Bad(f"{of.model} answers nothing: {error.reason}{said}. Are {where} right?") from None
    finally:
        await model.close()
    return f"{of.model} at {_place(of.base_url or 'https://api.openai.com')} answers"


async def _traces(settings: Settings) -> str:
    async with httpx2.AsyncClient(timeout=5) as http:
        await http.post(f"{listed(settings.otel_exporter_otlp_endpoint)[0].rstrip('/')}/v1/traces", content=b"")
    return "answers"
