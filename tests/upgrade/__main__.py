"""python -m tests.upgrade [--before HEAD~1]: the version before beside this one, under load, in both orders; nothing is lost.

The version before comes from git, with an environment of its own (`stack/versions.py`). This one has a command and an
event more, which are planted. Up: workers of the version before alone meet the new command, then this one's join them,
then take over. Down: this one's workers leave again, and the new command waits until they are back.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Any

from parley_client import Client
from stack.pace import within
from stack.parley import Role, Stack
from stack.servers import Servers
from stack.versions import version
from tests.faults.load import Load
from tests.world import ModelServer, People, World

PAIRS = 4
NEW = "tests.upgrade.planted"


class Polls:
    """Who opens polls all the time, on this version's gateway, and keeps them until they are over."""

    def __init__(self, client: Client, chat_id: str) -> None:
        self.client, self.chat_id = client, chat_id
        self.sent: list[asyncio.Future[Any]] = []
        self._stop = False
        self._task = asyncio.create_task(self._open())

    async def _open(self) -> None:
        while not self._stop:
            self.sent.append(self.client.command("poll.open", self.chat_id, question=f"{len(self.sent)}?"))
            await asyncio.sleep(0.25)

    @property
    def over(self) -> int:
        return sum(future.done() for future in self.sent)

    async def end(self) -> list[dict[str, Any]]:
        self._stop = True
        await self._task
        async with within(60):
            return list(await asyncio.gather(*self.sent))


def say(words: str) -> None:
    print(words, flush=True)


async def start(*roles: Role) -> None:
    for role in roles:
        await asyncio.to_thread(role.start)


async def stop(*roles: Role) -> None:
    for role in roles:
        await asyncio.to_thread(role.child.stop)


async def polls_go_on(polls: Polls, wait_s: float = 30) -> float:
    began, known = time.monotonic(), polls.over
    async with within(wait_s):
        while polls.over <= known:
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def polls_wait(polls: Polls, seconds: float) -> None:
    await asyncio.sleep(1)
    known = polls.over
    await asyncio.sleep(seconds)
    assert polls.over == known, "a version that doesn't know them decided polls"


async def judge(world: World, loads: Sequence[Load], polls: Polls, servers: Servers, old_url: str) -> None:
    ends = await polls.end()
    assert all(end["type"] in ("poll.opened", "committed") for end in ends), [
        e for e in ends if e["type"] == "rejected"
    ]
    for load in loads:
        await load.end(servers.postgres.url, 60)
    rest = polls.client.rest
    for url in world.urls:
        seqs: list[int] = []
        opened = 0
        while True:
            path = f"{url}/v1/chats/{polls.chat_id}/timeline?limit=500&after={seqs[-1] if seqs else 0}"
            answer = await rest.http.get(path, headers={"Authorization": f"Bearer {await rest.token()}"})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            seqs += [event["seq"] for event in page["items"]]
            for event in page["items"]:
                opened += event["type"] == "poll.opened"
                if event["type"] == "poll.opened":
                    assert ("question" in event) == (url != old_url), event
            if not page["has_more"]:
                break
        assert seqs == list(range(1, page["head"] + 1)) and opened == len(polls.sent)
    synced = await polls.client.request("sync", chats={polls.chat_id: max(0, seqs[-1] - 400)})
    assert synced["type"] == "synced", synced


async def go(world: World, servers: Servers, roles: dict[str, Role], old_url: str) -> None:
    people = People(world)
    loads = [await Load.start(people) for _ in range(PAIRS)]
    chat_id = loads[0].chat_id
    anna = await people.make()
    await loads[0].talker.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": anna.id})
    client = await anna.client(1, urls=[world.urls[1]])
    await client.wait_for(lambda: chat_id in client.chats)
    polls = Polls(client, chat_id)
    say("up: the version before alone; polls wait for who knows them")
    await polls_wait(polls, 8)
    await start(roles["new worker"])
    say(f"up: this version's worker joined; polls go on after {await polls_go_on(polls):.1f} s")
    await asyncio.sleep(8)
    await stop(roles["old worker"], roles["old assistant"])
    await start(roles["new assistant"])
    say(f"up: the version before is gone; polls go on after {await polls_go_on(polls):.1f} s")
    await asyncio.sleep(3)
    await start(roles["old worker"])
    await stop(roles["new worker"])
    say("down: the version before alone again; polls wait")
    await polls_wait(polls, 8)
    await start(roles["new worker"])
    say(f"down: taken back; polls go on after {await polls_go_on(polls):.1f} s")
    await stop(roles["old worker"])
    await judge(world, loads, polls, servers, old_url)
    said = sum(len(load.sent.ids) for load in loads)
    say(f"{said} messages of {PAIRS} pairs and {len(polls.sent)} polls: 0 lost, 0 doubled, 0 out of order")
    await people.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", default="HEAD~1", help="the version before, as git names it")
    before = version(parser.parse_args().before)
    if "UnknownAction" not in "".join(path.read_text() for path in (before.root / "app" / "domain").glob("*.py")):
        sys.exit(
            f"{before.name} acks away what it doesn't know: leave new commands unused until all are upgraded from it"
        )
    servers = Servers(fsync=True)
    try:
        servers.start()
        model = ModelServer(servers.folder)
        model.start()
        stack = Stack(
            servers,
            gateways=0,
            workers=0,
            assistants=0,
            environment={"OPENAI_BASE_URL": f"{model.url}/v1", "REQUESTS_PER_S": "1000"},
        )
        old = {"root": before.root, "python": before.python}
        environment = stack.environment
        roles = {
            f"{age} {role}": Role(f"{age}-{role}", role, environment, servers.folder, **more)
            for age, more in (("old", old), ("new", {"program": NEW}))
            for role in ("gateway", "worker", "assistant")
        }
        stack.gateways = [roles["old gateway"], roles["new gateway"]]
        for each in ("old gateway", "old worker", "old assistant", "new gateway"):
            roles[each].start()
        say(f"the version before: {before.name}")
        world = World("real", stack.urls, stack)
        try:
            asyncio.run(go(world, servers, roles, roles["old gateway"].url))
        finally:
            for role in roles.values():
                if role.child.running():
                    role.child.stop()
            model.child.stop()
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
