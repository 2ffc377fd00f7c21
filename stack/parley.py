"""Parley's own processes: one role each, as an operator would run them."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from stack.pace import paced
from stack.processes import Child, free_port, wait_until
from stack.servers import Servers

ROOT = Path(__file__).parents[1]

_MEASURING = ("COVERAGE_PROCESS_START", "COVERAGE_FILE")  # `make coverage` measures what is started here too


class Role:
    """A process of one role. environment: settings beside the stack's. program: the module that is run, in `root`'s
    checkout, by `python`."""

    def __init__(
        self,
        name: str,
        role: str,
        environment: dict[str, str],
        folder: Path,
        port: int = 0,
        program: str = "app",
        root: Path = ROOT,
        python: str = sys.executable,
    ) -> None:
        self.role = role
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {"HOST": "127.0.0.1", "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        keep = {key: os.environ[key] for key in ("PATH", "LANG", "HOME", *_MEASURING) if key in os.environ}
        self.child = Child(
            name, [python, "-m", program, role], folder / f"{name}.log", keep | environment | settings, root
        )

    def run(self, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Another command of the program, in the same surroundings."""
        command = [sys.executable, "-m", "app", *arguments]
        environment = self.child.environment
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=paced(timeout_s)
        )

    def start(self) -> None:
        """Returns when it serves."""
        self.start_soon()
        self.wait_started()

    def start_soon(self) -> None:
        self._from = self.child.log.stat().st_size if self.child.log.exists() else 0
        self.child.start()

    def wait_started(self, deadline_s: float = 60) -> None:
        def started() -> bool:
            with open(self.child.log, "rb") as log:
                log.seek(self._from)
                if b" is at http" in log.read():
                    return True
            if not self.child.running():
                raise RuntimeError(f"{self.child.name} ended:\n{self.child.tail()}")
            return False

        wait_until(started, self.child.name, deadline_s)


class Stack:
    """Gateways on `port` and the ports after it (0: any), workers and assistant workers, on the given servers."""

    def __init__(
        self,
        servers: Servers,
        *,
        gateways: int = 2,
        workers: int = 2,
        assistants: int = 1,
        port: int = 0,
        environment: dict[str, str] | None = None,
        database_url: str | None = None,
        program: str = "app",
        root: Path = ROOT,
        python: str = sys.executable,
    ) -> None:
        """program, root, python: of the roles, as `Role` has them."""
        self.servers = servers
        self._made_of = (program, root, python)
        self.environment = {
            "DATABASE_URL": database_url or servers.postgres.url,
            "BROKER_URL": servers.rabbitmq.url,
            "REDIS_URL": servers.redis.url,
            "JWT_SECRET": secrets.token_urlsafe(32),
            "DATA_DIR": str(servers.folder / "data"),
        } | (environment or {})
        self.gateways = [self.make("gateway", n, port + n if port else 0) for n in range(gateways)]
        self.workers = [self.make("worker", n) for n in range(workers)]
        self.assistants = [self.make("assistant", n) for n in range(assistants)]

    def make(self, role: str, number: int, port: int = 0) -> Role:
        return Role(f"{role}{number}", role, self.environment, self.servers.folder, port, *self._made_of)

    @property
    def roles(self) -> list[Role]:
        return [*self.gateways, *self.workers, *self.assistants]

    @property
    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.gateways]

    def start(self) -> None:
        for role in self.roles:
            role.start_soon()
        for role in self.roles:
            role.wait_started()

    def stop(self) -> None:
        for role in self.roles:
            if role.child.running():
                if role.child.paused:
                    role.child.resume()
                os.kill(role.child.pid, 15)
        for role in self.roles:
            role.child.stop(deadline_s=15)
