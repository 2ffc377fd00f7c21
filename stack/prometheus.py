"""A Prometheus that scrapes processes of Parley, with the project's rules; for tests and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import httpx2

from stack.packages import find_programs
from stack.processes import Child, free_port, wait_until

RULES = Path(__file__).parents[1] / "grafana" / "rules.yaml"


class Prometheus:
    """targets: host:port of each process."""

    def __init__(self, targets: Sequence[str], folder: Path) -> None:
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "parley", "static_configs": [{"targets": list(targets)}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            str(find_programs().prometheus), f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        self.child = Child("prometheus", command, folder / "prometheus.log", {})

    def start(self) -> None:
        self.child.start()
        wait_until(self._ready, "Prometheus", 20)

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/-/ready").status_code == 200
        except httpx2.HTTPError:
            return False

    def stop(self) -> None:
        self.child.stop()
