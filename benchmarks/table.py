"""python -m benchmarks.table: the last run as a table in docs/performance.md. --check: whether it is there."""

from __future__ import annotations

import json
import sys

from benchmarks.__main__ import OF_A_RATE, RESULT, ratio
from stack.parley import ROOT

PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- table -->\n", "<!-- end -->"
_SHOWN = {"rate": "{:,.0f}/s", "seconds": "{:.1f} s", "p50_ms": "p50 {:.1f} ms", "p99_ms": "p99 {:.1f} ms", "kib": "{:.0f} KiB",
          "cpu_us": "{:,.0f} µs CPU"}  # fmt: skip


def cell(workload: str, figures: dict[str, float]) -> str:
    names = [name for name in _SHOWN if name in figures and not (name == "rate" and workload not in OF_A_RATE)]
    if "seconds" in names:
        names = [name for name in names if name in ("seconds", "kib")]
    return ", ".join(_SHOWN[name].format(figures[name]) for name in names)


def table() -> str:
    result = json.loads(RESULT.read_text())
    lines = ["| | Parley | Socket.IO | the tutorial's | Parley is |", "|---|---|---|---|---|"]
    for workload, servers in result.items():
        own = servers.get("parley") or servers["embedded"]
        cells = [cell(workload, own)] + [
            cell(workload, servers[name]) if name in servers else "–" for name in ("socketio", "tutorial")
        ]
        told = ratio(workload, own, servers["socketio"]).replace(" ×", " × Socket.IO,")
        lines.append(f"| `{workload}` | {' | '.join(cells)} | {told} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    head, _, rest = PAGE.read_text().partition(BEGIN)
    old, _, tail = rest.partition(END)
    if "--check" in sys.argv:
        sys.exit(0 if old == table() else "docs/performance.md isn't of the last run: python -m benchmarks.table")
    PAGE.write_text(head + BEGIN + table() + END + tail)


if __name__ == "__main__":
    main()
