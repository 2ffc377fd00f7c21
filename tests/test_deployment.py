"""The compose file, the image's steps, the balancer, the broker's users: held against the program, run where they can be."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aio_pika
import httpx2
import pytest
import yaml
from aiormq.exceptions import ChannelAccessRefused

from app.adapters.broker.rabbitmq.connection import queue_name
from app.adapters.redis_connection import connect
from app.infrastructure.settings import Settings
from stack.pace import paced
from stack.packages import find_programs
from stack.parley import ROOT
from stack.processes import Child, free_port, wait_until
from stack.servers import Servers
from tests.world import LANES, People, World, new_id, start_embedded, start_real

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}


@pytest.mark.parametrize(
    ("schema", "file"),
    [("compose-spec", "docker-compose.yaml"), ("github-workflows", ".github/workflows/ci.yaml")],
)
def test_files_are_good_by_their_schema(schema: str, file: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=paced(60))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_says_what_the_program_knows() -> None:
    settings = {name.upper() for name in Settings.model_fields}
    for service in OURS.values():
        assert set(service["environment"]) == settings - {"DATA_DIR"}, "each setting reaches each process"
        assert service["environment"]["PORT"] == "8000"
    assert sorted(service["command"][0] for service in OURS.values()) == ["assistant", "gateway", "gateway", "worker"]
    assert OURS["worker"]["deploy"]["replicas"] == 2
    text = (ROOT / "docker-compose.yaml").read_text()
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
    defaults = {name.upper(): str(field.default) for name, field in Settings.model_fields.items()}
    given = {
        name: value for name, value in re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", text) if name != "TRUSTED_PROXIES"
    }  # there the balancer is trusted
    assert given == {name: defaults[name] for name in given}
    example = (ROOT / ".env.example").read_text()
    assert asked <= set(re.findall(r"^#? ?([A-Z_0-9]+)=", example, re.MULTILINE))
    for path in re.findall(r"\./([\w./-]+):", text):
        assert (ROOT / path).exists(), path
    scraped = yaml.safe_load((ROOT / "grafana" / "prometheus.yaml").read_text())["scrape_configs"][0]["dns_sd_configs"][
        0
    ]
    assert set(scraped["names"]) == set(OURS)
    assert all(service["environment"]["METRICS_PORT"] == str(scraped["port"]) for service in OURS.values())


def test_the_image_is_made_of_make_targets_and_what_it_copies_exists() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "RUN make .venv/run.ok" in text and "/livez" in text and "USER parley" in text
    for copied in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE):
        for path in copied.split()[:-1]:
            kept = (ROOT / ".dockerignore").read_text().split()
            assert (ROOT / path).exists() and (f"!{path}" in kept or f"!{path.partition('/')[0]}" in kept)


@pytest.mark.long
def test_the_image_s_steps_give_a_program_that_serves(tmp_path: Path) -> None:
    """The Dockerfile's steps in an empty folder: what it copies, the make target that it runs, the program that it starts."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    keep |= {key: value for key, value in os.environ.items() if key.startswith("PIP_")}
    made = subprocess.run(
        ["make", ".venv/run.ok"], cwd=tmp_path, env=keep, capture_output=True, text=True, timeout=paced(180)
    )
    assert made.returncode == 0, made.stderr
    for name in ("app", "policies", "parley_client"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    port = free_port()
    command = [str(tmp_path / ".venv/bin/python"), "-m", "app", "all"]
    child = Child("image", command, tmp_path / "log", keep | {"PORT": str(port)}, tmp_path)
    child.start()
    try:
        wait_until(lambda: b" is at http" in child.log.read_bytes(), "the image's program", 60)
        assert httpx2.get(f"http://127.0.0.1:{port}/livez").status_code == 200
        assert httpx2.get(f"http://127.0.0.1:{port}/docs").status_code == 200
    finally:
        child.stop()


def test_the_service_unit_is_good_and_starts_what_is_there(tmp_path: Path) -> None:
    """By systemd's own judge where it is installed, with the paths that the unit names made to exist."""
    unit = ROOT / "deploy" / "parley.service"
    given: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            given.setdefault(name, []).append(value)
    [command] = given["ExecStart"]
    folder = Path(given["WorkingDirectory"][0])
    assert command == f"{folder}/.venv/bin/python -m app", "as make has set it up"
    for setting in given["Environment"]:
        assert setting.partition("=")[0].lower() in Settings.model_fields
    assert given["Environment"] == [f"DATA_DIR=/var/lib/{given['StateDirectory'][0]}"], "the folder that systemd makes"
    assert given["RestartPreventExitStatus"] == ["2"] and int(given["TimeoutStopSec"][0]) > 40
    judge = shutil.which("systemd-analyze")
    if judge is None:
        return warnings.warn("systemd-analyze isn't here: the unit was only read", stacklevel=1)
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace(f"{folder}/.venv/bin/python", sys.executable))
    done = subprocess.run([judge, "verify", "--man=no", copy], capture_output=True, text=True, timeout=paced(60))
    told = [line for line in (done.stdout + done.stderr).splitlines() if unit.name in line]
    assert not told and ("Unknown" not in done.stderr), done.stderr


