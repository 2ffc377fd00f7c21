"""python -m benchmarks.table: the last run as a table in docs/performance.md, and as a picture beside it. --check: whether they are there."""

from __future__ import annotations

import json
import math
import sys

from benchmarks.__main__ import OF_A_RATE, RESULT, compared
from stack.parley import ROOT

PAGE, PICTURE = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
BEGIN, END = "<!-- table -->\n", "<!-- end -->"
TO_REACH = {
    "w0_alone": 1 / 1.2, "w0_200": 1 / 2, "w0_1000": 1 / 3, "w1": 3.0, "w2": 3.0, "w2_join": 1 / 2, "w3": 1 / 2, "w4": 1.0, "w5": 1.0,
    "w7": 1.0,
}  # fmt: skip
"""How many times Socket.IO."""
_SHOWN = {"rate": "{:,.0f}/s", "seconds": "{:.1f} s", "p50_ms": "p50 {:.1f} ms", "p99_ms": "p99 {:.1f} ms", "max_ms": "latest {:.0f} ms", "sync_max_ms": "slowest sync {:.0f} ms",
          "kib": "{:.0f} KiB", "cpu_us": "{:,.0f} µs CPU", "bytes": "{:.1f} bytes for one of text"}  # fmt: skip
_LATEST_OF = ("steady",)
_WIDTH, _ROW, _LEFT, _EACH = 720, 26, 110, 90
"""Pixels: of the picture, a row, the names, and a doubling."""


def cell(workload: str, figures: dict[str, float]) -> str:
    names = [
        name for name in _SHOWN if name in figures and not (name == "rate" and workload not in OF_A_RATE + _LATEST_OF)
    ]
    names = [name for name in names if name != "max_ms" or workload in _LATEST_OF]
    if "seconds" in names:
        names = [name for name in names if name in ("seconds", "kib")]
    return ", ".join(_SHOWN[name].format(figures[name]) for name in names)


def table() -> str:
    result = json.loads(RESULT.read_text())
    lines = [
        "| | Parley | Socket.IO | the tutorial's | Parley is, times Socket.IO | to reach |",
        "|---|---|---|---|---|---|",
    ]
    for workload, servers in result.items():
        cells = [
            cell(workload, servers[name]) if name in servers else "–" for name in ("parley", "socketio", "tutorial")
        ]
        found, by = compared(workload, servers["parley"], servers.get("socketio", {}))
        told = f"{found:.2f}, by {by}" if found else "–"
        wanted = f"{TO_REACH[workload]:.2f}" if workload in TO_REACH else "–"
        lines.append(f"| `{workload}` | {' | '.join(cells)} | {told} | {wanted} |")
    return "\n".join(lines) + "\n"


def picture() -> str:
    """Of each workload a bar from as fast as Socket.IO to what Parley is, and a mark at what is to be reached."""
    result = json.loads(RESULT.read_text())
    rows = [
        (name, found)
        for name, servers in result.items()
        if (found := compared(name, servers["parley"], servers.get("socketio", {}))[0])
    ]
    height, middle = (len(rows) + 2) * _ROW, _LEFT + 3 * _EACH

    def x(times: float) -> float:
        return round(middle + _EACH * max(-3.0, min(3.0, math.log2(times))), 1)

    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        *(
            f'<line x1="{x(times)}" x2="{x(times)}" y1="{_ROW}" y2="{height - _ROW}" stroke="{"black" if times == 1 else "#ddd"}"/>'
            f'<text x="{x(times)}" y="{height - 9}" text-anchor="middle">{label}</text>'
            for times, label in ((1 / 8, "⅛ ×"), (1 / 4, "¼ ×"), (1 / 2, "½ ×"), (1, "Socket.IO"), (2, "2 ×"), (4, "4 ×"), (8, "8 ×"))
        ),
    ]  # fmt: skip
    for place, (name, found) in enumerate(rows):
        top = (place + 1) * _ROW
        begin, end = sorted((x(found), x(1)))
        wanted = TO_REACH.get(name)
        good = wanted is None or found >= wanted
        made.append(
            f'<text x="8" y="{top + 17}">{name}</text><rect x="{begin}" y="{top + 6}" width="{round(end - begin, 1)}" height="14"'
            f' fill="{"#3b7a57" if good else "#c26a3d"}"/>'
        )
        if wanted is not None:
            made.append(
                f'<line x1="{x(wanted)}" x2="{x(wanted)}" y1="{top + 2}" y2="{top + 24}" stroke="black" stroke-width="2"/>'
            )
        made.append(f'<text x="{_WIDTH - 60}" y="{top + 17}">{found:.2f} ×</text>')
    return "\n".join([*made, "</svg>"]) + "\n"


def main() -> None:
    head, _, rest = PAGE.read_text().partition(BEGIN)
    old, _, tail = rest.partition(END)
    if "--check" in sys.argv:
        if old != table() or not PICTURE.exists() or PICTURE.read_text() != picture():
            sys.exit("docs/performance.md isn't of the last run: python -m benchmarks.table")
        return
    PAGE.write_text(head + BEGIN + table() + END + tail)
    PICTURE.write_text(picture())


if __name__ == "__main__":
    main()
