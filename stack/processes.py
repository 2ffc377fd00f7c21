"""A child process that can be ended at will: started, watched, killed, paused, by its pid and its children's."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from stack.pace import paced

_LANE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2
_PORTS = range(12_000 + _LANE, 32_000, 2)  # the tests' two lanes don't take each other's
_given: set[int] = set()


def free_port() -> int:
    """Below the ports of outgoing connections, so that none of them takes it before its server does."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        if port in _given:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


def tree(pid: int) -> list[int]:
    """The process and all that descend from it, parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop(0))
        queue.extend(children.get(found[-1], ()))
    return found


def wait_until(done: Callable[[], bool], what: str, deadline_s: float, every_s: float = 0.05) -> None:
    deadline = time.monotonic() + paced(deadline_s)
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {deadline_s} s")
        time.sleep(every_s)


class Child:
    """One direct child. log: file that takes what it prints."""

    def __init__(
        self, name: str, command: Sequence[str | Path], log: Path, environment: dict[str, str],
        cwd: Path | None = None, user: str | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.log = log
        self._command = [str(word) for word in command]
        self.environment = environment
        self._cwd = cwd
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None
        self.paused = False

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                cwd=self._cwd,
                user=self._user,
                group=self._user,
                extra_groups=[] if self._user else None,
                start_new_session=True,
            )
        self.paused = False

    def signal_all(self, sig: int) -> None:
        for pid in tree(self.pid) if self.running() else ():
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass

    def pause(self) -> None:
        self.signal_all(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        self.signal_all(signal.SIGCONT)
        self.paused = False

    def kill(self) -> None:
        """SIGKILL, children too; returns when none of them is left."""
        if self._process is None:
            return
        pids = tree(self.pid) if self.running() else [self.pid]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait(10)
        wait_until(lambda: not any(_alive(pid) for pid in pids), f"{self.name} to be gone", 10, 0.01)

    def stop(self, sig: int = signal.SIGTERM, deadline_s: float = 40) -> int | None:
        """Ask it to end; after the deadline it is killed."""
        if self._process is None:
            return None
        if self.running():
            if self.paused:
                self.resume()
            self._process.send_signal(sig)
            try:
                self._process.wait(paced(deadline_s))
            except subprocess.TimeoutExpired:
                self.kill()
        return self._process.returncode

    def tail(self, lines: int = 15) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
