"""python -m benchmarks [--short] [--only w4,w0_200] [--servers parley]: Parley beside what people would build themselves.

Real servers with fsync, everything on one machine and on loopback, the load in a process of its own. Each workload is run with
each server in turn, three times (once with --short), and the median is told; a ladder is climbed once and the rate found is
run three times. Lost, doubled and reordered messages are counted in every run, the processor's time a message by process, and
what else used the machine: a figure from a busy machine is marked, never a failed run. Writes benchmarks/result.json
({workload: {server: {figure: number}}}); only ratios within one run mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS, Contender, settle
from stack.parley import ROOT
from stack.processes import tree
from stack.servers import Servers

RESULT = ROOT / "benchmarks" / "result.json"
P99_MS, LAST_P99_MS = 250.0, 500.0
LADDER = (200, 300, 400, 600, 1_000, 1_700, 2_200, 2_800, 3_500, 4_500, 5_800, 7_500, 9_700, 12_500)
BROADCASTS = (25, 50, 75, 100, 150, 220, 300, 400)
CLOCK = os.sysconf("SC_CLK_TCK")
CLIMB_S = 4.0
"""Of a step; what was found is run for longer, and where it doesn't hold the step below."""
HURRY_S = 48 * 60.0
"""From then on each is run once, so that it ends within the hour."""
BUSY_CORES = 0.25
"""More than so much used by others makes a figure doubtful."""

Figures = dict[str, float]


def load(spec: dict[str, Any], folder: Path, during: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """during: called when all have joined, where the load says so."""
    path = folder / "load.json"
    path.write_text(json.dumps(spec))
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=ROOT,
    )  # fmt: skip
    assert child.stdout is not None and child.stderr is not None
    lines = []
    for line in child.stdout:
        lines.append(line)
        if "joined" in line:
            during()
    if child.wait() != 0:
        raise RuntimeError(child.stderr.read()[-2_000:])
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def cpu_us(pids: list[int]) -> float:
    """CPU time of these processes and their living children, microseconds."""
    total = 0.0
    for root in pids:
        for pid in tree(root):
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += (int(fields[11]) + int(fields[12])) / CLOCK * 1e6
    return total


def machine_us() -> float:
    """What all of the machine used since its start, microseconds: user, nice, system, irq, softirq."""
    fields = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[n] for n in (0, 1, 2, 5, 6)) / CLOCK * 1e6


