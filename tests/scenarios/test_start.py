"""What keeps the program from starting is one line, and an exit code; never a traceback."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import warnings
from pathlib import Path
from urllib.request import urlopen

import pytest

from stack.pace import paced
from stack.packages import find_programs
from stack.parley import ROOT, Role
from stack.processes import Child, free_port, wait_until
from stack.servers import Servers
from tests.faults.test_surroundings import may_mount
from tests.world import World, start_embedded, stop_embedded


def started(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    whole = {"PATH": os.environ["PATH"], "PORT": str(free_port()), **environment}
    command = [sys.executable, "-m", "app", *arguments]
    return subprocess.run(command, env=whole, cwd=ROOT, capture_output=True, text=True, timeout=60)


def says(done: subprocess.CompletedProcess[str], words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 2 and len(lines) == 1 and lines[0].startswith("parley: "), done.stderr
    assert words in lines[0] and "u:secret" not in lines[0], done.stderr


def test_the_port_of_dot_env_counts(tmp_path: Path) -> None:
    """As `make run` starts it: in the folder where .env lies, with no PORT around it."""
    port = free_port()
    (tmp_path / ".env").write_text(f"PORT={port}\nDATA_DIR={tmp_path / 'data'}\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    child = Child("by .env", [sys.executable, "-m", "app"], tmp_path / "log", environment, tmp_path)
    child.start()
    try:
        wait_until(lambda: f"http://127.0.0.1:{port}" in child.tail(50), "its address", paced(30))
        assert urlopen(f"http://127.0.0.1:{port}/livez", timeout=5).status == 200
    finally:
        child.stop()


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


@pytest.mark.long
def test_a_name_without_rights_and_a_folder_that_takes_nothing(servers: Servers, tmp_path: Path) -> None:
    postgres = servers.postgres
    url = postgres.database("rights")
    postgres._psql("postgres", "create role poor login")
    others = {
        "BROKER_URL": "amqp://u:secret@127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1",
        "JWT_SECRET": "a word that is long enough",
    }
    says(started(DATABASE_URL=url.replace("parley@", "poor@"), **others), "this name may not do that there")
    postgres.locked("careful", "secret-of-hers")
    for given in ("careful:another@", "careful@"):
        says(
            started(DATABASE_URL=url.replace("parley@", given), **others),
            "the database refuses the name or the password",
        )
    if not may_mount():
        return warnings.warn("no file system may be mounted here: a read-only folder was not tried", stacklevel=1)
    mount = 'mount -t tmpfs -o ro,size=1m none "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path), sys.executable, "-m", "app"]
    environment = {"PATH": os.environ["PATH"], "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    says(done, "can't be used: Read-only file system")


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


IMPATIENT = """
import sys
from app.adapters.store import migrate
from app.infrastructure.command_line import cli
migrate._TRIES, sys.argv = 3, ["app", "gateway"]
cli()
"""
"""What waits for a quarter of a minute waits for a second."""


@pytest.mark.long
def test_a_standby_at_start_and_what_check_says_of_it(servers: Servers) -> None:
    """It may be promoted, and is waited for; then one line, and an exit code."""
    postgres, redis, broker = servers.postgres, servers.redis.url, servers.rabbitmq.vhost("standby")
    url = postgres.database("followed")
    name = url.rpartition("/")[2]
    good = {"BROKER_URL": broker, "REDIS_URL": redis, "JWT_SECRET": "a word that is long enough"}
    standby = postgres.standby(servers.folder / "standby")
    try:
        there = standby.url.rpartition("/")[0] + f"/{name}"
        first = Role("first", "gateway", good | {"DATABASE_URL": url}, servers.folder)
        first.start()  # makes the schema
        done = first.run("check")
        assert "is no standby" not in done.stdout
        replica = Role("replica", "gateway", good | {"DATABASE_URL": url, "DATABASE_READ_URL": there}, servers.folder)
        assert re.search("read replica.* a standby, at most [0-9]+ s behind", replica.run("check").stdout)
        replica.child.environment |= {"DATABASE_READ_URL": url}
        assert "answers, but is no standby" in replica.run("check").stdout
        first.child.stop()
        reads = Role("reads", "gateway", good | {"DATABASE_URL": there}, servers.folder)
        done = reads.run("check")
        assert done.returncode == 1 and re.search("BAD .*the database is read only: a standby", done.stdout), (
            done.stdout
        )
        done = subprocess.run(
            [sys.executable, "-c", IMPATIENT],
            env=reads.child.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        [line] = [one for one in done.stderr.splitlines() if not one.startswith("{")]
        assert done.returncode == 1 and line.startswith("parley: the database is read only: a standby"), done.stderr
    finally:
        standby.stop()


@pytest.mark.long
def test_check_tells_a_clock_and_a_disk(servers: Servers, tmp_path: Path) -> None:
    """Both as they are: the clock by libfaketime, the disk by a small file system where one may be mounted."""
    role = Role("checked", "gateway", {
        "DATABASE_URL": servers.postgres.database("clocks"), "BROKER_URL": servers.rabbitmq.vhost("clocks"),
        "REDIS_URL": servers.redis.url, "JWT_SECRET": "a word that is long enough",
        "LD_PRELOAD": str(find_programs().faketime), "FAKETIME": "+90s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }, servers.folder)  # fmt: skip
    done = role.run("check")
    assert done.returncode == 1 and re.search("BAD .*clock is (89|90|91) s from the database's", done.stdout), (
        done.stdout
    )
    if not may_mount():
        return warnings.warn("no file system may be mounted here: check was not tried on a full disk", stacklevel=1)
    mount = 'mount -t tmpfs -o size=8m,mode=700 none "$0" && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path), sys.executable, "-m", "app", "check"]
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "BAD" in done.stdout and " 8 MiB free: make room" in done.stdout, done.stdout


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


@pytest.mark.long
def test_lanes_are_changed_with_everything_stopped_and_who_goes_on_by_others_ends(servers: Servers) -> None:
    """What would publish where nobody reads any more ends by itself, within seconds."""
    good = {
        "DATABASE_URL": servers.postgres.database("lanes"), "BROKER_URL": servers.rabbitmq.vhost("lanes"),
        "REDIS_URL": servers.redis.url, "JWT_SECRET": "a word that is long enough",
    }  # fmt: skip
    gateway, worker = (Role(f"{role}-of-lanes", role, good, servers.folder) for role in ("gateway", "worker"))
    for role in (gateway, worker):
        role.start()
    done = worker.run("lanes", "4")
    assert done.returncode == 2 and "a worker lives" in done.stderr and "Traceback" not in done.stderr
    worker.child.stop()
    assert "1 to 8 lanes" in gateway.run("lanes", "9").stderr
    done = gateway.run("lanes", "4")
    assert done.returncode == 0 and "laid out for 4 lanes" in done.stdout, done.stderr
    wait_until(lambda: not gateway.child.running(), "the gateway's end", 20)
    assert "lanes in step died" in gateway.child.tail(20)
    gateway.start()
    assert "4 queues are there" in gateway.run("check").stdout
    gateway.child.stop()
    done = started("lanes", "4")
    assert done.returncode == 2 and "one process has no queues" in done.stderr
