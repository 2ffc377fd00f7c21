"""Connections to PostgreSQL or SQLite, and the few places where their SQL differs."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from app.adapters.store.address import is_postgresql, postgresql
from app.adapters.store.driver_errors import Error, code_of, kind_of, why_refused
from app.application.clock import cut, utc_now
from app.application.ports.errors import DeadlineMissed, Transient
from app.application.ports.held import Keep

_SESSION = {"application_name": "parley", "jit": "off", "plan_cache_mode": "force_generic_plan"}
_BOUNDS = {
    "enable_seqscan": "off", "statement_timeout": "5000", "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "5000",
}  # fmt: skip
_STATEMENT_TIMEOUT = "57014"
_READ_ONLY = "25006"
_ANEW_S = 0.5
_REFUSED_S = 2.0


_view: ContextVar[tuple[Any, AsyncConnection | None]] = ContextVar("view", default=(None, None))
"""(whose database, the connection) of the view that this task has."""


class Database:
    """Implements Held, for all of the store. One engine for PostgreSQL; for SQLite one connection that writes and several that read.

    deadline_s bounds every use of a connection: past it the connection is thrown away, for a server that is stopped
    answers nothing, not even a close.
    """

    def __init__(self, url: str, *, pool_size: int = 10, deadline_s: float = 10.0) -> None:
        """Raises BadAddress."""
        self.url = url
        self._refuses: str | None = None
        self._failing_since: float | None = None
        self._refused_at = -_REFUSED_S
        self._epoch_s = time.time() - monotonic()
        self._anew_at = -_ANEW_S
        self.deadline_s = deadline_s
        self.postgresql = is_postgresql(url)
        if self.postgresql:
            self._address = postgresql(url)
            self._writer = create_async_engine(
                "postgresql+asyncpg://",
                async_creator=self.connect,
                pool_size=pool_size,
                max_overflow=0,
                hide_parameters=True,
                pool_timeout=5,
                pool_use_lifo=True,
            )
            # The level is told with BEGIN: all statements of a read see one moment.
            self._reader = self._writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        else:
            url_ = sa.make_url(url).set(drivername="sqlite+aiosqlite")
            self._writer = create_async_engine(url_, pool_size=1, max_overflow=0, pool_timeout=30, hide_parameters=True)
            self._reader = create_async_engine(url_, pool_size=4, max_overflow=0, pool_timeout=30, hide_parameters=True)
            _prepare_sqlite(self._writer, "BEGIN IMMEDIATE")
            _prepare_sqlite(self._reader, "BEGIN")

    async def connect(self, bounded: bool = True) -> asyncpg.Connection[Any]:
        """A connection of the driver's own: for the pool, and for what takes long (bounded: not)."""
        settings = _SESSION | (_BOUNDS if bounded else {}) | self._address.settings
        return await asyncpg.connect(self._address.dsn, timeout=self._address.timeout_s, server_settings=settings)

    @property
    def engine(self) -> AsyncEngine:
        return self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A snapshot for reading; on PostgreSQL the primary. Within `one_view` it is that one. Raises Transient."""
        seen_by, viewed = _view.get()
        if seen_by is self and viewed is not None:
            yield viewed
            return
        async with self._begin(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def one_view(self) -> AsyncIterator[None]:
        """All that this task reads within it, it reads of one moment: one after the other. Raises Transient."""
        async with self._begin(self._reader) as connection:
            token = _view.set((self, connection))
            try:
                yield
            finally:
                _view.reset(token)

    @asynccontextmanager
    async def write(self, deadline_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed on leaving; on SQLite one at a time. Raises Transient."""
        async with self._writing(), self._begin(self._writer, deadline_s) as connection:
            yield connection

    @asynccontextmanager
    async def write_at_once(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """As `direct`, for one statement that writes: it is a transaction by itself. Raises Transient."""
        async with self._writing(), self.direct() as driver:
            yield driver

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """What is known of whether it takes anything new."""
        if self._refuses is not None:
            await self._begin_anew()
        try:
            yield
        except Transient as error:
            if (reason := why_refused(error.__cause__ or error)) is not None:
                self._refuses, self._refused_at = reason, monotonic()
            raise
        if monotonic() - self._refused_at > _REFUSED_S:  # with a full disk the smallest writes may go still
            self._refuses = None

    def why_not(self) -> str | None:
        """In words, as long as it takes nothing new."""
        return self._refuses

    async def probe(self) -> None:
        """Where it refused, whether it does still. Raises Transient."""
        if self._refuses is not None:
            async with self.write() as connection:
                await connection.execute(sa.text("update meta set value = value where key = 'data_id'"))

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """PostgreSQL: the driver's own connection, out of the same pool, without a transaction: a statement is of one moment
        by itself, and costs a fifth. Raises Transient."""
        async with self._within(self.deadline_s):
            pooled = await greenlet_spawn(self._writer.pool.connect)
            try:
                yield pooled.driver_connection  # type: ignore[misc]
            except BaseException as error:
                lost = isinstance(error, Exception) and kind_of(error) is not Error.OURS
                await greenlet_spawn(pooled.invalidate)
                if lost:  # the other idle ones are of the same server, and as dead
                    await self._begin_anew()
                raise
            finally:
                pooled.close()

    async def fetch(self, sql: str, params: dict[str, Any]) -> Sequence[Any]:
        """The rows of a textual statement that reads: of one moment by itself, within `one_view` of that one. Raises
        Transient."""
        if self.postgresql and not self.is_viewing:
            async with self.direct() as driver:
                found: Sequence[Any] = await driver.fetch(*positional(sql, params), record_class=AttributeRecord)
                return found
        async with self.read() as connection:
            return (await connection.execute(sa.text(sql), params)).all()

    @property
    def is_viewing(self) -> bool:
        """Whether this task reads within `one_view`."""
        return _view.get()[0] is self

    @asynccontextmanager
    async def _begin(self, engine: AsyncEngine, deadline_s: float | None = None) -> AsyncIterator[AsyncConnection]:
        async with self._within(deadline_s or self.deadline_s), engine.connect() as connection:
            try:
                async with connection.begin():
                    yield connection
            except (asyncio.CancelledError, TimeoutError):
                await connection.invalidate()
                raise
            except Exception as error:
                if code_of(error) == _READ_ONLY:
                    await connection.invalidate()
                    await self._begin_anew()
                raise

    @asynccontextmanager
    async def _within(self, deadline_s: float) -> AsyncIterator[None]:
        """A deadline, and the driver's errors as ours: what may pass is Transient."""
        try:
            async with asyncio.timeout(deadline_s):
                yield
        except TimeoutError as error:
            raise DeadlineMissed(f"not done in {deadline_s} s", away_s=self._away_s()) from error
        except Exception as error:
            if code_of(error) == _STATEMENT_TIMEOUT:
                raise DeadlineMissed("statement timeout") from error
            if kind_of(error) is not Error.OURS:
                raise Transient(f"{type(error).__name__}", away_s=self._away_s()) from error
            raise
        self._failing_since = None

    async def _begin_anew(self) -> None:
        """Connections stay as they were made, read only: the idle ones go too."""
        if self.postgresql and monotonic() - self._anew_at > _ANEW_S:
            self._anew_at = monotonic()
            await self._writer.dispose()

    def _away_s(self) -> float:
        """Since it last did something."""
        self._failing_since = self._failing_since or monotonic()
        return monotonic() - self._failing_since

    async def now(self, connection: AsyncConnection) -> datetime:
        """What processes compare is the database's time, cut to milliseconds: what is shown is what is compared."""
        at: datetime = await connection.scalar(sa.text("select now()")) if self.postgresql else utc_now()
        self.note_time(at)
        return cut(at)

    def note_time(self, at: datetime, asked_at: float | None = None) -> None:
        """What the database's clock said just now, or when it was asked, by the monotonic clock."""
        self._epoch_s = at.timestamp() - (asked_at or monotonic())

    def clock(self) -> float:
        """Seconds since 1970 by the database's clock, as far as it was heard: what processes compare with each other."""
        return monotonic() + self._epoch_s

    def heard_now(self) -> datetime:
        """What `now` would say, as far as it was heard, without asking."""
        return cut(datetime.fromtimestamp(self.clock(), UTC)) if self.postgresql else utc_now()

    def pool(self) -> dict[str, int]:
        """Connections in use and idle."""
        pools = {engine.pool for engine in (self._writer, self._reader)}
        found = [pool for pool in pools if isinstance(pool, sa.QueuePool)]
        return {"used": sum(p.checkedout() for p in found), "idle": sum(p.checkedin() for p in found)}

    async def start(self, keep: Keep) -> None:
        """Connections are made as they are needed."""

    async def close(self) -> None:
        for engine in {self._writer, self._reader}:
            try:
                async with asyncio.timeout(3):
                    await engine.dispose()
            except TimeoutError:
                await engine.dispose(close=False)

    # Where the dialects differ

    def values(
        self, alias: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]
    ) -> tuple[str, dict[str, Any]]:
        """A table expression named `alias` of these rows, and its parameters; column `o` is the row's place.

        One array a column on PostgreSQL, one JSON text on SQLite: a statement's text doesn't depend on how many
        rows there are, so it is prepared once.
        """
        if self.postgresql:
            arrays = ", ".join(f"cast(:{alias}_{name} as {type_}[])" for name, type_ in columns.items())
            columns_ = list(zip(*rows, strict=True)) or [()] * len(columns)
            params = {f"{alias}_{name}": list(column) for name, column in zip(columns, columns_, strict=True)}
            return f"unnest({arrays}) with ordinality as {alias}({', '.join(columns)}, o)", params
        picked = ", ".join(f"json_extract(value, '$[{i}]') as {name}" for i, name in enumerate(columns))
        text = json.dumps([[self.bind(value) for value in row] for row in rows])
        return f"(select {picked}, key as o from json_each(:{alias})) as {alias}", {alias: text}

    def bind(self, value: Any) -> Any:
        """A parameter of a textual statement."""
        if isinstance(value, datetime) and not self.postgresql:
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return value

    async def run(
        self, connection: AsyncConnection, sql: str, params: dict[str, Any], expected: int | None = None
    ) -> None:
        """A textual statement that writes. expected: the rows that it must touch, else RuntimeError."""
        if self.postgresql:
            driver = await driver_connection(connection)
            status = await driver.execute(*positional(sql, params))
            count = int(status.rpartition(" ")[2])
        else:
            count = (await connection.execute(sa.text(sql), params)).rowcount
        if expected is not None and count != expected:
            raise RuntimeError(f"{count} rows instead of {expected}")

    def json(self, value: Any) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class AttributeRecord(asyncpg.Record):
    """The driver's row, with its columns as attributes, as SQLAlchemy's has them."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


async def driver_connection(connection: AsyncConnection) -> asyncpg.Connection[asyncpg.Record]:
    """The driver's own connection, in the transaction that SQLAlchemy has begun: a statement costs a third there
    (docs/decisions/0007-statements-on-the-driver.md). At least one statement must have gone through SQLAlchemy."""
    raw = await connection.get_raw_connection()
    driver: asyncpg.Connection[asyncpg.Record] = raw.driver_connection  # type: ignore[assignment]
    return driver


_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)")


@lru_cache(maxsize=256)
def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    names = tuple(dict.fromkeys(_NAMED.findall(sql)))
    return _NAMED.sub(lambda found: f"${names.index(found.group(1)) + 1}", sql), names


def positional(sql: str, params: dict[str, Any]) -> list[Any]:
    """A textual statement as the driver takes it: $1, $2 … and the values in that order."""
    text, names = _numbered(sql)
    return [text, *(params[name] for name in names)]


def to_time(value: Any) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def to_time_or_none(value: Any) -> datetime | None:
    return to_time(value) if value is not None else None


def from_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, (str, bytes)) else value


def _lower(text: str | None) -> str | None:
    return text.lower() if text is not None else None


def _prepare_sqlite(engine: AsyncEngine, begin: str) -> None:
    @sa.event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        connection.create_function("lower", 1, _lower)  # SQLite's own knows ASCII alone

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)
