"""python -m app check: connects to everything that the settings name, and says in words what is wrong."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aio_pika
import httpx2
import sqlalchemy as sa

from app.adapters.broker.rabbitmq.connection import declare
from app.adapters.policy.cedar import CedarPolicies
from app.adapters.redis_connection import connect
from app.adapters.store import tables as t
from app.infrastructure.settings import Settings, check_world, listed
from app.infrastructure.wiring import POLICIES, make_database

DEADLINE_S = 8.0
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
    "InvalidPasswordError": "it refuses the name or the password",
    "AuthenticationError": "it refuses the name or the password",
    "ProbableAuthenticationError": "it refuses the name or the password",
    "PermissionError": "it refuses the key",
    "TimeoutError": "it doesn't answer in time: a firewall, or too busy?",
    "InvalidCatalogNameError": "there is no such database: create it first",
    "InvalidAuthorizationSpecificationError": "it refuses this name from here",
    "InsufficientPrivilegeError": "this name may not do that there: grant it rights on the database and its schema",
    "ReadOnlySQLTransactionError": "the database is read only: a standby, or set so?",
    "ProtocolViolationError": POOLED,
    "DiskFullError": "the database's disk is full",
    "TooManyConnectionsError": "the database takes no more connections: a smaller DATABASE_POOL, or a larger max_connections",
}


async def check(settings: Settings, say: Callable[[str], None]) -> bool:
    """One line for each thing; whether all of it is good. Raises SettingsError for half a world."""
    check_world(settings, "all")
    good = True
    for name, look in _looks(settings):
        try:
            async with asyncio.timeout(DEADLINE_S):
                say(f"ok   {name}: {await look()}")
        except Exception as error:
            good = False
            say(f"BAD  {name}: {_why(error)}")
    return good


def _looks(settings: Settings) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    looks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("policies", lambda: _policies()),
        ("database", lambda: _database(settings)),
    ]
    if not settings.embedded:
        looks.append((f"broker {_place(settings.broker_url)}", lambda: _broker(settings)))
        looks.append((f"Redis {_place(settings.redis_url)}", lambda: _redis(settings)))
    looks.append(("assistant", lambda: _model(settings)))
    if settings.otel_exporter_otlp_endpoint:
        looks.append((f"traces {settings.otel_exporter_otlp_endpoint}", lambda: _traces(settings)))
    return looks


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def advice(error: BaseException) -> str | None:
    """Of the first cause that we have any for; never what a URL holds."""
    seen: BaseException | None = error
    while seen is not None:
        cause = getattr(seen, "orig", seen)
        if isinstance(cause, sqlite3.Error) and any(words in str(cause) for words in _SQLITE):
            return f"SQLite says: {cause}"
        if type(cause).__name__ in _ADVICE:
            return _ADVICE[type(cause).__name__]
        seen = seen.__cause__ or seen.__context__
    return None


def _why(error: BaseException) -> str:
    return advice(error) or (str(error) if isinstance(error, ValueError) else type(error).__name__)


async def _policies() -> str:
    return f"version {CedarPolicies(POLICIES).version}"


async def _database(settings: Settings) -> str:
    if settings.embedded and not (settings.data_dir / "parley.db").exists() and not settings.database_url:
        return f"SQLite in {settings.data_dir}, made at the first start"
    database = make_database(settings)
    try:
        async with database.read() as connection:
            version = await connection.scalar(
                sa.text("select version()" if database.postgresql else "select 'SQLite ' || sqlite_version()")
            )
            tables = await connection.run_sync(lambda c: sa.inspect(c).get_table_names())
            if "alembic_version" not in tables:
                return f"{str(version).partition(' (')[0]}, empty: the schema is made at the first start"
            revision = await connection.scalar(sa.text("select version_num from alembic_version"))
            shards = await connection.scalar(sa.select(sa.func.count()).select_from(t.shards))
        if shards != settings.command_shards:
            raise ValueError(f"laid out for {shards} shards")
        return f"{str(version).partition(' (')[0]}, schema {revision}, {shards} shards"
    finally:
        await database.close()


async def _broker(settings: Settings) -> str:
    connection = await aio_pika.connect(settings.broker_url, timeout=5)
    async with connection:
        channel = await connection.channel()
        await declare(channel, range(settings.command_shards))
    return f"{settings.command_shards} queues are there"


async def _redis(settings: Settings) -> str:
    client = connect(settings.redis_url)
    try:
        info = await client.info("server")
    finally:
        await client.aclose()
    return f"version {info.get('redis_version', '?')}"


async def _model(settings: Settings) -> str:
    if not settings.has_model:
        return "the built-in demo (set OPENAI_API_KEY or OPENAI_BASE_URL for a model)"
    base = (settings.openai_base_url or "https://api.openai.com/v1").rstrip("/")
    headers = {"Authorization": f"Bearer {settings.openai_api_key}"} if settings.openai_api_key else {}
    async with httpx2.AsyncClient(timeout=5) as http:
        answer = await http.get(f"{base}/models", headers=headers)
    if answer.status_code in (401, 403):
        raise PermissionError
    return f"{_place(base)} answers ({answer.status_code}), model {settings.assistant_model}"


async def _traces(settings: Settings) -> str:
    async with httpx2.AsyncClient(timeout=5) as http:
        await http.post(f"{listed(settings.otel_exporter_otlp_endpoint)[0].rstrip('/')}/v1/traces", content=b"")
    return "answers"