@pytest.fixture
def balanced(real: World, tmp_path: Path) -> Iterator[str]:
    """The stack's gateways behind the compose file's balancer."""
    assert real.stack is not None
    port = free_port()
    one, two = (gateway.url.removeprefix("http://") for gateway in real.stack.gateways)
    environment = {"LISTEN": f"127.0.0.1:{port}", "GATEWAY1": one, "GATEWAY2": two}
    programs = find_programs()
    command = [str(programs.haproxy), "-f", str(ROOT / "deploy" / "haproxy.cfg")]
    child = Child("haproxy", command, tmp_path / "log", programs.environment | environment)
    child.start()

    def ready() -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    wait_until(ready, "HAProxy", 20)
    yield f"http://127.0.0.1:{port}"
    child.stop()


async def test_clients_talk_through_the_balancer(balanced: str) -> None:
    people = People(World("balanced", [balanced, balanced]))
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    clients = [await person.client() for person in (anna, bert, anna, bert)]
    sent = await clients[0].send(chat_id, "through the balancer")
    for client in clients:
        await client.wait_for(lambda c=client: (c.chats[chat_id].cursor or 0) >= sent["seq"], 5)  # type: ignore[misc]
    async with httpx2.AsyncClient(base_url=balanced) as http:
        for path in ("/metrics", "/%6detrics", "/%6Detrics?x", "/metrics/", "/m%65trics"):
            assert (await http.get(path)).status_code == 404, f"metrics are not for everybody: {path}"
        assert (await http.get("/docs")).status_code == 200
    await people.close()


@pytest.mark.long
async def test_the_broker_s_users_may_what_they_need_and_no_more(servers: Servers) -> None:
    programs = find_programs()
    vhost = await asyncio.to_thread(servers.rabbitmq.vhost, "users")
    environment = servers.rabbitmq.environment | {
        "FRONT_PASSWORD": "front",
        "WORKER_PASSWORD": "worker",
        "VHOST": "users",
    }
    environment["PATH"] = f"{programs.rabbitmq}:{environment['PATH']}"
    command = ["sh", str(ROOT / "deploy" / "rabbitmq-users.sh")]
    for _ in range(2):  # it may be run again
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=paced(120)
        )
        assert done.returncode == 0, done.stderr
    front, worker = (vhost.replace("guest:guest", who) for who in ("parley-front:front", "parley-worker:worker"))
    async with await aio_pika.connect(front) as connection:
        channel = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue("another", durable=True)
        channel = await connection.channel()
        queue = await channel.get_queue(queue_name(LANES, 0), ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await queue.consume(lambda message: None)  # type: ignore[arg-type,return-value]
    url = servers.postgres.database(f"users_{new_id()[:8]}")
    world = await asyncio.to_thread(
        lambda: start_real(servers, environment={"BROKER_URL": front}, database_url=url, workers=0)
    )
    assert world.stack is not None and world.model is not None
    world.stack.environment["BROKER_URL"] = worker
    world.stack.workers = [world.stack.make("worker", 7)]
    await asyncio.to_thread(world.stack.workers[0].start)
    people = People(world)
    anna = await people.make()
    chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])
    client = await anna.client()
    await client.send(chat_id, "hello")
    await client.wait_for(lambda: [e for e in client.chats[chat_id].events if e["type"] == "message.completed"], 20)
    await people.close()
    await asyncio.to_thread(world.stack.stop)
    world.model.child.stop()


def test_metrics_can_have_a_port_of_their_own(tmp_path: Path) -> None:
    port = free_port()
    world = start_embedded({"METRICS_PORT": str(port)}, tmp_path)
    assert world.role is not None
    inside = f"http://127.0.0.1:{port}"
    assert httpx2.get(f"{world.urls[0]}/metrics").status_code == 404
    assert "parley_sockets" in httpx2.get(f"{inside}/metrics").text
    for url in (world.urls[0], inside):
        assert httpx2.get(f"{url}/livez").status_code == httpx2.get(f"{url}/readyz").status_code == 200
    assert httpx2.get(f"{inside}/v1/me").status_code == 404, "nothing else is there"
    world.role.child.stop()


