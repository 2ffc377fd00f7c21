"""Another version of Parley, from git, with an environment of its own; kept in build/versions."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from stack.parley import ROOT

BUILD = ROOT / "build" / "versions"


@dataclass(frozen=True, slots=True)
class Version:
    """name: as git shortens it. root: its checkout. python: of its environment."""

    name: str
    root: Path
    python: str


def version(rev: str) -> Version:
    """Made where it isn't there yet: half a minute."""
    shortened = subprocess.run(["git", "rev-parse", "--short", rev], cwd=ROOT, capture_output=True, text=True)
    if shortened.returncode:
        sys.exit(f"git knows no version {rev}")
    name = shortened.stdout.strip()
    folder = BUILD / name
    if not (folder / "app").exists():
        folder.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", rev], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "x", "-C", str(folder)], input=archive, check=True)
    python = folder / ".venv" / "bin" / "python"
    if not (folder / ".venv" / "ok").exists():
        print(f"an environment for {name} (once, about half a minute) …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / ".venv")], check=True)
        install = [
            "-m",
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "--no-deps",
            "-r",
            str(folder / "requirements.lock"),
        ]
        subprocess.run([str(python), *install], check=True)
        (folder / ".venv" / "ok").touch()
    return Version(name, folder, str(python))
