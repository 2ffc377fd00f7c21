"""Databases that take nothing for a while, read only or with a full disk, and a network that is cut or stands still. Nothing
is lost, nothing ends, and it is told."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from parley_client import Problem
from stack.pace import paced, within
from stack.parley import ROOT, Role
from stack.servers import Servers
from tests.faults.load import Load
from tests.faults.test_recovery import readiness
from tests.faults.wire import Wire
from tests.scenarios.test_accounts import refused
from tests.world import People, World, new_id, start_real

NETWORK_ROUNDS = int(os.environ.get("NETWORK_ROUNDS", "1"))
"""How often each server's network is cut and stands still; `make test-long` does it four times."""
READ_ONLY_S = float(os.environ.get("PASSING_S", "4"))
"""How long a state lasts; `make test-long` gives half a minute."""


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[World, dict[str, Wire]]]:
    """A stack of its own, since its database is changed, with a network of its own between it and its servers."""
    servers = Servers(fsync=False)
    servers.start()
    urls = {"DATABASE_URL": servers.postgres.url, "BROKER_URL": servers.rabbitmq.url, "REDIS_URL": servers.redis.url}
    ports = {name: urlsplit(url).port or 0 for name, url in urls.items()}
    wires = {name: Wire(port) for name, port in ports.items()}
    through = {name: url.replace(f":{ports[name]}", f":{wires[name].port}") for name, url in urls.items()}
    world = start_real(servers, environment={"REQUESTS_PER_S": "1000"} | through)
    yield world, wires
    assert world.stack is not None and world.model is not None
    world.stack.stop()
    world.model.child.stop()
    for wire in wires.values():
        wire.close()
    servers.stop()


@pytest.fixture
async def crowd(own: tuple[World, dict[str, Wire]]) -> AsyncIterator[People]:
    people = People(own[0])
    yield people
    await people.close()


async def all_ready(world: World) -> None:
    assert world.stack is not None
    async with within(20):
        while [(await readiness(role.url, 0))[0] for role in world.stack.roles] != ["ready"] * len(world.stack.roles):
            await asyncio.sleep(0.2)
    assert all(role.child.running() for role in world.stack.roles)


