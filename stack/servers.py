"""PostgreSQL, Redis and RabbitMQ of our own: own ports, own folders, direct children, as root or not."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from stack.pace import paced
from stack.packages import Programs, find_programs
from stack.processes import Child, free_port, wait_until

START_S = 60


class Postgres:
    """fsync: off only for functional tests, never for benchmarks or faults."""

    def __init__(self, programs: Programs, folder: Path, *, fsync: bool = True) -> None:
        self._programs = programs
        self.port = free_port()
        self.folder = folder
        self._user = "postgres" if os.geteuid() == 0 else None
        folder.mkdir()
        if self._user:
            shutil.chown(folder, self._user)
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": folder,
            "fsync": "on" if fsync else "off",
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "wal_compression": "on",
            "max_connections": 200,
        }
        command: list[str | Path] = [programs.postgres_bin / "postgres", "-D", folder / "data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = folder.parent / "postgres.log"
        self.child = Child("postgres", command, log, programs.environment, folder, self._user)

    @property
    def url(self) -> str:
        return f"postgresql://parley@127.0.0.1:{self.port}/parley"

    def database(self, name: str, like: str = "template1") -> str:
        """The URL of a new database beside the first: empty, or a copy of one that nobody uses."""
        self._psql("postgres", f'create database "{name}" template "{like}"')
        return self.url.rpartition("/")[0] + f"/{name}"

    def locked(self, role: str, password: str) -> None:
        """A role that has to give its password, where all others are trusted."""
        self._psql("postgres", f"create role {role} login password '{password}'")
        rules = self.folder / "data" / "pg_hba.conf"
        rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
        self._psql("postgres", "select pg_reload_conf()")

    def standby(self, folder: Path) -> Postgres:
        """A copy that follows this one and takes no writes; started."""
        other = Postgres(self._programs, folder, fsync=False)
        command = [str(self._programs.postgres_bin / "pg_basebackup"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "parley",
                   "-D", str(folder / "data"), "-R", "--no-sync", "-c", "fast"]  # fmt: skip
        subprocess.run(
            command, check=True, capture_output=True, env=self._programs.environment, cwd=folder,
            user=self._user, group=self._user, extra_groups=[] if self._user else None,
        )  # fmt: skip
        other.start()
        return other

    def _psql(self, database: str, sql: str) -> None:
        binary = self._programs.postgres_bin / "psql"
        subprocess.run(
            [str(binary), "-qX", "-h", "127.0.0.1", "-p", str(self.port), "-U", "parley", "-d", database, "-c", sql],
            check=True,
            env=self._programs.environment,
            capture_output=True,
        )

    def start(self) -> None:
        fresh = not (self.folder / "data" / "PG_VERSION").exists()
        if fresh:
            self._initialise()
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        self.child.start()
        wait_until(self._ready, "PostgreSQL", START_S)
        if fresh:
            self._psql("postgres", "create database parley")

    def _initialise(self) -> None:
        done = subprocess.run(
            [
                str(self._programs.postgres_bin / "initdb"), "-D", str(self.folder / "data"), "-U", "parley",
                "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
            ],
            cwd=self.folder, env=self._programs.environment, user=self._user, group=self._user,
            extra_groups=[] if self._user else None, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"initdb: {done.stderr[-500:]}")

    def _ready(self) -> bool:
        if not self.child.running():
            raise RuntimeError(f"PostgreSQL ended: {self.child.tail()}")
        done = subprocess.run(
            [str(self._programs.postgres_bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)],
            env=self._programs.environment,
        )
        return done.returncode == 0

    def stop(self) -> None:
        self.child.stop(signal.SIGINT, 10)


class Redis:
    def __init__(self, programs: Programs, folder: Path) -> None:
        self.port = free_port()
        folder.mkdir()
        command: list[str | Path] = [
            programs.redis_server, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", folder,
        ]  # fmt: skip
        self.child = Child("redis", command, folder.parent / "redis.log", programs.environment)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self.child.start()
        wait_until(lambda: _answers(self.port, b"PING\r\n", b"+PONG"), "Redis", START_S)

    def stop(self) -> None:
        self.child.stop(signal.SIGTERM, 10)


class RabbitMQ:
    def __init__(self, programs: Programs, folder: Path) -> None:
        self._programs = programs
        self.port, self._dist_port, self._epmd_port = free_port(), free_port(), free_port()
        for sub in ("home", "log", "mnesia"):
            (folder / sub).mkdir(parents=True)
        cookie = folder / "home" / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (folder / "enabled_plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "vm_memory_high_watermark.absolute = 1GiB\n"
            "disk_free_limit.absolute = 50MB\n"
        )
        self.environment = programs.environment | {
            "HOME": str(folder / "home"),
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": str(folder / "log" / "n.log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        log = folder.parent / "rabbitmq.log"
        epmd: list[str | Path] = [programs.epmd, "-port", str(self._epmd_port)]
        self._epmd = Child("epmd", epmd, folder.parent / "epmd.log", self.environment)
        self.child = Child("rabbitmq", [programs.rabbitmq / "rabbitmq-server"], log, self.environment, folder)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def vhost(self, name: str) -> str:
        """The URL of a room of its own in this broker, made where it isn't there yet."""
        if name not in self.ctl("list_vhosts", "-q").split():
            self.ctl("add_vhost", name)
            self.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return self.url + name

    def ctl(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(self._programs.rabbitmq / "rabbitmqctl"), *arguments],
            env=self.environment, capture_output=True, text=True, timeout=paced(60),
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(done.stderr[-500:])
        return done.stdout

    def start(self) -> None:
        if not self._epmd.running():
            self._epmd.start()
        self.child.start()
        wait_until(self._ready, "RabbitMQ", START_S)

    def _ready(self) -> bool:
        if not self.child.running():
            raise RuntimeError(f"RabbitMQ ended: {self.child.tail()}")
        return _answers(self.port, b"AMQP\x00\x00\x09\x01", b"\x01")

    def stop(self) -> None:
        self.child.stop(signal.SIGTERM, 15)
        self._epmd.stop(signal.SIGTERM, 5)


def _answers(port: int, ask: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.settimeout(1)
            connection.sendall(ask)
            return connection.recv(len(answer)) == answer
    except OSError:
        return False


class Servers:
    """All three, in one folder under the system's temporary one (short, and reachable by user postgres)."""

    def __init__(self, *, fsync: bool = True) -> None:
        programs = find_programs()
        self.folder = Path(tempfile.mkdtemp(prefix="parley-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.postgres = Postgres(programs, self.folder / "pg", fsync=fsync)
        self.redis = Redis(programs, self.folder / "redis")
        self.rabbitmq = RabbitMQ(programs, self.folder / "mq")

    def start(self) -> None:
        # RabbitMQ takes longest: the others start while it comes up.
        self.rabbitmq._epmd.start()
        self.rabbitmq.child.start()
        self.postgres.start()
        self.redis.start()
        wait_until(self.rabbitmq._ready, "RabbitMQ", START_S)

    def stop(self) -> None:
        for server in (self.rabbitmq, self.redis, self.postgres):
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
