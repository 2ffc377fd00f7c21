"""The examples run, as programs, as their first lines say."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from stack.pace import paced
from stack.parley import ROOT
from tests.world import People, new_id


async def program(name: str, *arguments: str, cwd: Path = ROOT) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples" / name), *arguments, cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), paced(30))).decode()


async def test_the_client(people: People) -> None:
    process = await program("client.py", people.world.urls[0])
    said, complained = await asyncio.wait_for(process.communicate(), paced(60))
    assert (said.decode(), process.returncode) == ("2: hello, Ben\n3: pinned\n", 0), complained.decode()


async def test_the_bot_answers_once_also_when_it_is_started_again(people: People) -> None:
    anna = await people.make()
    name = f"bot-{new_id()[:8]}"
    for _ in range(2):
        bot = await program("bot.py", name, people.world.urls[0])
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


async def test_the_bridge_carries_both_ways_and_goes_on_where_it_stopped(people: People, tmp_path: Path) -> None:
    anna = await people.make()
    chat_id, name = await people.group(anna), f"bridge-{new_id()[:8]}"
    first = await program("bridge.py", name, new_id(), people.world.urls[0], cwd=tmp_path)
    await first.wait()  # a chat that it isn't in: but now it has an account
    found = (await anna.rest.get(f"/v1/users?query={name}"))["items"]
    await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": found[0]["id"]})
    client = await anna.client()
    for turn in range(2):
        await client.send(chat_id, f"before {turn}")
        bridge = await program("bridge.py", name, chat_id, people.world.urls[0], cwd=tmp_path)
        assert json.loads(await line(bridge))["body"] == f"before {turn}"
        await client.send(chat_id, f"live {turn}")
        assert json.loads(await line(bridge))["body"] == f"live {turn}"
        assert bridge.stdin is not None
        bridge.stdin.write(f"from outside {turn}\n".encode())
        bridge.stdin.close()
        assert await asyncio.wait_for(bridge.wait(), paced(30)) == 0
        bodies = [m["body"] for m in (await anna.rest.get(f"/v1/chats/{chat_id}/messages"))["items"]]
        assert bodies[0] == f"from outside {turn}"
