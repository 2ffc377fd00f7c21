"""A database of each kind, with the schema."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.adapters.store.database import Database
from app.adapters.store.migrate import migrate
from stack.pace import paced
from stack.servers import Servers
from tests.contracts.store_setting import SHARDS


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'store.db'}"
    else:
        servers: Servers = request.getfixturevalue("servers")
        url = servers.postgres.database(f"store_{hashlib.md5(str(tmp_path).encode()).hexdigest()[:12]}")
    database = Database(url, pool_size=4, deadline_s=paced(5))
    await migrate(database, SHARDS)
    yield database
    await database.close()
