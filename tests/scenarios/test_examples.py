"""The examples run, as programs, as their first lines say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from stack.pace import paced
from stack.parley import ROOT
from tests.world import People, new_id


async def program(name: str, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"examples.{name}", *arguments, cwd=ROOT, env=os.environ | environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), paced(30))).decode()


async def test_the_client(people: People) -> None:
    process = await program("client", people.world.urls[0])
    said, complained = await asyncio.wait_for(process.communicate(), paced(60))
    assert (said.decode(), process.returncode) == ("2: hello, Ben\n3: pinned\n", 0), complained.decode()


async def test_the_bot_answers_once_also_when_it_is_started_again(people: People) -> None:
    anna = await people.make()
    name = f"bot-{new_id()[:8]}"
    for _ in range(2):
        bot = await program("bot", name, people.world.urls[0])
        greeting = await line(bot)
        bot_id = greeting.split("(")[1].split(")")[0]
        chat_id = await people.group(anna)
        await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": bot_id})
        client = await anna.client()
        sent = await client.send(chat_id, f"@{name} count these words")

        def answers(chat: str = chat_id) -> list[str]:
            events = client.chats[chat].events  # noqa: B023
            return [e["message"]["body"] for e in events if e["type"] == "message.created" and e["actor_id"] == bot_id]  # noqa: B023

        assert await client.wait_for(answers, 30) == [f"3 words, {len(sent['message']['body'])} characters"]
        bot.kill()
        await bot.wait()


async def test_the_bridge_leaves_nothing_out_and_goes_on_where_it_stopped(people: People, tmp_path: Path) -> None:
    anna, url = await people.make(), people.world.urls[0]
    chat_id, name = await people.group(anna), f"bridge-{new_id()[:8]}"
    stranger = await program("bridge", name, chat_id, url)
    _, complained = await stranger.communicate()
    assert stranger.returncode == 1 and b"is not in this chat" in complained and b"Traceback" not in complained
    found = (await anna.rest.get(f"/v1/users?query={name}"))["items"]
    await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": found[0]["id"]})
    client = await anna.client()
    expected: list[str] = []

    async def say(*bodies: str) -> None:
        await asyncio.gather(*(client.send(chat_id, body) for body in bodies))
        expected.extend(bodies)

    heard: list[dict[str, Any]] = []
    for turn in range(2):
        await say(*(f"{turn} before {n}" for n in range(120)))
        bridge = await program("bridge", name, chat_id, url, BRIDGE_STATE=str(tmp_path / "state"))
        heard.append(json.loads(await line(bridge)))
        await say(*(f"{turn} live {n}" for n in range(60)))  # while it still reads what was before
        await say("@assistant one sentence, please")
        while len(heard) < len(expected) + turn + 1:
            heard.append(json.loads(await line(bridge)))
        assert bridge.stdin is not None
        bridge.stdin.write(f"from outside {turn}\n".encode())
        bridge.stdin.close()
        assert await asyncio.wait_for(bridge.wait(), paced(30)) == 0
        bodies = [m["body"] for m in (await anna.rest.get(f"/v1/chats/{chat_id}/messages"))["items"]]
        assert bodies[0] == f"from outside {turn}"
    by_anna = [said["body"] for said in heard if said["sender_id"] == anna.id]
    assert sorted(by_anna) == sorted(expected) and [s["seq"] for s in heard] == sorted(s["seq"] for s in heard)
    answers = [said["body"] for said in heard if said["sender_id"] != anna.id]
    assert len(answers) == 2 and all(answers), "an answer comes out when it is whole"
