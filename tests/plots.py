"""python -m tests.plots: the real stack under load for 30 s, and what each panel of each dashboard shows of it.

Asks a real Prometheus every expression, as Grafana would, and draws what it answers: docs/pictures/*.png.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from grafana.make_dashboards import FOLDER, made
from stack.parley import ROOT
from stack.prometheus import Prometheus
from stack.servers import Servers
from tests.scenarios.test_dashboards import load
from tests.world import start_real

PICTURES = ROOT / "docs" / "pictures"
LOAD_S = 30


def main() -> None:
    with ExitStack() as ending, TemporaryDirectory(prefix="parley-p-", dir="/tmp") as folder:
        servers = Servers()
        ending.callback(servers.stop)
        servers.start()
        world = start_real(servers)
        assert world.stack is not None and world.model is not None
        ending.callback(world.model.child.stop)
        ending.callback(world.stack.stop)
        prometheus = Prometheus([role.url.removeprefix("http://") for role in world.stack.roles], Path(folder))
        ending.callback(prometheus.stop)
        prometheus.start()
        began = time.time()
        asyncio.run(load(world, LOAD_S))
        time.sleep(2)
        for name in made():
            picture = draw(name, prometheus.url, began, time.time())
            print(f"{name}: {picture.relative_to(ROOT)}", flush=True)


def draw(name: str, url: str, began: float, ended: float) -> Path:
    """One picture of a dashboard, a field for each of its panels."""
    dashboard = json.loads((FOLDER / name).read_text())
    panels = dashboard["panels"]
    columns = 3
    rows = math.ceil(len(panels) / columns)
    figure, fields = pyplot.subplots(rows, columns, figsize=(15, 2.7 * rows), squeeze=False, layout="constrained")
    for panel, field in zip(panels, fields.flat, strict=False):
        for target in panel["targets"]:
            for series in asked(url, target["expr"], began, ended):
                points = [(float(at) - began, float(value)) for at, value in series["values"]]
                legend = target["legendFormat"]
                for label, value in series["metric"].items():
                    legend = legend.replace("{{" + label + "}}", value)
                legend = re.sub(r"{{\w+}}", "none", legend)
                field.plot(*zip(*points, strict=True), label=legend, linewidth=1)
        field.set_title(f"{panel['title']} ({panel['fieldConfig']['defaults']['unit']})", fontsize=9)
        field.tick_params(labelsize=7)
        field.set_ylim(bottom=0)
        field.legend(fontsize=6, loc="upper left")
    for field in list(fields.flat)[len(panels) :]:
        field.remove()
    figure.suptitle(f"{dashboard['title']}: seconds since the load began")
    PICTURES.mkdir(exist_ok=True)
    picture = PICTURES / f"{Path(name).stem}.png"
    figure.savefig(picture, dpi=80)
    pyplot.close(figure)
    return picture


def asked(url: str, expression: str, began: float, ended: float) -> list[dict[str, Any]]:
    params: dict[str, str | float] = {
        "query": expression.replace("$__rate_interval", "8s"), "start": began, "end": ended, "step": 1,
    }  # fmt: skip
    answer = httpx2.get(f"{url}/api/v1/query_range", params=params).json()
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


if __name__ == "__main__":
    main()