@pytest.mark.long
def test_check_says_in_words_what_is_wrong(real: World, tmp_path: Path) -> None:
    assert real.stack is not None
    role = real.stack.make("gateway", 8)
    done = role.run("check")
    bad = [line for line in done.stdout.splitlines() if line.startswith("BAD")]
    assert done.returncode == 1 and "ok   provider other: other-small at" in done.stdout, done.stdout + done.stderr
    assert len(bad) == 1 and bad[0].startswith("BAD  provider down: ") and "in PROVIDERS right?" in bad[0]
    role.child.environment = role.child.environment | {"PROVIDERS": ""}
    done = role.run("check")
    assert done.returncode == 0, done.stdout + done.stderr
    newest = max(path.name for path in (ROOT / "app/adapters/store/migrations/versions").glob("0*.py"))[:4]
    assert len(re.findall(r"^ok ", done.stdout, re.MULTILINE)) == 6 and f"schema {newest}" in done.stdout
    role.child.environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path)}
    done = role.run("check")
    assert done.returncode == 0 and "demo" in done.stdout
    (tmp_path / "jwt_secret").write_text("a secret that others may read")
    tmp_path.chmod(0o755)
    done = role.run("check", "--json")
    found = {line["name"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1 and set(found) == {"policies", "files", "database", "assistant"}
    assert not found["files"]["good"] and "chmod go=" in found["files"]["finding"] and found["database"]["good"]


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(slice(2, 3), id="one round"), pytest.param(slice(4), id="all rounds", marks=pytest.mark.long)],
)
def test_check_says_in_words_what_is_wrong_with_each_server(real: World, rounds: slice) -> None:
    assert real.stack is not None
    role = real.stack.make("gateway", 8)
    port, servers = free_port(), real.stack.servers

    async def name_two() -> None:
        redis: Any = connect(servers.redis.url)
        for name, rights in (
            ("mute", ("~*", "+@all", "resetchannels")),
            ("bare", ("~*", "&*", "+@all", "-@scripting")),
        ):
            await redis.execute_command("ACL", "SETUSER", name, "on", ">pw", *rights)
        await redis.aclose()

    asyncio.run(name_two())
    broker = servers.rabbitmq.vhost("checked")
    servers.rabbitmq.ctl("add_user", "reader", "pw")
    servers.rabbitmq.ctl("set_permissions", "-p", "checked", "reader", ".*", "", ".*")
    read_only = servers.postgres.database("check_read_only")
    servers.postgres._psql("postgres", 'alter database "check_read_only" set default_transaction_read_only = on')
    redis, database = servers.redis.url, real.stack.environment["DATABASE_URL"]
    no_right, no_channel = "it refuses this name the right", "give the name keys, channels and scripts"
    all_rounds: list[dict[str, tuple[str, str]]] = [
        {
            "REDIS_URL": (redis.replace("redis://", "redis://mute:pw@"), no_channel),
            "BROKER_URL": (broker.replace("guest:guest", "reader:pw"), no_right),
            "DATABASE_URL": (read_only, "the database is read only"),
            "OPENAI_BASE_URL": (real.urls[0], "Are OPENAI_BASE_URL, OPENAI_API_KEY and ASSISTANT_MODEL right?"),
        },
        {
            "REDIS_URL": (redis.replace("redis://", "redis://bare:pw@"), no_channel),
            "BROKER_URL": (broker.rpartition("/")[0] + "/nowhere", "it has no such vhost"),
            "DATABASE_URL": (f"{database}_not", "no such database"),
        },
        {
            "REDIS_URL": (redis.replace("redis://", "redis://bare:no@"), "it refuses the name or the password"),
            "BROKER_URL": (broker.replace("guest:guest", "guest:wrong-canary"), "it refuses the name or the password"),
            "COMMAND_SHARDS": ("4", "laid out for 8 shards"),
            "DATABASE_READ_URL": (f"{database}_not", "no such database"),
        },
        {"REDIS_URL": (f"redis://127.0.0.1:{port}/0", "nothing listens there")},
    ]
    for wrong in all_rounds[rounds]:
        given = {name: value for name, (value, _) in wrong.items()}
        role.child.environment = (
            role.child.environment
            | real.stack.environment
            | {"COMMAND_SHARDS": "8", "DATABASE_READ_URL": "", "PROVIDERS": ""}
            | given
        )
        done = role.run("check")
        bad = [line for line in done.stdout.splitlines() if line.startswith("BAD")]
        assert done.returncode == 1 and len(bad) == len(wrong), done.stdout + done.stderr
        assert all(any(words in line for line in bad) for _, words in wrong.values()), done.stdout + done.stderr
        assert "wrong-canary" not in done.stdout + done.stderr and "Traceback" not in done.stderr
