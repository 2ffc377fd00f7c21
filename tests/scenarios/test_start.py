"""What keeps the program from starting is one line, and an exit code; never a traceback."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stack.packages import find_programs
from stack.parley import ROOT
from stack.processes import Child, free_port, wait_until
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


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("more", ["", "ignore_startup_parameters = extra_float_digits, jit, plan_cache_mode, enable_seqscan, "
                                      "statement_timeout, lock_timeout, idle_in_transaction_session_timeout"],
                         ids=["as delivered", "told to ignore"])  # fmt: skip
def test_a_pooler_before_the_database(servers: Servers, tmp_path: Path, mode: str, more: str) -> None:
    url = servers.postgres.database(f"pooled_{mode}_{bool(more)}".lower())
    address, name = url.rpartition("/")[0].rpartition("@")[2], url.rpartition("/")[2]
    host, _, at = address.partition(":")
    port, folder = free_port(), servers.folder / f"pgbouncer-{mode}-{bool(more)}"
    folder.mkdir()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={host} port={at}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n{more}\n"
    )
    user = "postgres" if os.geteuid() == 0 else None
    settings.write_text(settings.read_text().replace("* = host", f"{name} = user=parley host"))
    programs = find_programs()
    bouncer = Child("pgbouncer", [programs.pgbouncer, settings], folder / "log", programs.environment, folder, user)
    bouncer.start()
    try:
        wait_until(lambda: listens(port), "PgBouncer", 10)
        done = started(
            DATABASE_URL=f"postgres://parley@127.0.0.1:{port}/{name}", BROKER_URL="amqp://u:secret@127.0.0.1:1",
            REDIS_URL="redis://127.0.0.1:1", JWT_SECRET="a word that is long enough",
        )  # fmt: skip
        says(done, "a pooler such as PgBouncer stands before the database")
    finally:
        bouncer.stop()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


DIES = """
import asyncio, sys
from app.infrastructure import command_line_acts as acts
from app.infrastructure.roles import process

def adapt(world):
    async def dies(decide):
        await asyncio.sleep(0.5)
        raise KeyError("a defect")

    async def raises():
        raise RuntimeError("a drain that fails")

    world.source.consume = dies
    if "drain" in sys.argv:
        world.source.drain = raises

acts._run(process.serve(acts._settings(), "all", adapt))
"""


@pytest.mark.parametrize("how", ["", "drain"])
def test_a_process_of_which_a_part_died_drains_and_ends_with_one(tmp_path: Path, how: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", DIES, how], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1 and "parley: worker died, see the log" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and '"event": "ended"' in done.stderr and " is at http" in done.stdout
    assert ('"what": "drain"' in done.stderr) == bool(how)
