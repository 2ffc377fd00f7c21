"""python -m app backup FILE, restore FILE: one file that holds what the embedded world is: its database and its secret.

What a server's database holds is backed up by the server's own means; nothing else lasts there.
"""

from __future__ import annotations

import os
import sqlite3
import tarfile
import tempfile
from pathlib import Path

from app.adapters.store.database import Database
from app.adapters.store.migrate import change_epoch
from app.infrastructure.settings import Settings, SettingsError

_DATABASE, _SECRET = "parley.db", "jwt_secret"
_PARTS = (_DATABASE, _SECRET)


def _check(settings: Settings) -> None:
    if not settings.embedded or settings.database_url:
        raise SettingsError(
            "of the embedded world alone: back PostgreSQL up by its own means (pg_dump, or base backups with WAL), and"
            " after restoring a copy run `python -m app epoch`"
        )


def backup(settings: Settings, file: Path) -> str:
    """Also while the service runs: a snapshot of one moment. Written aside, then renamed: there is a whole one, or none.
    What was done, in words. Raises SettingsError."""
    _check(settings)
    database = settings.data_dir / _DATABASE
    if not database.exists():
        raise SettingsError(f"{settings.data_dir} holds no database: nothing to back up")
    os.umask(0o077)
    try:
        with tempfile.TemporaryDirectory(dir=file.resolve().parent, prefix=".backup-") as folder:
            copy, made = Path(folder) / _DATABASE, Path(folder) / "made"
            connection = sqlite3.connect(f"file:{database.resolve()}?mode=ro", uri=True, timeout=30)
            try:
                connection.execute("vacuum into ?", (str(copy),))
            finally:
                connection.close()
            secret = settings.data_dir / _SECRET
            with open(made, "wb") as raw:
                with tarfile.open(fileobj=raw, mode="w:gz") as archive:
                    archive.add(copy, _DATABASE)
                    if secret.exists():
                        archive.add(secret, _SECRET)
                raw.flush()
                os.fsync(raw.fileno())
            made.replace(file)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(f"no backup was made: {getattr(error, 'strerror', None) or error}") from None
    beside = "" if secret.exists() else "; JWT_SECRET of the settings isn't in it: keep it yourself"
    return f"{file} holds the database{' and the secret' if not beside else ''}, {file.stat().st_size:,} bytes{beside}"


async def restore(settings: Settings, file: Path) -> str:
    """Into a DATA_DIR without a database, with the service stopped. The database begins another life (epoch): all clients
    load their chats anew. What was done, in words. Raises SettingsError."""
    _check(settings)
    left = [f"{_DATABASE}-{end}" for end in ("wal", "shm", "journal")]  # SQLite would apply them to what comes back
    there = [name for name in (*_PARTS, *left) if (settings.data_dir / name).exists()]
    if there:
        raise SettingsError(
            f"{settings.data_dir} holds {' and '.join(there)}: move that away first, nothing is replaced"
        )
    try:
        with tempfile.TemporaryDirectory(dir=settings.data_dir, prefix=".restore-") as folder:
            with tarfile.open(file) as archive:
                names = [member.name for member in archive.getmembers() if member.isfile()]
                if _DATABASE not in names or not set(names) <= set(_PARTS):
                    raise SettingsError(f"{file} is no backup of ours")
                archive.extractall(folder, filter="data")
            copy = Path(folder) / _DATABASE
            connection = sqlite3.connect(copy)
            try:
                [[said]] = connection.execute("pragma quick_check(1)").fetchall()
            finally:
                connection.close()
            if said != "ok":
                raise SettingsError(f"the database in {file} is broken: {said}")
            database = Database(f"sqlite:///{copy}")
            await change_epoch(database)
            await database.close()
            for name in names:
                part = Path(folder) / name
                part.chmod(0o600)
                _sync(part)
                part.replace(settings.data_dir / name)
            _sync(settings.data_dir)
    except (OSError, sqlite3.Error, tarfile.TarError, EOFError) as error:
        raise SettingsError(f"{file} can't be restored: {getattr(error, 'strerror', None) or error}") from None
    return f"{settings.data_dir} is as {file} was; all clients load their chats anew"


def _sync(path: Path) -> None:
    at = os.open(path, os.O_RDONLY)
    try:
        os.fsync(at)
    finally:
        os.close(at)
