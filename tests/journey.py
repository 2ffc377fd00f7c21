"""python -m tests.journey: 200 sockets in 20 chats of 10 on the real stack, 20,000 pipelined messages; then the same with a worker
and a gateway killed in the middle. Each member must have each message once, in one order, without a gap, each sender's
in the order sent. Bounded to two minutes a pass.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid

from parley_client import Client, Rest
from stack.servers import Servers
from tests.faults.checker import Logs, Sent, check
from tests.world import PASSWORD, World, start_real

CHATS, MEMBERS, MESSAGES = 20, 10, 20_000
PASS_S = 120
LIMITS = {"REQUESTS_PER_S": "100000"}


async def one_pass(world: World, database_url: str, kill: bool) -> list[str]:
    logs = Logs()
    chats: list[list[tuple[str, Client]]] = []
    for _ in range(CHATS):
        rests = [Rest(world.urls[n % len(world.urls)]) for n in range(MEMBERS)]
        for rest in rests:
            await rest.register(f"j-{uuid.uuid4().hex[:12]}", PASSWORD)
        made = await rests[0].post("/v1/chats", {"kind": "group", "member_ids": [r.user["id"] for r in rests]})
        clients = []
        for n, rest in enumerate(rests):
            urls = world.urls[n % len(world.urls) :] + world.urls[: n % len(world.urls)]
            client = Client(rest, urls=urls, keep_events=True, backoff_first_s=0.2, backoff_max_s=1.0)
            await client.start()
            logs.clients[rest.user["id"]] = client
            clients.append((made["id"], client))
        chats.append(clients)
    began = time.monotonic()
    killing = asyncio.create_task(kill_in_the_middle(world, logs)) if kill else None
    async with asyncio.timeout(PASS_S):
        await asyncio.gather(*(send_all(chat_id, client, logs) for chat in chats for chat_id, client in chat))
        if killing is not None:
            await killing
        for chat in chats:
            head = max(client.chats[chat_id].cursor or 0 for chat_id, client in chat)
            for chat_id, client in chat:
                await client.wait_for(lambda c=client, i=chat_id, h=head: (c.chats[i].cursor or 0) >= h, 30)  # type: ignore[misc]
    took = time.monotonic() - began
    print(
        f"{MESSAGES} messages in {took:.1f} s, {'a worker and a gateway killed' if kill else 'nothing killed'}",
        flush=True,
    )
    violations = await check(database_url, logs)
    shown = [await count_of_messages(chat_id, client) for chat in chats for chat_id, client in chat]
    if set(shown) != {MESSAGES // CHATS}:
        violations.append(f"members have {sorted(set(shown))} messages of their chat, not {MESSAGES // CHATS}")
    for client in logs.clients.values():
        await client.close()
        await client.rest.close()
    return violations


async def count_of_messages(chat_id: str, client: Client) -> int:
    """What a member has: the events it was given, and before them what a reset made it load by REST."""
    events = client.chats[chat_id].events
    count = len({e["message"]["id"] for e in events if e["type"] == "message.created"})
    before = events[0]["seq"]
    while before > 2:
        page = await client.rest.get(f"/v1/chats/{chat_id}/messages", before=before, limit=100)
        count += len(page["items"])
        if not page["has_more"]:
            break
        before = page["items"][-1]["seq"]
    return count


async def send_all(chat_id: str, client: Client, logs: Logs) -> None:
    """Pipelined: fifty are on their way at a time."""
    sent = Sent(chat_id, client.rest.user["id"])
    logs.sent.append(sent)
    for _ in range(MESSAGES // CHATS // MEMBERS // 50):
        futures = []
        for _ in range(50):
            id_ = str(uuid.uuid4())
            sent.ids.append(id_)
            futures.append(client.send(chat_id, "words " * 10, id_=id_))
        await asyncio.gather(*futures)
        sent.ends.update(dict.fromkeys(sent.ids, "committed"))


async def kill_in_the_middle(world: World, logs: Logs) -> None:
    """When a third of it is through."""
    assert world.stack is not None
    while sum(len(sent.ends) for sent in logs.sent) < MESSAGES // 3:
        await asyncio.sleep(0.01)
    for role in (world.stack.workers[0], world.stack.gateways[0]):
        await asyncio.to_thread(role.child.kill)
    await asyncio.sleep(1)
    for role in (world.stack.workers[0], world.stack.gateways[0]):
        await asyncio.to_thread(role.start)


def main() -> None:
    servers = Servers(fsync=True)
    failed = False
    try:
        servers.start()
        world = start_real(servers, environment=LIMITS)
        assert world.stack is not None and world.model is not None
        try:
            for kill in (False, True):
                violations = asyncio.run(one_pass(world, servers.postgres.url, kill))
                failed |= bool(violations)
                for violation in violations[:10]:
                    print("  ", violation)
                print(f"{len(violations)} violations", flush=True)
        finally:
            world.stack.stop()
            world.model.child.stop()
    finally:
        servers.stop()
    sys.exit(failed)


if __name__ == "__main__":
    main()
