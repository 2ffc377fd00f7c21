"""What an operator's day brings: servers restarted under load, processes replaced, the embedded process killed."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.domain.command import Command
from parley_client import Problem, Rejected
from stack.pace import paced, within
from stack.parley import Role
from stack.processes import wait_until
from stack.servers import Servers
from tests import actions as c
from tests.faults.load import Load
from tests.scenarios.test_accounts import refused
from tests.world import (
    LANES,
    People,
    World,
    new_id,
    start_embedded,
    start_real,
    stop_embedded,
    straight_to_the_queue,
)

COME_AND_GO_S = int(os.environ.get("COME_AND_GO_S", "12"))
"""How long workers come and go; `make handover` gives a minute. The database is stopped for a third of it."""


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[World, Servers]]:
    """A stack of its own, since its servers are ended."""
    servers = Servers(fsync=False)
    servers.start()
    (servers.folder / "cuts").mkdir()
    environment = {"REQUESTS_PER_S": "1000", "CUT_POINTS": str(servers.folder / "cuts")}
    world = start_real(servers, environment=environment, program="tests.faults.planted")
    yield world, servers
    assert world.stack is not None and world.model is not None
    world.stack.stop()
    world.model.child.stop()
    servers.stop()


@pytest.fixture
async def crowd(own: tuple[World, Servers]) -> AsyncIterator[People]:
    people = People(own[0])
    yield people
    await people.close()


async def metric(url: str, pattern: str) -> float:
    async with httpx2.AsyncClient() as http:
        found = re.search(pattern + r" ([0-9.e+]+)$", (await http.get(f"{url}/metrics")).text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


async def readiness(url: str, code: int = 200) -> tuple[str, dict[str, str]]:
    """code: of the answer; 0 for any."""
    async with httpx2.AsyncClient() as http:
        answer = await http.get(f"{url}/readyz")
    assert code in (0, answer.status_code), answer.text
    told = answer.json()
    return told["status"], told["parts"]


async def test_redis_killed_and_started_again_under_load(own: tuple[World, Servers], crowd: People) -> None:
    _world, servers = own
    load = await Load.start(crowd)
    reader, owner = await crowd.make(), await crowd.make()
    chat_id = await crowd.group(owner, reader)
    await owner.rest.patch(f"/v1/chats/{chat_id}/members/{reader.id}", {"role": "reader"})
    client = await reader.client(0)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(servers.redis.child.kill)
    refusal = client.send(chat_id, "refused while Redis is down")
    fresh = await crowd.group(owner, reader)
    await asyncio.sleep(1)
    status, parts = await readiness(_world.urls[0])
    assert (
        status == "degraded" and parts["fan-out"].startswith("Redis ") and parts["database"] == parts["broker"] == "ok"
    )
    await asyncio.to_thread(servers.redis.start)
    with pytest.raises(Rejected):
        await asyncio.wait_for(refusal, paced(5))
    await client.wait_for(lambda: fresh in client.chats, 5)
    await load.end(servers.postgres.url)


@pytest.mark.long
async def test_with_the_broker_down_history_answers_and_sending_is_unavailable(
    own: tuple[World, Servers], crowd: People
) -> None:
    _, servers = own
    anna = await crowd.make()
    chat_id = await crowd.group(anna)
    socket = await anna.socket()
    await asyncio.to_thread(servers.rabbitmq.child.kill)
    try:
        await asyncio.sleep(0.3)
        page = await anna.rest.get(f"/v1/chats/{chat_id}/messages")
        assert page["items"] == []
        problem = await refused(
            anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "x"})
        )
        assert (problem.status, problem.code) == (503, "unavailable") and problem.body["retry_after_ms"] > 0
        send = {"type": "message.send", "chat_id": chat_id, "client_message_id": new_id(), "body": "x"}
        answer = await socket.ask(send)
        assert (answer["type"], answer["code"]) == ("error", "unavailable") and answer["retry_after_ms"] > 0
        status, parts = await readiness(_.urls[0])
        assert status == "degraded" and "broker can't be reached" in parts["broker"], "reading goes on"
        assert _.stack is not None
        worker = next(role for role in _.stack.roles if role.role == "worker")
        status, parts = await readiness(worker.url, 503)
        assert status == "unavailable" and parts["database"] == "ok"
    finally:
        await asyncio.to_thread(servers.rabbitmq.start)
    async with within(15):
        while (await readiness(_.urls[0]))[0] != "ready":
            await asyncio.sleep(0.2)
    async with within(15):
        while True:
            with suppress(Problem):
                sent = await anna.rest.post(
                    f"/v1/chats/{chat_id}/messages", {"client_message_id": send["client_message_id"], "body": "x"}
                )
                assert sent["seq"] == 2
                break
            await asyncio.sleep(0.2)


async def loads_in_all_lanes(crowd: People) -> list[Load]:
    """Somebody talks in each lane."""
    loads: dict[int, Load] = {}
    while len(loads) < LANES.count:
        load = await Load.start(crowd)
        if loads.setdefault(LANES.of(load.chat_id), load) is not load:
            await load.stop()
    return list(loads.values())


@pytest.mark.long
async def test_a_second_worker_takes_half_of_the_lanes_and_workers_come_and_go(
    own: tuple[World, Servers], crowd: People
) -> None:
    world, servers = own
    assert world.stack is not None
    loads = await loads_in_all_lanes(crowd)
    first, second = world.stack.workers
    await asyncio.to_thread(second.child.stop)
    await first_holds(first, LANES.count)
    await asyncio.to_thread(second.start)
    async with within(10):
        while [await active_lanes(worker) for worker in (first, second)] != [1, 1]:
            await asyncio.sleep(0.2)

    async def stop_the_database() -> None:
        await asyncio.sleep(5)
        servers.postgres.child.pause()
        await asyncio.sleep(COME_AND_GO_S / 3)
        servers.postgres.child.resume()

    stopping = asyncio.create_task(stop_the_database())
    until = time.monotonic() + COME_AND_GO_S
    while time.monotonic() < until:  # the second one leaves in order, or is killed, and joins again
        for end in (second.child.stop, second.child.kill):
            await asyncio.sleep(3)
            await asyncio.to_thread(end)
            await asyncio.sleep(3)
            second.start_soon()
    await stopping
    await asyncio.to_thread(second.wait_started)
    for load in loads:
        await load.end(servers.postgres.url)


async def first_holds(worker: Role, lanes: int) -> None:
    async with within(15):
        while await active_lanes(worker) != lanes:
            await asyncio.sleep(0.2)


async def active_lanes(worker: Role) -> float:
    return await metric(worker.url, r'parley_worker_lanes\{state="active"\}')


async def test_removed_and_added_again_in_one_batch_the_open_socket_has_the_chat_also_without_redis(
    own: tuple[World, Servers], crowd: People
) -> None:
    world, servers = own
    owner, other = await crowd.make(), await crowd.make()
    for redis_is_down in (False, True):
        chat_id = await crowd.group(owner, other)
        socket = await other.socket()
        if redis_is_down:
            await asyncio.to_thread(servers.redis.child.kill)
        began = time.monotonic()
        remove = Command(chat_id, owner.id, new_id(), c.RemoveMember(other.id))
        add = Command(chat_id, owner.id, new_id(), c.AddMember(other.id, "member"))
        await straight_to_the_queue(world, remove, add)
        joined = await socket.expect("chat.joined", 5)
        assert (joined["chat"]["id"], joined["after"]) == (chat_id, 2)
        added = await socket.expect("member.added", 5)
        assert (added["seq"], added["member"]["user"]["id"]) == (3, other.id)
        assert time.monotonic() - began < paced(5)
        removal = [f for f in socket.seen if f["type"] == "member.removed"]
        assert [f["seq"] for f in removal] == [2]
    await asyncio.to_thread(servers.redis.start)


async def test_a_refusal_that_is_delivered_again_after_the_unmute_stays_one(
    own: tuple[World, Servers], crowd: People
) -> None:
    world, servers = own
    assert world.stack is not None
    owner, other = await crowd.make(), await crowd.make()
    chat_id = await crowd.group(owner, other)
    await owner.rest.patch(
        f"/v1/chats/{chat_id}/members/{other.id}", {"role": "member", "muted_until": "2099-01-01T00:00:00Z"}
    )
    head = (await owner.rest.get(f"/v1/chats/{chat_id}"))["head"]
    socket = await other.socket(1)
    cut = servers.folder / "cuts" / "ack"
    cut.touch()
    send = Command(chat_id, other.id, new_id(), c.SendMessage("said while muted"))
    unmute = Command(chat_id, owner.id, new_id(), c.UpdateMember(other.id, ("muted_until",), None, None))
    await straight_to_the_queue(world, send, unmute)
    await socket.expect("rejected", client_message_id=send.id, code="muted")
    workers = world.stack.workers
    await asyncio.to_thread(wait_until, lambda: not all(w.child.running() for w in workers), "the cut", 10)
    for worker in workers:
        if not worker.child.running():
            await asyncio.to_thread(worker.start)
    # What is said now comes after the envelope that was delivered again.
    after = await other.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "after"})
    assert after["seq"] == head + 2
    problem = await refused(
        other.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": send.id, "body": "said while muted"})
    )
    assert (problem.status, problem.code) == (403, "muted")
    answer = await socket.ask(
        {"type": "message.send", "chat_id": chat_id, "client_message_id": send.id, "body": "said while muted"}
    )
    if answer["type"] == "accepted":
        answer = await socket.expect("rejected", client_message_id=send.id)
    assert answer["code"] == "muted"
    page = await owner.rest.get(f"/v1/chats/{chat_id}/messages")
    assert [m["body"] for m in page["items"]] == ["after"]


@pytest.mark.long
async def test_a_rolling_restart_with_a_new_secret_loses_nothing(own: tuple[World, Servers], crowd: People) -> None:
    world, servers = own
    assert world.stack is not None
    load = await Load.start(crowd)
    old = world.stack.environment["JWT_SECRET"]
    for secrets in (f"{old},a new secret of sixteen", f"a new secret of sixteen,{old}"):
        for role in world.stack.roles:
            role.child.environment["JWT_SECRET"] = secrets
            await asyncio.to_thread(role.child.stop)
            await asyncio.to_thread(role.start)
    await load.end(servers.postgres.url)


async def test_a_logout_is_known_to_a_gateway_that_starts_later(own: tuple[World, Servers], crowd: People) -> None:
    world, _ = own
    assert world.stack is not None
    anna = await crowd.make()
    await anna.rest.post("/v1/auth/logout")
    gateway = world.stack.make("gateway", 9)
    await asyncio.to_thread(gateway.start)
    try:
        async with httpx2.AsyncClient() as http:
            answer = await http.get(
                f"{gateway.url}/v1/me", headers={"Authorization": f"Bearer {anna.rest.access_token}"}
            )
        assert answer.status_code == 401
    finally:
        await asyncio.to_thread(gateway.child.stop)


@pytest.mark.long
async def test_the_assistant_worker_or_redis_ended_in_mid_answer(own: tuple[World, Servers], crowd: People) -> None:
    world, servers = own
    assert world.stack is not None
    anna = await crowd.make()
    chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])
    client = await anna.client(0)

    def ends() -> list[Any]:
        return [e["message"] for e in client.chats[chat_id].events if e["type"] == "message.completed"]

    for count, child in enumerate((servers.redis.child, world.stack.assistants[0].child), 1):
        await client.send(chat_id, 'script: {"words": 60, "every_ms": 30}')
        await asyncio.sleep(0.8)
        await asyncio.to_thread(child.kill)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(servers.redis.start if count == 1 else world.stack.assistants[0].start)
        await client.wait_for(lambda n=count: len(ends()) >= n, 40)  # type: ignore[misc]
        end = ends()[-1]
        assert (end["status"], len(end["body"].split())) == ("complete", 60)
        assert end["attempt"] == count, "only a dead holder's reply is begun anew"
    await asyncio.sleep(2)
    assert len(ends()) == 2


@pytest.mark.long
async def test_the_embedded_process_killed_in_mid_answer_ends_it_after_its_restart() -> None:
    folder = Path(tempfile.mkdtemp(prefix="parley-k-", dir="/tmp"))
    world = start_embedded(folder=folder)
    assert world.role is not None
    people = People(world)
    anna = await people.make()
    chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])
    client = await anna.client()
    sent = await client.send(chat_id, "twenty sentences")
    await asyncio.sleep(1.5)
    began = time.monotonic()
    world.role.child.kill()
    world.role.start()
    ends = await client.wait_for(
        lambda: [e for e in client.chats[chat_id].events if e["type"] == "message.completed"], 45
    )
    assert ends[0]["message"]["status"] == "complete" and ends[0]["message"]["attempt"] == 2
    assert time.monotonic() - began < paced(45)
    page = await anna.rest.get(f"/v1/chats/{chat_id}/messages")
    assert [m["id"] for m in page["items"]][-1] == sent["message"]["id"] and len(page["items"]) == 2
    await people.close()
    stop_embedded(world)


@pytest.mark.long
def test_half_a_world_refuses_to_start_and_says_why(tmp_path: Path) -> None:
    import subprocess
    import sys

    from stack.parley import ROOT

    for role, environment, words in (
        ("all", {"BROKER_URL": "amqp://x/"}, "DATABASE_URL"),
        ("all", {"REDIS_URL": "redis://x/"}, "BROKER_URL"),
        ("all", {"DATABASE_URL": "postgresql://x/y"}, "BROKER_URL"),
        ("worker", {}, "alone"),
        ("all", {"PORT": "many"}, "PORT"),
        ("all", {"BROKER_URL": "kafka://x"}, "BROKER_URL"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "app", role], cwd=ROOT, capture_output=True, text=True, timeout=paced(20),
            env={"DATA_DIR": str(tmp_path), **environment},
        )  # fmt: skip
        assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
