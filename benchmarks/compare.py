"""python -m benchmarks.compare --before REV: this version beside an older one, in turn, A B A B A B, on the same servers.

What is told is the ratio old/new of what a message costs: CPU time of gateway and worker together at two rates, and
the time until a member has it (p50). Above 1 this version is cheaper. Figures of one run only compare with each other.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.__main__ import cpu_us, load
from benchmarks.contenders import LIMITS, Parley
from stack.parley import ROOT, Stack
from stack.servers import Servers
from stack.versions import Version, version

RATES, SECONDS, TURNS = (1_000, 2_500), 10.0, 3


def measure(servers: Servers, of: Version, turn: int) -> dict[str, float]:
    """µs of CPU a message (gateway and worker), and p50, p99 in ms, by rate."""
    environment = LIMITS | {"DATABASE_URL": servers.postgres.database(f"compare_{of.name}_{turn}")}
    stack = Stack(
        servers, gateways=1, workers=1, assistants=0, environment=environment, root=of.root, python=of.python
    )  # fmt: skip
    found: dict[str, float] = {}
    stack.start()
    try:
        places = Parley(servers, stack).places(20, 10)
        spec: dict[str, Any] = {"kind": "parley", "do": "send", "sockets": places, "members": 10, "words": False}
        load(spec | {"rate": 500, "seconds": 3.0}, servers.folder)
        for rate in RATES:
            before = [cpu_us([role.child.pid]) for role in (stack.gateways[0], stack.workers[0])]
            result = load(spec | {"rate": rate, "seconds": SECONDS}, servers.folder)
            if result["lost"] or result["errors"]:
                raise SystemExit(f"{of.name} at {rate}/s: {result}")
            after = [cpu_us([role.child.pid]) for role in (stack.gateways[0], stack.workers[0])]
            gateway, worker = ((a - b) / result["sent"] for a, b in zip(after, before, strict=True))
            found |= {f"CPU at {rate}/s, µs": gateway + worker, f"p50 at {rate}/s, ms": result["p50_ms"]}
            print(
                f"  {of.name} at {rate}/s: gateway {gateway:.0f}, worker {worker:.0f} µs, p50 {result['p50_ms']:.1f},"
                f" p99 {result['p99_ms']:.1f} ms",
                flush=True,
            )
    finally:
        stack.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="HEAD~1", help="the older version, as git names it")
    old = version(parser.parse_args().before)
    new = Version("this", Path(ROOT), sys.executable)
    turns: list[tuple[dict[str, float], dict[str, float]]] = []
    servers = Servers(fsync=True)
    try:
        servers.start()
        for turn in range(TURNS):
            turns.append((measure(servers, old, turn), measure(servers, new, turn)))
    finally:
        servers.stop()
    for name in turns[0][0]:
        ratios = sorted(a[name] / b[name] for a, b in turns)
        print(f"{name}: {old.name}/this {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
