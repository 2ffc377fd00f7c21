"""Which of the drivers' errors pass: whose command it was has no part in them, and trying again may help.

Sources: PostgreSQL documentation, "Appendix A. PostgreSQL Error Codes"; SQLite documentation, "Result and Error Codes".
"""

from __future__ import annotations

import sqlite3
from enum import Enum

import asyncpg
import sqlalchemy as sa

from app.adapters.lost import causes, went_away


class Error(Enum):
    PASSES = "by itself"
    REFUSED = "when somebody changes a setting: at start it ends the process with a line, later it is waited for"
    OURS = "not: the same statement meets it again"


POSTGRESQL = {
    "00": Error.OURS, "01": Error.OURS, "02": Error.OURS, "03": Error.PASSES, "08": Error.PASSES,
    "08P01": Error.REFUSED,  # a pooler that doesn't take what a session is told
    "09": Error.OURS,
    "0A": Error.OURS, "0B": Error.OURS, "0F": Error.OURS, "0L": Error.OURS, "0P": Error.REFUSED, "0Z": Error.OURS, "10": Error.OURS,
    "20": Error.OURS, "21": Error.OURS, "22": Error.OURS, "23": Error.OURS, "24": Error.OURS, "25": Error.OURS,
    "25006": Error.PASSES,  # read only: a standby that takes over, or an operator at work
    "25P02": Error.PASSES, "25P03": Error.PASSES,  # a transaction that is over: its connection is thrown away
    "25P04": Error.PASSES,
    "26": Error.PASSES,  # a prepared statement that a pooler gave to another connection
    "27": Error.OURS, "28": Error.REFUSED, "2B": Error.OURS, "2D": Error.PASSES, "2F": Error.OURS, "34": Error.OURS,
    "38": Error.OURS, "39": Error.OURS, "3B": Error.OURS, "3D": Error.REFUSED, "3F": Error.REFUSED, "40": Error.PASSES,
    "42": Error.OURS, "42501": Error.REFUSED, "42P05": Error.PASSES,  # prepared twice: as 26
    "44": Error.OURS, "53": Error.PASSES, "54": Error.OURS, "55": Error.PASSES, "57": Error.PASSES, "58": Error.PASSES,
    "72": Error.PASSES, "F0": Error.REFUSED, "HV": Error.OURS, "P0": Error.OURS, "XX": Error.OURS,
    "XX001": Error.PASSES, "XX002": Error.PASSES,  # corrupt: nothing that was asked is at fault
}  # fmt: skip
"""By the longest beginning of the SQLSTATE."""

SQLITE = {
    "ERROR": Error.OURS, "INTERNAL": Error.OURS, "PERM": Error.REFUSED, "ABORT": Error.PASSES, "BUSY": Error.PASSES,
    "LOCKED": Error.PASSES, "NOMEM": Error.PASSES, "READONLY": Error.PASSES, "INTERRUPT": Error.PASSES,
    "IOERR": Error.PASSES, "CORRUPT": Error.REFUSED, "NOTFOUND": Error.OURS, "FULL": Error.PASSES,
    "CANTOPEN": Error.REFUSED, "PROTOCOL": Error.PASSES, "EMPTY": Error.OURS, "SCHEMA": Error.PASSES,
    "TOOBIG": Error.OURS, "CONSTRAINT": Error.OURS, "MISMATCH": Error.OURS, "MISUSE": Error.PASSES,
    "NOLFS": Error.REFUSED, "AUTH": Error.REFUSED, "FORMAT": Error.OURS, "RANGE": Error.OURS, "NOTADB": Error.REFUSED,
    "NOTICE": Error.PASSES, "WARNING": Error.PASSES,
}  # fmt: skip
"""By the name of the primary result code."""

_CODES = {getattr(sqlite3, f"SQLITE_{name}"): name for name in SQLITE if hasattr(sqlite3, f"SQLITE_{name}")}
_REFUSES = {
    "25006": "it is read only", "53100": "its disk is full", "53200": "it is out of memory",
    "53300": "it takes no more connections", "28": "it refuses the name or the password", "READONLY": "it is read only",
    "FULL": "its disk is full", "IOERR": "its disk fails", "42501": "it refuses this name the right",
}  # fmt: skip


def code_of(error: BaseException) -> str:
    """PostgreSQL's SQLSTATE, or the name of SQLite's primary result code; "" for what is neither."""
    cause = getattr(error, "orig", None) or error
    state = getattr(cause, "sqlstate", None)
    if state:
        return str(state)
    for one in causes(cause):
        number = getattr(one, "sqlite_errorcode", None)
        if number is not None:
            return _CODES.get(number & 0xFF, "ERROR")
    return ""


def kind_of(error: BaseException) -> Error:
    """What becomes of it. An error that is none of the drivers' is ours."""
    driver = getattr(error, "orig", None) or error
    if went_away(error) or isinstance(error, (sa.exc.TimeoutError, asyncpg.InterfaceError)):
        return Error.PASSES  # of the driver's own connection: it is closed, or in the middle of something
    if any(isinstance(one, asyncpg.InternalClientError) for one in causes(driver)):
        return Error.PASSES  # what the driver makes of a server that ended the session while nothing was asked of it
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Error.PASSES  # the schema grew meanwhile; caches are cleared, the next try prepares anew
    if isinstance(error, sa.exc.DBAPIError):
        if type(error.orig).__name__ == "InvalidCachedStatementError" or went_away(error.orig):
            return Error.PASSES
        if error.connection_invalidated or isinstance(error, sa.exc.InterfaceError):
            return Error.PASSES
    if isinstance(error, (sa.exc.PendingRollbackError, sa.exc.ResourceClosedError)):
        return Error.PASSES  # the connection went under the transaction
    code = code_of(error)
    if code in SQLITE:
        return SQLITE[code]
    if len(code) == 5:
        return POSTGRESQL.get(code, POSTGRESQL.get(code[:2], Error.OURS))
    text = str(getattr(error, "orig", error))
    if isinstance(error, (sa.exc.DBAPIError, sqlite3.Error)) and (
        "database is locked" in text or "connection" in text.lower()
    ):
        return Error.PASSES
    return Error.OURS


def why_refused(error: BaseException) -> str | None:
    """In words, for an error by which the database does nothing for anybody."""
    code = code_of(error)
    return _REFUSES.get(code) or _REFUSES.get(code[:2])
