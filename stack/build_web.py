"""python -m stack.build_web: the web client, built once for each state of `web/`. Needs nothing but Python.

Node 20.19 or newer is taken where it is there, else as a package (`requirements-node.lock`). With --or-without a failure
is told, and is none: the service runs without its client, and `/` says so.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
NODE_MIN = (20, 19)
_STATE = ".state"
_LEFT_OUT = {"node_modules", "dist"}


class NoNode(Exception):
    """There is none, and none can be installed."""


def state() -> str:
    """A digest of all that the client is built from."""
    digest = sha256()
    for folder, folders, names in os.walk(WEB):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in sorted(names):
            path = Path(folder, name)
            digest.update(f"{path.relative_to(WEB).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_built() -> bool:
    kept = WEB / "dist" / _STATE
    return kept.exists() and kept.read_text() == state()


def node() -> Path:
    """Raises NoNode."""
    for found in filter(None, (shutil.which("node"), _packaged())):
        told = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
        version = re.match(r"v(\d+)\.(\d+)\.", told)
        if version and tuple(map(int, version.groups())) >= NODE_MIN and (Path(found).parent / "npm").exists():
            return Path(found)
    print("installing Node as a package (once) …", flush=True)
    install = [sys.executable, "-m", "pip", "install", "-q", "--require-hashes", "--no-deps", "-r"]
    if subprocess.run([*install, str(ROOT / "requirements-node.lock")], cwd=ROOT).returncode == 0 and (
        by := _packaged()
    ):
        return Path(by)
    raise NoNode("there is no Node 20.19 or newer, and it couldn't be installed")


def _packaged() -> str | None:
    beside = Path(sys.executable).parent / "node"
    return str(beside) if beside.exists() else None


def packages() -> Path:
    """What the client is built with, by its lock file, installed once for each state of that; the Node to run it with.
    Raises NoNode, CalledProcessError."""
    by = node()
    lock = WEB / "package-lock.json"
    kept = WEB / "node_modules" / _STATE
    now = sha256(lock.read_bytes()).hexdigest()
    if not kept.exists() or kept.read_text() != now:
        print("installing what the web client is built with (once, about half a minute) …", flush=True)
        npm(by, WEB, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        kept.write_text(now)
    return by


def npm(by: Path, folder: Path, *arguments: str) -> None:
    """Of this Node, in this folder. Raises CalledProcessError."""
    environment = os.environ | {"PATH": f"{by.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run([str(by.parent / "npm"), *arguments], cwd=folder, env=environment, check=True, stdout=sys.stderr)


def build() -> None:
    """Raises NoNode, CalledProcessError."""
    if is_built():
        return
    by, now = packages(), state()
    print("building the web client (once for each state of web/) …", flush=True)
    npm(by, WEB, "run", "--silent", "build")
    (WEB / "dist" / _STATE).write_text(now)


def check() -> None:
    """Types, transcripts, the first load's size, catalogues: what `make check` runs. Raises NoNode, CalledProcessError."""
    by = packages()
    build()
    npm(by, WEB, "run", "--silent", "check")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--or-without", action="store_true")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    try:
        check() if asked.check else build()
    except (NoNode, subprocess.CalledProcessError, OSError) as error:
        if not asked.or_without:
            sys.exit(f"the web client can't be built: {error}")
        print(f"parley: the web client can't be built, it runs without: {error}", flush=True)
