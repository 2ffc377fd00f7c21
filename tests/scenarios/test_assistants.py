"""On a real model server: a chat is named by its assistant, quotas, usage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.ids import ASSISTANT_ID
from parley_client import Problem
from stack.pace import within
from tests.scenarios.test_accounts import make_operator, refused
from tests.scenarios.test_replies import assistant_chat, ended
from tests.world import ModelServer, People, World, new_id, start_embedded, stop_embedded


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("titles")
    model = ModelServer(folder)
    model.start()
    world = start_embedded(
        {"OPENAI_BASE_URL": f"{model.url}/v1", "ASSISTANT_TITLE_MODEL": "cheap", "QUOTA_REPLIES_PER_DAY": "10"}
    )
    world.model = model
    yield world
    stop_embedded(world)
    model.child.stop()


async def test_the_first_answer_names_the_chat_and_a_person_is_not_overruled(own: World) -> None:
    people = People(own)
    anna = await people.make()
    client, phone = await anna.client(0), await anna.client(0)
    chat_id = await assistant_chat(anna)
    await client.send(chat_id, "hello there")
    await ended(client, chat_id)

    def name() -> dict[str, Any] | None:
        return next((e for e in phone.chats[chat_id].events if e["type"] == "chat.updated"), None)

    event = await phone.wait_for(name, 20)
    title = event["chat"]["title"]
    assert event["actor_id"] == ASSISTANT_ID and title.startswith("You said") and len(title) <= 62
    assert (await anna.rest.get(f"/v1/chats/{chat_id}"))["title"] == title
    await client.send(chat_id, "and again")
    await ended(client, chat_id, 2)
    mine = await assistant_chat(anna)
    await anna.rest.patch(f"/v1/chats/{mine}", {"title": "Mine"})
    await client.send(mine, "hello")
    await ended(client, mine)
    await asyncio.sleep(1)
    assert (await anna.rest.get(f"/v1/chats/{mine}"))["title"] == "Mine"
    assert own.model is not None
    async with within(5):
        log = (await anna.rest.http.get(f"{own.model.url}/log")).json()
    assert [entry["model"] for entry in log].count("cheap") == 1, "one name, one call"
    await people.close()


async def test_of_fifty_questions_at_once_against_a_quota_of_ten_exactly_ten_reach_the_model(own: World) -> None:
    people = People(own)
    anna, ben, root = await people.make(), await people.make(), await people.make()
    await make_operator(own, root)
    mark = new_id()
    chats = [await assistant_chat(anna) for _ in range(10)]
    for chat_id in chats:
        await anna.rest.patch(f"/v1/chats/{chat_id}", {"title": "so that it isn't named"})

    async def ask(n: int) -> str:
        script = f'script: {{"words": 2, "every_ms": 1, "mark": "{mark}", "n": {n}}}'
        try:
            await anna.rest.post(f"/v1/chats/{chats[n % 10]}/messages", {"client_message_id": new_id(), "body": script})
            return "asked"
        except Problem as problem:
            return problem.code

    told = await asyncio.gather(*(ask(n) for n in range(50)))
    assert sorted(told) == ["asked"] * 10 + ["quota_exceeded"] * 40
    assert own.model is not None
    async with within(20):
        while (use := await anna.rest.get("/v1/me/usage"))["items"][0]["output_tokens"] < 20:
            await asyncio.sleep(0.1)
    log = (await anna.rest.http.get(f"{own.model.url}/log")).json()
    assert sum(mark in entry["messages"][-1]["content"] for entry in log) == 10
    [day] = use["items"]
    assert (day["assistant_id"], day["replies"], day["input_tokens"], day["cost"]) == (ASSISTANT_ID, 10, 70, None)
    [quota] = use["quotas"]
    assert (quota["name"], quota["limit"], quota["used"]) == ("replies_per_day", 10, 10)
    assert quota["resets_at"].endswith("T00:00:00.000Z") and quota["resets_at"][:10] > day["day"]
    assert (await root.rest.get("/v1/admin/usage", user_id=anna.id)) == use
    assert (await refused(ben.rest.get("/v1/admin/usage", user_id=anna.id))).code == "not_allowed"
    assert (await root.rest.get("/v1/admin/usage"))["items"][0]["replies"] >= 10
    assert (await ben.rest.get("/v1/me/usage"))["items"] == []
    assert (await anna.rest.get("/v1/me/usage", **{"from": "2020-01-01", "to": "2020-02-01"}))["items"] == []
    for wrong in ({"from": "2026-02-01", "to": "2026-01-01"}, {"from": "2020-01-01"}, {"from": "yesterday"}):
        assert (await refused(anna.rest.get("/v1/me/usage", **wrong))).code == "invalid"
    await people.close()
