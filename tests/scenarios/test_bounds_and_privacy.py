"""I9, bounded: what a crowd takes is given back. I10, private: no text, token or key in logs or metrics."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from stack.pace import within
from stack.parley import Role
from stack.servers import Servers
from tests.scenarios.test_accounts import refused
from tests.world import People, Raw, World, new_id

CANARY = "canary-7f3a"


def roles_of(world: World) -> list[Role]:
    return world.stack.roles if world.stack is not None else [world.role] if world.role is not None else []


async def printed(world: World) -> str:
    """All that the processes have said so far: logs and metrics."""
    logs = "".join(role.child.log.read_text(errors="replace") for role in roles_of(world))
    async with httpx2.AsyncClient() as http:
        return logs + "".join([(await http.get(f"{role.url}/metrics")).text for role in roles_of(world)])


async def test_each_of_our_log_lines_is_a_json_object(world: World) -> None:
    for role in roles_of(world):
        lines = [json.loads(line) for line in role.child.log.read_text().splitlines() if line.startswith("{")]
        assert {"adapters", "started"} <= {line["event"] for line in lines}
        assert all(line["level"] and line["timestamp"].endswith("Z") for line in lines)


async def test_no_text_token_or_key_is_ever_printed(people: People) -> None:
    world = people.world
    anna = await people.make()
    name = f"{CANARY}-{new_id()[:8]}"
    async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
        made = (await http.post("/v1/auth/register", json={"username": name, "password": f"{CANARY} password"})).json()
        form = {"grant_type": "password", "username": name}
        for password in (f"{CANARY} password", f"{CANARY} wrong"):
            await http.post("/v1/auth/token", data=form | {"password": password})
        await http.post("/v1/auth/token", data={"grant_type": "refresh_token", "refresh_token": made["refresh_token"]})
        await http.get(f"/v1/me?access_token={CANARY}")
        await http.get("/v1/me", headers={"Authorization": f"Bearer {CANARY}"})
        await http.post("/v1/chats", content=CANARY, headers={"Authorization": f"Bearer {made['access_token']}"})
    chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant", "title": CANARY}))["id"])
    client = await anna.client()
    await client.send(chat_id, f"{CANARY} question")
    await client.wait_for(lambda: [e for e in client.chats[chat_id].events if e["type"] == "message.completed"], 20)
    await refused(anna.rest.post(f"/v1/chats/{new_id()}/messages", {"client_message_id": new_id(), "body": CANARY}))
    raw = await anna.socket()
    for line in (CANARY, f'{{"type":"{CANARY}"}}', f'{{"type":"message.send","ref":"{CANARY}","body":5}}'):
        await raw.socket.send(line)
    for hello in ({"token": CANARY}, {"ticket": CANARY}):
        bad = await Raw.open(world.urls[0])
        await bad.send({"type": "hello", **hello})
        await bad.closed()
    await raw.settle()
    secrets = [CANARY, made["access_token"], made["refresh_token"], anna.rest.access_token or ""]
    if world.stack is not None:
        secrets.append(world.stack.environment["JWT_SECRET"])
    said = await printed(world)
    assert "started" in said, "the logs are those of the processes"
    assert [secret for secret in secrets if secret in said] == []


def memory_mib(role: Role) -> float:
    pages = int(Path(f"/proc/{role.child.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files(role: Role) -> int:
    return len(os.listdir(f"/proc/{role.child.pid}/fd"))


@pytest.mark.long
async def test_what_a_crowd_takes_is_given_back_within_a_minute(real: World, servers: Servers) -> None:
    """Sockets, files, the broker's depth and the database's connections; memory stops growing after the first crowd."""
    assert real.stack is not None
    people = People(real)
    await crowd(people)
    await asyncio.sleep(1)
    base = await taken(real, servers)
    memory = {role.child.name: memory_mib(role) for role in roles_of(real)}
    for _ in range(3):
        await crowd(people)
    await people.close()
    async with within(60):
        while not given_back(await taken(real, servers), base):
            await asyncio.sleep(0.5)
    grown = {role.child.name: memory_mib(role) - memory[role.child.name] for role in roles_of(real)}
    assert max(grown.values()) < 25, grown


async def crowd(people: People) -> None:
    """Twenty people with three sockets each say five hundred things, and leave."""
    everybody = [await people.make("crowd") for _ in range(20)]
    chat_id = await people.group(everybody[0], *everybody[1:])
    clients = [await person.client(n) for person in everybody for n in range(3)]
    await asyncio.gather(*(client.send(chat_id, "words " * 200) for client in clients[::3] for _ in range(25)))
    for client in clients:
        await client.close()


async def taken(world: World, servers: Servers) -> dict[str, Any]:
    assert world.stack is not None
    depth = servers.rabbitmq.ctl("list_queues", "-q", "--no-table-headers", "messages").split()
    async with httpx2.AsyncClient() as http:
        metrics = [(await http.get(f"{gateway.url}/metrics")).text for gateway in world.stack.gateways]
    sockets = sum(
        float(line.split()[1]) for text in metrics for line in text.splitlines() if line.startswith("parley_sockets ")
    )
    return {
        "broker": sum(map(int, depth)),
        "sockets": int(sockets),
        "database": await servers_connections(servers),
        "files": sum(open_files(role) for role in roles_of(world)),
    }


async def servers_connections(servers: Servers) -> int:
    connection = await asyncpg.connect(servers.postgres.url)
    try:
        return int(await connection.fetchval("select count(*) from pg_stat_activity where datname = 'parley'"))
    finally:
        await connection.close()


def given_back(now: dict[str, Any], base: dict[str, Any]) -> bool:
    """The pools may have grown to their size meanwhile: eight connections of each of five processes at most."""
    return bool(
        now["broker"] == 0
        and now["sockets"] <= base["sockets"]
        and now["database"] <= 40
        and now["files"] <= base["files"] + 40
    )