@pytest.mark.long
async def test_a_network_that_is_cut_or_stands_still(own: tuple[World, dict[str, Wire]], crowd: People) -> None:
    """Between all processes and each of their servers in turn, under load and in the middle of answers."""
    world, wires = own
    assert world.stack is not None
    load = await Load.start(crowd)
    anna = await crowd.make()
    chats = [str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"]) for _ in range(4)]
    client, asked, n = await anna.client(1), 0, 0

    def ends() -> list[dict[str, Any]]:
        return [e["message"] for id_ in chats for e in client.chats[id_].events if e["type"] == "message.completed"]

    for _ in range(NETWORK_ROUNDS):
        for wire in wires.values():
            for stands_still in (False, True):
                for chat_id in chats:
                    n += 1
                    script = {"words": 40, "every_ms": 25, "n": n}
                    await asyncio.wait_for(client.send(chat_id, f"script: {json.dumps(script)}"), paced(40))
                asked += len(chats)
                await asyncio.sleep(0.4)
                if stands_still:
                    wire.freeze()
                    await asyncio.sleep(1.5)
                    wire.flow()
                else:
                    wire.cut()
                    await asyncio.sleep(0.1)
                    wire.cut(refuses=True)
                    await asyncio.sleep(0.8)
                    wire.flow()
                await client.wait_for(lambda count=asked: len(ends()) >= count, 60)  # type: ignore[misc]
    assert [(m["status"], len(m["body"].split())) for m in ends()] == [("complete", 40)] * asked
    await load.end(world.stack.environment["DATABASE_URL"])
    await all_ready(world)


@pytest.mark.long
async def test_a_database_that_is_read_only_for_a_while(own: tuple[World, dict[str, Wire]], crowd: People) -> None:
    world, _ = own
    assert world.stack is not None
    load = await Load.start(crowd)
    anna = await crowd.make()
    chat_id = await crowd.group(anna)
    url = world.stack.environment["DATABASE_URL"]
    operator = await asyncpg.connect(url)
    await operator.execute("set default_transaction_read_only = off")
    name = await operator.fetchval("select current_database()")
    others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()"
    await operator.execute(f'alter database "{name}" set default_transaction_read_only = on')
    await operator.fetch(others, name)
    until = time.monotonic() + READ_ONLY_S
    waits: list[int] = []
    seen: set[tuple[str, str]] = set()
    while time.monotonic() < until:
        found = await refused(
            anna.rest.post("/v1/auth/register", {"username": f"u{new_id()[:8]}", "password": "a long password"})
        )
        assert (found.status, found.code) == (503, "unavailable")
        waits.append(found.body["retry_after_ms"])
        status, parts = await readiness(world.urls[0])
        seen.add((status, parts["database"]))
        assert (await anna.rest.get(f"/v1/chats/{chat_id}/messages"))["items"] == [], "reading goes on"
        await asyncio.sleep(0.5)
    assert ("degraded", "the database takes nothing new: it is read only") in seen
    assert waits[-1] >= waits[0] >= 1_000
    await operator.execute(f'alter database "{name}" reset default_transaction_read_only')
    await operator.close()
    await load.end(url)
    async with within(15):
        while (await readiness(world.urls[0]))[0] != "ready":
            with suppress(Problem):
                await crowd.make()
            await asyncio.sleep(0.2)
    await all_ready(world)


@pytest.mark.long
async def test_a_disk_that_is_full_at_the_first_start() -> None:
    """One line, and an exit code; no half of a secret or a database is left that the next start would take for whole."""
    if not may_mount():
        return warnings.warn(
            "no file system may be mounted here: a first start on a full disk was not tried", stacklevel=1
        )
    folder = Path(tempfile.mkdtemp(prefix="parley-g-", dir="/tmp"))
    filled = "mount -t tmpfs -o size=64k,mode=700 none $0 && head -c 65536 /dev/zero > $0/filler; "
    script = filled + '"$@"; echo "exit $?" >&2; rm $0/filler; mount -o remount,size=16m $0; "$@" & '
    script += "for n in $(seq 100); do sleep 0.2; (exec 3<>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null && break; done; kill $!; wait $!"
    role = Role("embedded", "all", {"DATA_DIR": str(folder)}, folder)
    command = ["unshare", "-rm", "bash", "-c", script, str(folder), sys.executable, "-m", "app"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=role.child.environment, cwd=ROOT, capture_output=True, text=True, timeout=paced(60)
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert lines[0].startswith("parley: ") and lines[1] == "exit 2", done.stderr
    assert "full" in lines[0] or "No space left" in lines[0], lines[0]
    assert " is at http" in done.stdout and done.returncode == 0, "with room it starts as if nothing had been"
    shutil.rmtree(folder, ignore_errors=True)


def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
        return shutil.which("unshare") is not None and subprocess.run(mount, capture_output=True).returncode == 0


@pytest.mark.long
async def test_a_disk_that_is_full_for_a_while() -> None:
    """The embedded process on a file system of its own. Where none may be mounted, what SQLite raises of a full disk is
    tried in tests/contracts/test_full_disk.py alone: that is told."""
    if not may_mount():
        warnings.warn(
            "no file system may be mounted here: the whole process was not tried with a full disk", stacklevel=1
        )
        return
    folder = Path(tempfile.mkdtemp(prefix="parley-f-", dir="/tmp"))
    data = folder / "data"
    data.mkdir()
    role = Role("embedded", "all", {"DATA_DIR": str(data)}, folder)
    command: Any = role.child
    mounted = f'mount -t tmpfs -o size=8m,mode=700 none {data} && exec "$@"'
    command._command = ["unshare", "-rm", "sh", "-c", mounted, "sh", *command._command]
    role.start()
    people = People(World("embedded", [role.url], role=role))
    try:
        anna, ben = await people.make(), await people.make()
        chat_id = await people.group(anna, ben)
        client, listener = await anna.client(), await ben.client()
        inside = Path(f"/proc/{role.child.pid}/root{data}/filler")
        with suppress(OSError), open(inside, "wb", buffering=0) as filler:
            while True:
                filler.write(b"\x00" * 65_536)
        with suppress(OSError), open(inside, "ab", buffering=0) as filler:
            while True:
                filler.write(b"\x00" * 512)
        sent = [client.send(chat_id, f"{n} " + "x" * 3_000) for n in range(40)]
        began = time.monotonic()
        status, answered = 0, 0.0
        path = f"/v1/chats/{chat_id}/messages"
        answer = await anna.rest.call("POST", path, json={"client_message_id": new_id(), "body": "y" * 3_000})
        status, answered = answer.status_code, time.monotonic() - began
        assert status == 202 and 9 < answered < paced(13), "a caller hears after 10 s that it is open"
        assert (await readiness(role.url))[1]["database"] == "the database takes nothing new: its disk is full"
        assert role.child.running() and not any(one.done() for one in sent)
        inside.unlink()
        events = await asyncio.wait_for(asyncio.gather(*sent), paced(30))
        assert [event["seq"] for event in events] == sorted(event["seq"] for event in events), "nobody was refused"
        await listener.wait_for(lambda: (listener.chats[chat_id].cursor or 0) >= 42)
        async with within(15):
            while (await readiness(role.url))[0] != "ready":
                with suppress(Problem):
                    await people.make()
                await asyncio.sleep(0.2)
    finally:
        await people.close()
        role.child.stop()
        shutil.rmtree(folder, ignore_errors=True)
