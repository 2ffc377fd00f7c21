"""Where the servers' programs come from: installed, else apt-get as root, else Debian's packages in a folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
CACHE = Path(__file__).parents[1] / ".servers"
_PACKAGES = (
    "postgresql",
    "redis-server",
    "rabbitmq-server",
    "prometheus",
    "haproxy",
    "nginx-light",
    "caddy",
    "pgbouncer",
    "libfaketime",
)
_NAMES = "PostgreSQL, Redis, RabbitMQ, Prometheus, HAProxy, nginx, Caddy, PgBouncer and libfaketime"
_BARE_APT = (
    "Dir::Etc::PreferencesParts=/dev/null",
    "Debug::NoLocking=1",
    "DPkg::Post-Invoke::=",
    "APT::Update::Post-Invoke::=",
)


class NoServers(Exception):
    """The servers can't be had; the message says what to install."""


@dataclass(frozen=True)
class Programs:
    """Each program where it is installed, else in `folder`, which holds Debian's packages unpacked (usr/ …)."""

    folder: str = ""

    def _place(self, path: str) -> Path:
        installed = Path(path)
        return installed if installed.exists() or not self.folder else Path(self.folder + path)

    @property
    def postgres_bin(self) -> Path:
        for root in ("", self.folder):
            found = sorted(Path(f"{root}/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
            if found:
                return found[-1].parent
        raise NoServers("no PostgreSQL")

    @property
    def redis_server(self) -> Path:
        return self._place("/usr/bin/redis-server")

    @property
    def prometheus(self) -> Path:
        return self._place("/usr/bin/prometheus")

    @property
    def haproxy(self) -> Path:
        return self._place("/usr/sbin/haproxy")

    @property
    def nginx(self) -> Path:
        return self._place("/usr/sbin/nginx")

    @property
    def caddy(self) -> Path:
        return self._place("/usr/bin/caddy")

    @property
    def pgbouncer(self) -> Path:
        return self._place("/usr/sbin/pgbouncer")

    @property
    def faketime(self) -> Path:
        """What a process is preloaded with, to have a clock of its own."""
        lib = "x86_64-linux-gnu" if os.uname().machine == "x86_64" else f"{os.uname().machine}-linux-gnu"
        return self._place(f"/usr/lib/{lib}/faketime/libfaketime.so.1")

    @property
    def promtool(self) -> Path:
        return self._place("/usr/bin/promtool")

    @property
    def rabbitmq(self) -> Path:
        """The folder of the scripts that don't change user."""
        return self._place("/usr/lib/rabbitmq/bin/rabbitmq-server").parent

    @property
    def epmd(self) -> Path:
        roots = (Path(f"{root}/usr/lib/erlang") for root in ("", self.folder))
        return next(found for root in roots for found in root.glob("erts-*/bin/epmd"))

    @property
    def environment(self) -> dict[str, str]:
        environment = {key: os.environ[key] for key in ("LANG", "TZ") if key in os.environ}
        environment["PATH"] = os.environ.get("PATH", "/usr/bin:/bin")
        if self.folder:
            lib = "x86_64-linux-gnu" if os.uname().machine == "x86_64" else f"{os.uname().machine}-linux-gnu"
            environment["LD_LIBRARY_PATH"] = f"{self.folder}/usr/lib/{lib}:{self.folder}/lib/{lib}"
            environment["PATH"] = f"{self.folder}/usr/lib/erlang/bin:{environment['PATH']}"
        return environment

    def complete(self) -> bool:
        try:
            found = (
                self.redis_server,
                self.rabbitmq / "rabbitmq-server",
                self.prometheus,
                self.haproxy,
                self.nginx,
                self.caddy,
                self.pgbouncer,
                self.faketime,
            )
            return bool(self.postgres_bin) and all(program.exists() for program in found)
        except NoServers:
            return False


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def find_programs() -> Programs:
    """Installs what is missing, one process at a time. Raises NoServers."""
    return _found_or_brought(_complete, _bring)


def _found_or_brought(find: Callable[[], T | None], bring: Callable[[], T]) -> T:
    """One process at a time brings."""
    if (found := find()) is not None:
        return found
    CACHE.mkdir(exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find() or bring()


def _complete() -> Programs | None:
    return next((programs for programs in (Programs(), Programs(str(CACHE))) if programs.complete()), None)


def _bring() -> Programs:
    if shutil.which("apt-get") is None:
        raise NoServers(f"install these servers, whatever your system calls them: {', '.join(_PACKAGES)}")
    if os.geteuid() == 0:
        _install(_NAMES, _PACKAGES)
        found = Programs()
    else:
        _unpack(CACHE, _NAMES, _PACKAGES)
        found = Programs(str(CACHE))
    if not found.complete():
        raise NoServers(f"apt-get brought no complete set of {', '.join(_PACKAGES)}: install them yourself")
    return found


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-5:])
        raise NoServers(f"{' '.join(command[:3])} … failed; install what is missing yourself\n{tail}")


@dataclass(frozen=True)
class Chromium:
    """environment: beside one's own, where it is unpacked into a folder instead of installed."""

    program: Path
    environment: dict[str, str]


_CHROMIUM = ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji", "libatomic1")


def find_chromium() -> Chromium:
    """For the tests of pages. Installs it where it is missing, one process at a time. Raises NoServers."""
    return _found_or_brought(_chromium, _bring_chromium)


def _bring_chromium() -> Chromium:
    if shutil.which("apt-get") is None:
        raise NoServers(f"install Chromium, whatever your system calls it: {', '.join(_CHROMIUM)}")
    if os.geteuid() == 0:
        _install("Chromium", _CHROMIUM)
    else:
        _unpack(CACHE, "Chromium", _CHROMIUM)
    if (found := _chromium()) is None:
        raise NoServers("apt-get brought no Chromium: install it yourself")
    return found


def _chromium() -> Chromium | None:
    if (installed := Path("/usr/lib/chromium/chromium")).exists():
        return Chromium(installed, {})
    program = CACHE / "usr/lib/chromium/chromium"
    if not program.exists():
        return None
    libraries = CACHE / "usr/lib/x86_64-linux-gnu"
    fonts = CACHE / "fonts.conf"
    fonts.write_text(
        f"<fontconfig><dir>{CACHE}/usr/share/fonts</dir><cachedir>{CACHE}/cache/fonts</cachedir></fontconfig>"
    )
    path = f"{libraries}:{CACHE}/lib/x86_64-linux-gnu:{libraries}/pulseaudio"
    return Chromium(program, {"LD_LIBRARY_PATH": path, "FONTCONFIG_FILE": str(fonts)})


def _install(names: str, packages: Sequence[str]) -> None:
    say(f"installing {names} with apt-get (once, about half a minute) …")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    _run(["apt-get", "-q", "update"], environment)
    # Their own services are not wanted: the stack starts servers of its own, on its own ports.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        _run(["apt-get", "-q", "install", "-y", "--no-install-recommends", *packages], environment)
    finally:
        if ours:
            policy.unlink()


def _unpack(folder: Path, names: str, packages: Sequence[str]) -> None:
    """Debian's packages without root: fetched, then unpacked into a folder."""
    say(f"unpacking {names} into {folder.name}/ (once, some 120 MB) …")
    apt = folder / ".apt"
    for sub in ("lists/partial", "archives/partial"):
        (apt / sub).mkdir(parents=True, exist_ok=True)
    options = [
        f"Dir::State={apt}",
        f"Dir::State::Lists={apt}/lists",
        "Dir::State::status=/var/lib/dpkg/status",
        f"Dir::Cache={apt}",
        f"Dir::Cache::archives={apt}/archives",
        f"Dir::Log={apt}",
        f"APT::Sandbox::User={os.environ.get('USER', str(os.getuid()))}",
        *_BARE_APT,
    ]
    get = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    _run([*get, "update"])
    _run([*get, "install", "-y", "--download-only", "--no-install-recommends", *packages])
    for package in sorted((apt / "archives").glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(folder)])
    shutil.rmtree(apt)
    erl = folder / "usr/lib/erlang/bin/erl"
    if erl.exists():  # Debian's erl ignores ERL_ROOTDIR
        erl.write_text(erl.read_text().replace("=/usr/lib/erlang", f"={folder}/usr/lib/erlang"))


if __name__ == "__main__":
    try:
        find_programs()
    except NoServers as error:
        sys.exit(str(error))
