"""A real OpenID provider (`oidc-provider` on Node) on loopback, for tests; installed once for each state of its lock file."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from stack import build_web
from stack.processes import Child, free_port, wait_until

FOLDER = Path(__file__).parent
_STATE = ".state"


def installed() -> Path:
    """The Node to run it with. Raises NoNode, CalledProcessError."""
    by = build_web.node()
    kept = FOLDER / "node_modules" / _STATE
    now = sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    if not kept.exists() or kept.read_text() != now:
        print("installing the OpenID provider of the tests (once, some seconds) …", flush=True)
        build_web.npm(by, FOLDER, "ci", "--no-audit", "--no-fund", "--loglevel=error")
        kept.write_text(now)
    return by


class Provider:
    """clients: as oidc-provider has them."""

    def __init__(self, folder: Path, clients: list[dict[str, Any]], audience: str = "parley", port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        asked = json.dumps({"port": self.port, "clients": clients, "audience": audience})
        by = installed()
        self.child = Child("provider", [str(by), "provider.mjs", asked], folder / "provider.log", {}, FOLDER)

    def start(self) -> None:
        self.child.start()
        wait_until(lambda: b"the provider is at" in self.child.log.read_bytes(), "the provider", 20)
