"""Each class of each driver's errors, raised: whether it passes, and what becomes of the connection that met it."""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi

from app.adapters.store.database import Database
from app.adapters.store.driver_errors import POSTGRESQL, SQLITE, Error, code_of, kind_of, why_refused
from app.application.ports.errors import DeadlineMissed, Transient

OF_POSTGRESQL = sorted(
    {
        found
        for _, found in inspect.getmembers(asyncpg.exceptions, inspect.isclass)
        if issubclass(found, asyncpg.PostgresError) and getattr(found, "sqlstate", None)
    },
    key=lambda found: found.__name__,
)
OF_SQLITE = {name for name in vars(sqlite3) if name.startswith("SQLITE_") and getattr(sqlite3, name) in range(1, 29)}
NO_RESULT = {
    "SQLITE_DENY", "SQLITE_IGNORE", "SQLITE_LIMIT_LENGTH", "SQLITE_OK", "SQLITE_ROW", "SQLITE_DONE",
}  # fmt: skip
"""Constants of other kinds, with the numbers of results."""
KINDS = ("CREATE", "DROP", "DELETE", "INSERT", "PRAGMA", "READ", "SELECT", "TRANSACTION", "UPDATE", "ATTACH", "DETACH",
         "ALTER", "REINDEX", "ANALYZE", "FUNCTION", "SAVEPOINT", "RECURSIVE", "LIMIT")  # fmt: skip


def wrapped(error: BaseException) -> sa.exc.DBAPIError:
    return sa.exc.DBAPIError("select", {}, error)


@pytest.mark.parametrize("found", OF_POSTGRESQL, ids=lambda found: found.__name__)
def test_each_error_of_postgresql_is_in_the_table(found: Any) -> None:
    error = found("words")
    state = str(error.sqlstate)
    assert state in POSTGRESQL or state[:2] in POSTGRESQL, state
    expected = POSTGRESQL.get(state, POSTGRESQL.get(state[:2]))
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        expected = Error.PASSES
    assert code_of(error) == state and kind_of(error) is expected
    adapted: Any = cast(Any, AsyncAdapt_asyncpg_dbapi).Error("words")
    adapted.sqlstate = state  # as SQLAlchemy gives it on
    assert kind_of(wrapped(adapted)) is expected or isinstance(error, asyncpg.InvalidCachedStatementError)


def test_each_result_of_sqlite_is_in_the_table() -> None:
    results = {name.removeprefix("SQLITE_") for name in OF_SQLITE - NO_RESULT}
    results = {name for name in results if not name.startswith((*KINDS, "LIMIT"))}
    assert results <= set(SQLITE), results - set(SQLITE)
    for name, expected in SQLITE.items():
        error = sqlite3.OperationalError("words")
        error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
        assert (code_of(error), kind_of(error)) == (name, expected)
        error.sqlite_errorcode |= 5 << 8  # an extended code
        assert kind_of(wrapped(error)) is expected


def test_what_a_database_refuses_is_said_in_words() -> None:
    assert why_refused(asyncpg.ReadOnlySQLTransactionError("x")) == "it is read only"
    assert why_refused(asyncpg.DiskFullError("x")) == "its disk is full"
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert why_refused(wrapped(full)) == "its disk is full"
    assert why_refused(asyncpg.UniqueViolationError("x")) is None and why_refused(OSError()) is None


class Meets:
    """A database whose next writes raise these, as the driver would."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder / 'x.db'}", deadline_s=5)

    async def write(self, error: BaseException | None) -> None:
        async with self.database.write():
            if error is not None:
                raise error


def sqlite_error(name: str, words: str = "words") -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    return error


@pytest.mark.parametrize(
    "make",
    [
        lambda: sqlite_error("FULL"), lambda: wrapped(sqlite_error("IOERR")), lambda: sqlite_error("READONLY"),
        lambda: sqlite_error("BUSY"), lambda: asyncpg.ReadOnlySQLTransactionError("x"), lambda: asyncpg.DiskFullError("x"),
        lambda: asyncpg.InvalidPasswordError("x"), lambda: asyncpg.InterfaceError("x"), lambda: asyncpg.InternalClientError("x"), lambda: ConnectionResetError(),
        lambda: sa.exc.PendingRollbackError("x"),
    ],
)  # fmt: skip
async def test_what_passes_is_transient_and_the_next_write_is_good(
    tmp_path: Path, make: Callable[[], BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.adapters.store.database._REFUSED_S", -1.0)
    meets, error = Meets(tmp_path), make()
    with pytest.raises(Transient) as raised:
        await meets.write(error)
    assert raised.value.__cause__ is error
    assert meets.database.why_not() == why_refused(error)
    await meets.write(None)
    assert meets.database.why_not() is None
    for ours in (asyncpg.UniqueViolationError("x"), KeyError("x"), wrapped(sqlite_error("CONSTRAINT"))):
        with pytest.raises(type(ours)):
            await meets.write(ours)
    await meets.database.close()


async def test_how_long_it_has_been_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    meets, now = Meets(tmp_path), SimpleNamespace(s=100.0)
    monkeypatch.setattr("app.adapters.store.database.monotonic", lambda: now.s)
    away: list[float] = []
    for at in (100.0, 104.0, 160.0):
        now.s = at
        with pytest.raises(Transient) as raised:
            await meets.write(ConnectionResetError())
        away.append(raised.value.away_s)
    assert away == [0.0, 4.0, 60.0]
    await meets.write(None)
    now.s = 200.0
    with pytest.raises(DeadlineMissed) as missed:
        await meets.write(TimeoutError())
    assert missed.value.away_s == 0.0, "it was well in between"
    await meets.database.close()
