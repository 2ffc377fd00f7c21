"""A database of each kind, with the schema."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.adapters.store.database import Database
from app.adapters.store.migrate import migrate
from stack.pace import paced
from stack.servers import Servers
from tests.contracts.store_setting import SHARDS

MIGRATED = "migrated"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each test's is a copy: the schema is made once."""
    path = tmp_path_factory.mktemp("migrated") / "store.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_servers(servers: Servers) -> Servers:
    asyncio.run(_migrate(servers.postgres.database(MIGRATED)))
    return servers


async def _migrate(url: str) -> None:
    database = Database(url)
    await migrate(database, SHARDS)
    await database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        file: Path = request.getfixturevalue("migrated_file")
        return f"sqlite:///{shutil.copy(file, tmp_path / 'store.db')}"
    servers: Servers = request.getfixturevalue("migrated_servers")
    name = f"store_{hashlib.md5(str(tmp_path).encode()).hexdigest()[:12]}"
    return servers.postgres.database(name, like=MIGRATED)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=4, deadline_s=paced(5))
    await migrate(database, SHARDS)
    yield database
    await database.close()
