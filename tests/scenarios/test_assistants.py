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
from tests.world import ModelServer, People, World, new_id, providers, start_embedded, stop_embedded


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("titles")
    model = ModelServer(folder)
    model.start()
    world = start_embedded(
        {
            "OPENAI_BASE_URL": f"{model.url}/v1", "ASSISTANT_TITLE_MODEL": "cheap", "QUOTA_REPLIES_PER_DAY": "10",
            "ASSISTANT_CONSENT": "on", "PROVIDERS": providers(model),
        }
    )  # fmt: skip
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


async def test_a_persons_own_quota_takes_the_settings_place(own: World) -> None:
    people = People(own)
    anna, root = await people.make(), await people.make()
    await make_operator(own, root)
    path = f"/v1/admin/users/{anna.id}"
    changed = await root.rest.patch(path, {"quotas": {"replies_per_day": 1, "tokens_per_day": 100_000}})
    assert changed["quotas"] == {"replies_per_day": 1, "tokens_per_day": 100_000}
    chat_id, client = await assistant_chat(anna), await anna.client()
    await client.send(chat_id, 'script: {"words": 3}')
    end = (await ended(client, chat_id))[0]["message"]
    quotas = {quota["name"]: quota for quota in (await anna.rest.get("/v1/me/usage"))["quotas"]}
    assert (quotas["replies_per_day"]["limit"], quotas["replies_per_day"]["used"]) == (1, 1)
    assert quotas["tokens_per_day"]["used"] >= end["usage"]["prompt_tokens"] + end["usage"]["completion_tokens"]
    send = {"client_message_id": new_id(), "body": "one more?"}
    problem = await refused(anna.rest.post(f"/v1/chats/{chat_id}/messages", send))
    assert (problem.code, "quota" in problem.body["detail"]) == ("quota_exceeded", True)
    again = anna.rest.post(f"/v1/chats/{chat_id}/messages/{end['id']}/regenerate")
    assert (await refused(again)).code == "quota_exceeded"
    changed = await root.rest.patch(path, {"quotas": {"replies_per_day": 0, "tokens_per_day": 1}})
    send["client_message_id"] = new_id()
    assert (await refused(anna.rest.post(f"/v1/chats/{chat_id}/messages", send))).code == "quota_exceeded"
    changed = await root.rest.patch(path, {"quotas": {"replies_per_day": 0, "tokens_per_day": None}})
    assert changed["quotas"] == {"replies_per_day": 0}
    await client.send(chat_id, 'script: {"words": 3}')
    assert (await ended(client, chat_id, 2))[-1]["message"]["status"] == "complete"
    for wrong in ({"replies_per_day": -1}, {"replies_per_year": 1}, {"replies_per_day": "1"}, None):
        assert (await refused(root.rest.patch(path, {"quotas": wrong}))).code == "invalid"
    assert (await refused(anna.rest.patch(path, {"quotas": {}}))).code == "not_allowed"
    assert "quotas" not in await anna.rest.get("/v1/me")
    await people.close()


async def test_a_groups_text_goes_outside_when_an_owner_agreed(own: World) -> None:
    people = People(own)
    anna, ben, root = await people.make(), await people.make(), await people.make()
    await make_operator(own, root)
    local = {"username": f"l-{new_id()[:8]}", "display_name": "Local", "provider": "other"}
    inside = await root.rest.post("/v1/assistants", local)
    chat_id, mark = await people.group(anna, ben), new_id()
    his, socket = await ben.client(), await ben.socket()
    script = f'script: {{"words": 2, "mark": "{mark}"}}'
    said = await his.send(chat_id, f"@assistant {script}")
    told = await socket.expect("assistant.silent")
    assert (told["code"], told["message_id"]) == ("not_allowed", said["message"]["id"])
    notice = (await socket.expect("message.created", chat_id=chat_id, actor_id=None))["message"]
    assert (notice["kind"], notice["sender_id"]) == ("system", None) and "an owner of this chat agrees" in notice[
        "body"
    ]
    await his.send(chat_id, f"@assistant {script}")
    await socket.expect("assistant.silent")
    path = f"/v1/chats/{chat_id}"
    assert (await ben.rest.get(path))["assistant_consent"] is None
    problem = await refused(ben.rest.patch(path, {"assistant_consent": True}))
    assert (problem.code, problem.body["policies"]) == ("not_allowed", ["owners-and-admins-manage"])
    await his.send(chat_id, f"@{inside['username']} {script}")
    assert (await ended(his, chat_id))[0]["message"]["sender_id"] == inside["user_id"]
    agreed = (await anna.rest.patch(path, {"assistant_consent": True}))["assistant_consent"]
    assert agreed["by"] == anna.id and agreed["at"].endswith("Z")
    await his.send(chat_id, f"@assistant {script}")
    await ended(his, chat_id, 2)
    await anna.rest.patch(path, {"local_only": True})
    await his.send(chat_id, f"@assistant {script}")
    assert (await socket.expect("assistant.silent"))["code"] == "not_allowed"
    assert own.model is not None
    log = (await anna.rest.http.get(f"{own.model.url}/log")).json()
    asked = [entry["model"] for entry in log if mark in entry["messages"][-1]["content"]]
    assert asked == ["other-small", "gpt-4o-mini"], "nobody else was asked"
    kinds = [e["message"]["kind"] for e in his.chats[chat_id].events if e["type"] == "message.created"]
    assert kinds.count("system") == 1
    own_chat = await assistant_chat(ben)
    assert "assistant_consent" not in await ben.rest.get(f"/v1/chats/{own_chat}")
    assert (await refused(ben.rest.patch(f"/v1/chats/{own_chat}", {"assistant_consent": True}))).code == "invalid"
    await people.close()
