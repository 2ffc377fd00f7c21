"""The dashboards and rules: every expression asked of a real Prometheus that scrapes a stack under load."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from grafana.make_dashboards import FOLDER, made
from stack.pace import paced
from stack.packages import find_programs
from stack.parley import ROOT
from stack.prometheus import Prometheus
from tests.world import People, World

GRAFANA = ROOT / "grafana"


def test_the_dashboards_are_as_they_are_made() -> None:
    assert {file.name: file.read_text() for file in FOLDER.glob("*.json")} == made()


def test_rules_parse_and_fire_when_they_should() -> None:
    tool = find_programs().promtool
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        done = subprocess.run([str(tool), *command], cwd=GRAFANA, capture_output=True, text=True, timeout=paced(60))
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_its_paragraph() -> None:
    import yaml

    rules = yaml.safe_load((GRAFANA / "rules.yaml").read_text())["groups"][0]["rules"]
    tested = (GRAFANA / "rules_test.yaml").read_text()
    book = (ROOT / "docs" / "operate.md").read_text()
    for rule in rules:
        assert f"**{rule['alert']}**" in book and f"alertname: {rule['alert']}" in tested, rule["alert"]


@pytest.fixture
def prometheus(real: World, tmp_path: Path) -> Iterator[str]:
    assert real.stack is not None
    prometheus = Prometheus([role.url.removeprefix("http://") for role in real.stack.roles], tmp_path)
    try:
        prometheus.start()
        yield prometheus.url
    finally:
        prometheus.stop()


async def load(world: World, seconds: float) -> None:
    """A little of everything: messages, answers, refusals, 404s."""
    people = People(world)
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    client, socket = await anna.client(0), await bert.socket(1)
    reading = asyncio.create_task(socket.closed(60))
    until = asyncio.get_running_loop().time() + seconds
    async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
        while asyncio.get_running_loop().time() < until:
            await client.send(chat_id, '@assistant script: {"words": 3, "every_ms": 5}')
            await asyncio.gather(*(client.send(chat_id, "words") for _ in range(10)))
            await http.get("/v1/me")
            await asyncio.sleep(0.2)
    reading.cancel()
    await people.close()


@pytest.mark.long
async def test_every_panel_has_data_under_load(real: World, prometheus: str) -> None:
    await load(real, 8)
    empty = []
    async with httpx2.AsyncClient(base_url=prometheus) as http:
        for name in made():
            for panel in json.loads((FOLDER / name).read_text())["panels"]:
                for target in panel["targets"]:
                    expression = target["expr"].replace("$__rate_interval", "8s")
                    found = await value(http, expression)
                    if not found or all(v in ("NaN", "+Inf") for v in found):
                        empty.append(f"{name}: {panel['title']}: {expression}")
        up = await value(http, 'up{job="parley"}')
        alerts = (await http.get("/api/v1/rules")).json()["data"]["groups"][0]["rules"]
    assert empty == []
    assert up == ["1"] * 5
    assert [rule["name"] for rule in alerts if rule["health"] == "err"] == []
    assert [rule["name"] for rule in alerts if rule["state"] != "inactive"] == [], "a healthy stack"


async def value(http: httpx2.AsyncClient, expression: str) -> list[str]:
    answer: dict[str, Any] = (await http.get("/api/v1/query", params={"query": expression})).json()
    assert answer["status"] == "success", answer
    return [series["value"][1] for series in answer["data"]["result"]]
