"""What keeps the program from starting is one line, and an exit code; never a traceback."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stack.parley import ROOT
from stack.processes import free_port
from stack.servers import Servers
from tests.world import World, start_embedded, stop_embedded


def started(**environment: str) -> subprocess.CompletedProcess[str]:
    whole = {"PATH": os.environ["PATH"], "PORT": str(free_port()), **environment}
    return subprocess.run(
        [sys.executable, "-m", "app"], env=whole, cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def says(done: subprocess.CompletedProcess[str], words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("parley: "), done.stderr
    assert words in lines[0] and "u:secret" not in lines[0], done.stderr


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    says(started(DATA_DIR=str(file)), "can't be used")
    says(started(DATA_DIR=str(file / "below")), "can't be used: Not a directory")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "parley.db").write_bytes(b"no database at all" * 1_000)
    says(started(DATA_DIR=str(folder)), "SQLite says: file is not a database")


def test_a_secret_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "jwt_secret").write_text("")
    says(started(DATA_DIR=str(tmp_path)), "holds no")
    says(started(DATA_DIR=str(tmp_path / "b"), JWT_SECRET="short"), "16 characters or more")
    says(started(DATA_DIR=str(tmp_path / "b"), JWT_SECRET="a word that is long enough,x"), "16 characters or more")


def test_an_address_that_is_none(servers: Servers) -> None:
    good = {
        "BROKER_URL": "amqp://u:secret@127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1",
        "JWT_SECRET": "a word that is long enough",
    }
    says(
        started(DATABASE_URL="postgres://u:secret@127.0.0.1/db?pgbouncer=true", **good),
        "DATABASE_URL: pgbouncer isn't understood",
    )
    url = servers.postgres.database("here")
    head, _, name = url.rpartition("/")
    says(started(DATABASE_URL=f"{head}/{name.replace('here', 'nowhere')}", **good), "there is no such database")


def test_the_folders_files_are_their_users_alone() -> None:
    world: World = start_embedded()
    try:
        assert world.role is not None
        folder = Path(world.role.child.environment["DATA_DIR"])
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert modes["parley.db"] == modes["jwt_secret"] == modes["lock"] == 0o600, modes
    finally:
        stop_embedded(world)


@pytest.mark.parametrize("name", ["pgbouncer", "sslmod"])
def test_a_replicas_address_too(name: str) -> None:
    done = started(
        DATABASE_URL="postgres://u@127.0.0.1/db", DATABASE_READ_URL=f"postgres://u@127.0.0.1/db?{name}=x",
        BROKER_URL="amqp://127.0.0.1:1", REDIS_URL="redis://127.0.0.1:1", JWT_SECRET="a word that is long enough",
    )  # fmt: skip
    says(done, f"DATABASE_READ_URL: {name} isn't understood")