def memory_kib(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return float(text.split("VmRSS:")[1].split()[0])


class Syncs:
    """How long the disk itself takes meanwhile: a page written and synced fifty times a second, beside the servers' own."""

    def __init__(self, folder: Path) -> None:
        self._path, self._over = folder / "synced", threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self.latest_ms = 0.0

    def __enter__(self) -> Syncs:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        with open(self._path, "wb", buffering=0) as file:
            while not self._over.wait(0.02):
                began = time.monotonic()
                os.pwrite(file.fileno(), bytes(8_192), 0)
                os.fdatasync(file.fileno())
                self.latest_ms = max(self.latest_ms, 1e3 * (time.monotonic() - began))


class Watch:
    """CPU of a server's processes, and of everybody else, over a run; or from `again` on."""

    def __init__(self, pids: dict[str, int], all_ours: list[int]) -> None:
        self._pids, self._ours = pids, all_ours
        self.again()

    def again(self) -> None:
        self._began, self._at = self._now(), time.monotonic()

    def _now(self) -> tuple[dict[str, float], float, float]:
        children = os.times()
        own = (children.user + children.system + children.children_user + children.children_system) * 1e6
        return {name: cpu_us([pid]) for name, pid in self._pids.items()}, cpu_us(self._ours) + own, machine_us()

    def told(self, count: int) -> Figures:
        took = (time.monotonic() - self._at) * 1e6
        (was, ours_was, all_was), (is_, ours, all_) = self._began, self._now()
        used = {name: (is_[name] - was[name]) / max(1, count) for name in is_}
        foreign = max(0.0, (all_ - all_was) - (ours - ours_was)) / took
        return {
            "cpu_us": round(sum(used.values())),
            **{f"cpu_us_{name}": round(value) for name, value in used.items()},
            "foreign_cores": round(foreign, 2),
        }


class Bench:
    """A workload is a method: it makes its people and chats, runs the load, and says what came of it."""

    def __init__(self, servers: Servers, times: int) -> None:
        self.servers, self.times = servers, times
        self._best: dict[tuple[str, str], int] = {}

    def _ours(self, of: Contender) -> list[int]:
        servers = self.servers
        known = {servers.postgres.child.pid, servers.redis.child.pid, servers.rabbitmq.child.pid}
        return list(known | set(of.pids.values()))

    def _watched(self, of: Contender, spec: dict[str, Any]) -> Figures:
        watch = Watch(of.pids, self._ours(of))
        result = load(spec, self.servers.folder, watch.again if spec["do"] == "send" else lambda: None)
        return result | watch.told(result.get("sent", 1))

    def _rooms(self, of: Contender, chats: int = 20, members: int = 10, **more: Any) -> dict[str, Any]:
        kind = "parley" if of.name == "embedded" else of.name
        return {"kind": kind, "do": "send", "sockets": of.places(chats, members), "members": members} | more

    def _w0(self, of: Contender, rate: float, seconds: float, **more: Any) -> Figures:
        found = self._watched(of, self._rooms(of, rate=rate, seconds=seconds, **more))
        # Of one message: until the last of ten has it.
        return found | {"p50_ms": found["last_p50_ms"], "p99_ms": found["last_p99_ms"]}

    def w0_alone(self, of: Contender) -> Figures:
        return self._w0(of, 1, 60 if self.times > 1 else 20, chats=1, senders=1)

    def w0_200(self, of: Contender) -> Figures:
        return self._w0(of, 200, 15)

    def w0_1000(self, of: Contender) -> Figures:
        return self._w0(of, 1_000, 15)

    def w1(self, of: Contender) -> Figures:
        return self._highest(of, "w1", LADDER, 20, lambda spec: spec)

    def w1_plain(self, of: Contender) -> Figures:
        return self._highest(of, "w1_plain", LADDER, 20, lambda spec: spec | {"words": False})

    def w1_3s(self, of: Contender) -> Figures:
        return self._highest(of, "w1_3s", LADDER, 3, lambda spec: spec)

    def carried(self, of: Contender) -> Figures:
        """The highest rate with nothing lost, whatever the p99."""
        return self._highest(of, "carried", LADDER, 10, lambda spec: spec | {"p99_max": 60_000.0, "drain_s": 20})

    def overload(self, of: Contender) -> Figures:
        """Twice what it carried in w1: how much of that it still does, and how late; who is told that it is too much."""
        carried = self._best.get(("w1", of.name)) or self.w1(of)["rate"]
        found = self._watched(of, self._rooms(of, rate=2 * carried, seconds=10, drain_s=20))
        done = found["sent"] - found["lost"] / 10
        silent = round(found["lost"] - 10 * found["refused"])
        return found | {"rate": found["rate"] * done / found["sent"], "carried": carried, "lost": silent}

    def w2(self, of: Contender) -> Figures:
        spec = self._rooms(of, 1, 1_000, senders=1)
        return self._highest(of, "w2", BROADCASTS, 5, lambda _: spec | {"p99_max": LAST_P99_MS})

    def steady(self, of: Contender) -> Figures:
        """A minute at 60 % of what it carried in w1: the latest of all deliveries."""
        rate = 0.6 * (self._best.get(("w1", of.name)) or self.w1(of)["rate"])
        with Syncs(self.servers.folder) as syncs:
            found = self._watched(of, self._rooms(of, rate=rate, seconds=60))
        return found | {"sync_max_ms": syncs.latest_ms}

    def w6(self, of: Any) -> Figures:
        """A hundred answers at once, 50 tokens a second, two devices each: how much later a device has the first piece than
        the model's server said it, and how many bytes come for each of text. direct: a hundred who ask the model's server
        itself, in the same run; added: what is more than that."""
        said = {"kind": "parley", "words": 400, "every_ms": 20}
        direct = load(said | {"do": "direct", "sockets": [], "model": of.model_url, "count": 100}, self.servers.folder)
        settle()
        found = self._watched(of, said | {"do": "streams", "sockets": of.devices(100)})
        return found | {
            "direct_p50_ms": direct["p50_ms"], "direct_p99_ms": direct["p99_ms"],
            "added_p50_ms": found["p50_ms"] - direct["p50_ms"], "added_p99_ms": found["p99_ms"] - direct["p99_ms"],
        }  # fmt: skip

    def w1_open(self, of: Any) -> Figures:
        """W1 while a hundred questions are open at a provider that says nothing. alone: the rate of the same before they were
        asked."""
        alone = self._highest(of, "w1_alone", LADDER, 20, lambda spec: spec)
        of.ask(100, 'script: {"first_ms": 900000}')
        settle()
        found = self._highest(of, "w1_open", LADDER, 20, lambda spec: spec)
        return found | {"alone": alone["rate"], "alone_p99_ms": alone.get("p99_ms", 0.0), "open": of.open_questions()}

    def w7(self, of: Contender) -> Figures:
        return self._highest(of, "w7", LADDER, 10, lambda spec: spec)

    def _highest(
        self, of: Contender, name: str, ladder: tuple[int, ...], seconds: float,
        shaped: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> Figures:  # fmt: skip
        spec = shaped(self._rooms(of) if name != "w2" else {})

        def run(rate: int, for_s: float) -> tuple[bool, Figures]:
            found = self._watched(of, spec | {"rate": rate, "seconds": for_s})
            limit = spec.get("p99_max", P99_MS)
            late = found["last_p99_ms"] if name == "w2" else found["p99_ms"]
            whole = found["lost"] == found["doubled"] == found["errors"] == 0
            print(f"    {rate}/s: p50 {found['p50_ms']:.1f}, p99 {late:.1f} ms, {found['lost']:.0f} lost", flush=True)
            return bool(whole and late < limit and found["rate"] > 0.93 * rate), found | {"p99_ms": late}

        best = self._best.get((name, of.name), 0)
        found: Figures = {"rate": 0.0}
        if not best:
            for rate in ladder:
                good, _ = run(rate, min(CLIMB_S, seconds))
                settle()
                if not good:
                    break
                best = rate
            self._best[name, of.name] = best
        for rate in sorted((rate for rate in ladder if rate <= best), reverse=True):
            good, figures = run(rate, seconds)
            if good:
                return figures
        return found

    def w2_join(self, of: Contender) -> Figures:
        places = of.places(1, 1_000)
        return self._watched(of, {"kind": of.name, "do": "join", "sockets": places})

    def w3(self, of: Contender) -> Figures:
        """2,000 connect, all at once; then what an idle one takes."""
        places = of.places(200, 10)
        pid = next(pid for name, pid in of.pids.items() if name in ("gateway0", "node", "tutorial"))
        before, during = memory_kib(pid), list[float]()

        def joined() -> None:
            time.sleep(3)
            during.append((memory_kib(pid) - before) / len(places))

        result = load({"kind": of.name, "do": "join", "sockets": places, "stay_s": 4}, self.servers.folder, joined)
        return result | {"kib": round(during[0], 1)}

    def w4(self, of: Contender) -> Figures:
        pages = of.said(of.places(1, 10), 20_000)
        settle()
        spec = {"kind": of.name, "do": "history", "sockets": [], "pages": pages, "page_of": 50, "clients": 16}
        load(spec | {"seconds": 1.0}, self.servers.folder)
        return self._watched(of, spec | {"seconds": 6.0})

    def w5(self, of: Contender) -> Figures:
        places = of.places(50, 11)
        spec = {"kind": of.name, "do": "storm", "sockets": places, "members": 11, "count": 2_000}
        if of.name == "socketio":
            spec["after"] = 0 if not of.stored() else of.stored()
        return self._watched(of, spec)


WORKLOADS: dict[str, tuple[str, ...]] = {
    "w0_alone": ("parley", "socketio"),
    "w0_200": ("parley", "socketio"),
    "w0_1000": ("parley", "socketio"),
    "w1": ("parley", "socketio", "tutorial"),
    "w1_plain": ("parley", "socketio"),
    "w1_3s": ("parley", "socketio"),
    "carried": ("parley", "socketio"),
    "overload": ("parley", "socketio"),
    "steady": ("parley", "socketio"),
    "w2": ("parley", "socketio"),
    "w2_join": ("parley", "socketio"),
    "w3": ("parley", "socketio"),
    "w4": ("parley", "socketio"),
    "w5": ("parley", "socketio"),
    "w1_open": ("answering",),
    "w6": ("answering",),
    "w7": ("embedded", "socketio"),
}
"""Each with whom it is run; Parley may run in another shape."""
SHAPES = {"embedded": "parley", "answering": "parley"}
SHORT = ("w0_alone", "w0_200", "w0_1000", "w1", "w2_join", "w3", "w4", "w5")


def median(runs: list[Figures]) -> Figures:
    return {name: round(statistics.median(run[name] for run in runs if name in run), 2) for name in runs[0]}


OF_A_RATE = ("w1", "w1_plain", "w1_3s", "carried", "overload", "w2", "w4", "w7")
BY_THE_LATEST = ("steady",)
"""Those that are compared by how much a second, and by the latest delivery."""


def compared(workload: str, parley: Figures, other: Figures) -> tuple[float, str]:
    """(how many times the other Parley is, above 1 better; by which figure). 0 where there is nothing to compare."""
    name = "rate" if workload in OF_A_RATE else "max_ms" if workload in BY_THE_LATEST else "p50_ms"
    if "seconds" in parley:
        name = "seconds"
    if not parley.get(name) or not other.get(name):
        return 0.0, name
    of = parley[name] / other[name]
    return (of if name == "rate" else 1 / of), name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="each once, without the long ladders; at most 10 minutes")
    parser.add_argument("--only", help="these workloads, with commas between")
    parser.add_argument("--servers", help="these servers, with commas between")
    parser.add_argument("--times", type=int, help="so often each")
    parser.add_argument(
        "--keep", action="store_true", help="put what --only names into the result, in place of what is there"
    )
    asked = parser.parse_args()
    from benchmarks import table  # it reads what is written here

    workloads = asked.only.split(",") if asked.only else SHORT if asked.short else tuple(WORKLOADS)
    times = asked.times or (1 if asked.short or asked.only else 3)
    keeps = asked.keep or not (asked.only or asked.servers)
    result: dict[str, Any] = {}
    servers, began = Servers(fsync=True), time.monotonic()
    try:
        servers.start()
        bench = Bench(servers, times)
        for workload in workloads:
            runs: dict[str, list[Figures]] = {}
            names = [one for one in WORKLOADS[workload] if not asked.servers or one in asked.servers.split(",")]
            hurry = time.monotonic() - began > HURRY_S
            for turn in range(1 if hurry else times):
                for name in names if turn % 2 == 0 else names[::-1]:
                    print(f"  {workload}, {name}", flush=True)
                    with CONTENDERS[name](servers) as of:
                        found = getattr(bench, workload)(of)
                    settle()
                    runs.setdefault(name, []).append(found)
                    busy = "  (BUSY MACHINE)" if found.get("foreign_cores", 0) > BUSY_CORES else ""
                    print("    " + ", ".join(f"{key} {value:.1f}" for key, value in found.items()) + busy, flush=True)
            result[workload] = {
                SHAPES.get(name, name): median(runs[name]) | {"runs": len(runs[name])} for name in names
            }
            for name, figures in result[workload].items():
                times_, by = compared(workload, result[workload].get("parley", {}), figures)
                if name != "parley" and times_:
                    print(f"{workload}: parley is {times_:.2f} × {name}, by {by}", flush=True)
    finally:
        servers.stop()
    if keeps:
        before = json.loads(RESULT.read_text()) if asked.only else {}
        result = {name: (before | result)[name] for name in WORKLOADS if name in before | result}
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
        table.main()
        print(table.table())


if __name__ == "__main__":
    main()
