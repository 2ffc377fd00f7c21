"""Several assistants: made, changed, asked by name, asked by some, changed for another, and gone."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from app.domain.ids import ASSISTANT_ID
from parley_client import Client
from stack.pace import within
from tests.scenarios.test_accounts import operator, refused
from tests.scenarios.test_replies import assistant_chat, ended, question
from tests.world import People, Person, World, new_id

NOBODY = "00000000-0000-4000-8000-00000000000a"


async def assistant(root: Person, **said: Any) -> dict[str, Any]:
    body = {"username": f"a-{new_id()[:12]}", "display_name": "Helper", **said}
    return dict(await root.rest.post("/v1/assistants", body))


async def all_of(person: Person, path: str) -> list[dict[str, Any]]:
    """Page by page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await person.rest.get(path, limit=2, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def calls(world: World, mark: str) -> list[dict[str, Any]]:
    """What the model's server was asked with this mark in the last turn."""
    assert world.model is not None
    people = People(world)
    anna = await people.make()
    log = (await anna.rest.http.get(f"{world.model.url}/log")).json()
    await people.close()
    return [entry for entry in log if mark in entry["messages"][-1]["content"]]


async def test_an_assistant_is_made_changed_and_gone(people: People) -> None:
    root, anna = await operator(people), await people.make()
    name = f"lib-{new_id()[:8]}"
    said = {"description": "Knows the handbook.", "instructions": "Be brief.", "parameters": {"temperature": 0.5}}
    made = await assistant(root, username=name.upper(), display_name="Librarian", **said)
    path = f"/v1/assistants/{made['user_id']}"
    assert made == {
        "user_id": made["user_id"], "username": name, "display_name": "Librarian", "model": None, "provider": "default",
        "version": 1, "asked_by": "everyone", "listed": [], "may_ask": True, "may_configure": True, **said,
    }  # fmt: skip
    seen = await anna.rest.get(path)
    assert seen == {**{k: v for k, v in made.items() if k not in ("listed", "instructions")}, "may_configure": False}
    names = [one["username"] for one in await all_of(anna, "/v1/assistants")]
    assert names == sorted(names) and {name, "assistant"} <= set(names)
    assert (await anna.rest.get(f"/v1/users/{made['user_id']}"))["kind"] == "assistant"

    changed = await root.rest.patch(path, {"instructions": None, "parameters": {}, "model": "small"})
    assert (changed["version"], changed["instructions"], changed["parameters"], changed["model"]) == (
        2,
        None,
        {},
        "small",
    )
    assert (await root.rest.patch(path, {"model": "small"}))["version"] == 2, "nothing differs"
    assert (await root.rest.patch(path, {"display_name": "Reader"}))["version"] == 3
    assert (await anna.rest.get(f"/v1/users/{made['user_id']}"))["display_name"] == "Reader"
    versions = await all_of(root, f"{path}/versions")
    assert [(one["version"], one["display_name"], one["instructions"]) for one in versions] == [
        (3, "Reader", None), (2, "Librarian", None), (1, "Librarian", "Be brief."),
    ]  # fmt: skip
    assert {one["created_by"] for one in versions} == {root.id}
    acts = [
        entry["act"]
        for entry in (await root.rest.get("/v1/admin/audit"))["items"]
        if entry["target_id"] == made["user_id"]
    ]
    assert acts == ["assistant.changed"] * 2 + ["assistant.created"]

    await root.rest.call("DELETE", path)
    assert (await refused(anna.rest.get(path))).code == "not_found"
    assert (await refused(root.rest.patch(path, {"model": "x"}))).code == "not_found"
    assert (await refused(root.rest.call("DELETE", path))).code == "not_found"
    assert name not in [one["username"] for one in await all_of(anna, "/v1/assistants")]
    assert (await refused(assistant(root, username=name))).code == "conflict", "what it said stays its own"


async def test_what_no_assistant_is_made_of(people: People) -> None:
    root, anna = await operator(people), await people.make()
    made = await assistant(root)
    path = f"/v1/assistants/{made['user_id']}"
    wrong_said: list[dict[str, Any]] = [
        {"display_name": None}, {"parameters": None}, {"provider": "nobody"}, {"username": "other"}, {"asked_by": None},
    ]  # fmt: skip
    for said, code in (
        ({"username": "a"}, "invalid"), ({"username": anna.name}, "conflict"), ({"username": "assistant"}, "conflict"),
        ({"provider": "nobody"}, "invalid"), ({"parameters": {"temperature": 3}}, "invalid"),
        ({"parameters": {"seed": 1}}, "invalid"), ({"asked_by": "friends"}, "invalid"), ({"display_name": " "}, "empty"),
        ({"listed": ["x"]}, "invalid"), ({"version": 9}, "invalid"),
    ):  # fmt: skip
        assert (await refused(assistant(root, **said))).code == code, said
    for changes in wrong_said:
        assert (await refused(root.rest.patch(path, changes))).code == "invalid", changes
    assert (await root.rest.get(path))["version"] == 1
    for work in (assistant(anna), anna.rest.patch(path, {"model": "x"}), anna.rest.call("DELETE", path), anna.rest.get(f"{path}/versions")):  # fmt: skip
        problem = await refused(work)
        assert (problem.code, problem.body["policies"]) == ("not_allowed", ["only-operators-administer"])
    for path in (f"/v1/assistants/{NOBODY}", f"/v1/assistants/{anna.id}"):
        assert (await refused(anna.rest.get(path))).code == "not_found"
        assert (await refused(root.rest.get(f"{path}/versions"))).code == "not_found"
    assert (await refused(root.rest.call("DELETE", f"/v1/assistants/{ASSISTANT_ID}"))).code == "conflict"
    begun = [line["username"] for line in await all_of(anna, "/v1/assistants")]
    assert "a" not in begun


async def test_two_are_asked_by_name_and_only_by_who_may(people: People) -> None:
    root, anna, ben = await operator(people), await people.make(), await people.make()
    one, other = await assistant(root), await assistant(root, asked_by="listed", listed=[anna.id])
    chat_id = await people.group(anna, ben)
    hers, his = await anna.client(0), await ben.client(1)
    told: list[dict[str, Any]] = []
    his_socket = await ben.socket(0)
    short = question(people.world, 5, 1)
    said = await hers.send(chat_id, f"@{other['username']} and @{one['username']}: {short}")
    ends = await ended(his, chat_id, 2)
    assert {end["message"]["reply_to"] for end in ends} == {said["message"]["id"]}
    asked = [e["message"]["sender_id"] for e in his.chats[chat_id].events if e["type"] == "message.created"][-2:]
    assert asked == [other["user_id"], one["user_id"]], "in the order named"
    for user, may in ((anna, True), (ben, False)):
        shown = await user.rest.get(f"/v1/assistants/{other['user_id']}")
        assert shown["may_ask"] == may and shown.get("policies", []) == ([] if may else ["assistants-choose-who-asks"])
    his_message = await his.send(chat_id, f"@{other['username']}, {short}")
    told.append(await his_socket.expect("assistant.silent", 10))
    assert (told[0]["assistant_id"], told[0]["code"], told[0]["message_id"]) == (
        other["user_id"], "not_allowed", his_message["message"]["id"],
    )  # fmt: skip
    again = f"/v1/chats/{chat_id}/messages/{ends[0]['message']['id']}/regenerate"
    writers = {end["message"]["sender_id"]: end["message"]["id"] for end in ends}
    anew = await anna.rest.post(f"/v1/chats/{chat_id}/messages/{writers[other['user_id']]}/regenerate")
    assert anew["sender_id"] == other["user_id"] and again
    origin = await anna.rest.get(f"/v1/chats/{chat_id}/messages/{writers[one['user_id']]}/provenance")
    assert (origin["assistant_id"], origin["version"]) == (one["user_id"], 1)
    assert origin["policies"] == ["members-write", "assistants-answer-who-calls-them"]


async def test_a_chat_of_its_own_gets_another_and_what_is_open_keeps_its_writer(people: People) -> None:
    root, anna = await operator(people), await people.make()
    one, other = await assistant(root), await assistant(root)
    chat_id = await assistant_chat(anna, user_id=one["user_id"])
    client = await anna.client(0)
    await client.send(chat_id, question(people.world, 60, 30))
    await client.wait_for(lambda: len(client.chats[chat_id].events) == 3)
    shown = await anna.rest.patch(f"/v1/chats/{chat_id}", {"assistant": {"user_id": other["user_id"]}})
    assert shown["assistant"]["user_id"] == other["user_id"] and shown["members_count"] == 2
    members = (await anna.rest.get(f"/v1/chats/{chat_id}/members"))["items"]
    mine = next(member for member in members if member["user"]["id"] == other["user_id"])
    assert len(members) == 2 and (mine["attention"], mine["budget_per_hour"], mine["role"]) == (
        "addressed",
        None,
        "member",
    )
    await client.send(chat_id, question(people.world, 5, 1))
    first, second = await ended(client, chat_id, 2)
    assert [end["message"]["sender_id"] for end in (first, second)] == [one["user_id"], other["user_id"]]
    assert first["message"]["status"] == "complete" and first["actor_id"] == one["user_id"]
    anew = await anna.rest.post(f"/v1/chats/{chat_id}/messages/{first['message']['id']}/regenerate")
    assert anew["sender_id"] == other["user_id"], "by the one that the chat has now"
    for wrong in (NOBODY, anna.id):
        problem = await refused(anna.rest.patch(f"/v1/chats/{chat_id}", {"assistant": {"user_id": wrong}}))
        assert problem.code == "invalid"
        assert (await refused(assistant_chat(anna, user_id=wrong))).code == "invalid"


async def test_one_that_is_deleted_stops_and_its_chats_stand(people: People) -> None:
    root, anna = await operator(people), await people.make()
    one = await assistant(root)
    own, group = await assistant_chat(anna, user_id=one["user_id"]), await people.group(anna)
    client, socket = await anna.client(0), await anna.socket(1)
    for _ in range(2):
        await client.send(own, question(people.world, 400, 30))
    await client.send(group, f"@{one['username']} {question(people.world, 400, 30)}")
    await asyncio.sleep(1)
    await root.rest.call("DELETE", f"/v1/assistants/{one['user_id']}")
    ends = await ended(client, own, 2, 15) + await ended(client, group, 1, 15)
    assert [end["message"]["status"] for end in ends] == ["stopped"] * 3
    assert ends[0]["message"]["body"] and not ends[1]["message"]["body"], "what people saw stays"
    said = await client.send(own, "are you there?")
    told = await socket.expect("assistant.silent", 10, chat_id=own)
    assert (told["code"], told["message_id"]) == ("not_allowed", said["message"]["id"])
    await client.send(group, f"@{one['username']}, hello?")
    again = await refused(anna.rest.post(f"/v1/chats/{own}/messages/{ends[0]['message']['id']}/regenerate"))
    assert again.code == "not_allowed"
    await anna.rest.patch(f"/v1/chats/{own}", {"assistant": {"user_id": ASSISTANT_ID}})
    await client.send(own, question(people.world, 5, 1))
    assert (await ended(client, own, 3))[-1]["message"]["status"] == "complete"


async def test_how_an_assistant_takes_part_in_a_group(people: People) -> None:
    root, anna, ben = await operator(people), await people.make(), await people.make()
    one = await assistant(root)
    chat_id = await people.group(anna, ben)
    member = f"/v1/chats/{chat_id}/members/{one['user_id']}"
    await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": one["user_id"]})
    changed = await anna.rest.patch(member, {"budget_per_hour": 1})
    assert (changed["attention"], changed["budget_per_hour"]) == ("addressed", 1)
    client, socket = await ben.client(0), await ben.socket(1)
    call = f"@{one['username']} {question(people.world, 5, 1)}"
    await client.send(chat_id, call)
    await ended(client, chat_id, 1)
    await client.send(chat_id, call)
    assert (await socket.expect("assistant.silent"))["code"] == "quota_exceeded"
    await anna.rest.patch(member, {"budget_per_hour": None, "attention": "off"})
    await client.send(chat_id, call)
    assert (await socket.expect("assistant.silent"))["code"] == "off"
    for wrong in ({"attention": "loud"}, {"attention": None}, {"budget_per_hour": -1}):
        assert (await refused(anna.rest.patch(member, wrong))).code == "invalid"
    assert (
        await refused(anna.rest.patch(f"/v1/chats/{chat_id}/members/{ben.id}", {"attention": "off"}))
    ).code == "invalid"
    assert (await refused(ben.rest.patch(member, {"attention": "ambient"}))).code == "not_allowed"


async def test_prompts_are_ones_own_or_shared_by_operators(people: People) -> None:
    root, anna, ben = await operator(people), await people.make(), await people.make()
    mine = await anna.rest.post("/v1/prompts", {"name": " Sum up ", "text": "Sum up {{what}} for {{whom}}."})
    assert mine == {
        "id": mine["id"], "name": "Sum up", "text": "Sum up {{what}} for {{whom}}.", "variables": ["what", "whom"],
        "shared": False,
    }  # fmt: skip
    shared = await root.rest.post("/v1/prompts", {"name": "Minutes", "text": "Write minutes.", "shared": True})
    assert [p for p in await all_of(anna, "/v1/prompts") if p in (mine, shared)] == [mine, shared]
    his = await all_of(ben, "/v1/prompts")
    assert shared in his and mine not in his
    for work in (
        anna.rest.post("/v1/prompts", {"name": "n", "text": "t", "shared": True}),
        anna.rest.patch(f"/v1/prompts/{mine['id']}", {"shared": True}),
        anna.rest.patch(f"/v1/prompts/{shared['id']}", {"text": "Mine now."}),
        anna.rest.call("DELETE", f"/v1/prompts/{shared['id']}"),
    ):
        assert (await refused(work)).code == "not_allowed"
    for work in (
        ben.rest.patch(f"/v1/prompts/{mine['id']}", {"name": "x"}),
        ben.rest.call("DELETE", f"/v1/prompts/{mine['id']}"),
    ):
        assert (await refused(work)).code == "not_found"
    changed = await anna.rest.patch(f"/v1/prompts/{mine['id']}", {"text": "Sum up {{this}}."})
    assert (changed["variables"], changed["name"]) == (["this"], "Sum up")
    for wrong in ({"name": ""}, {"text": ""}, {"name": None}, {"shared": None}, {"owner": "x"}):
        assert (await refused(anna.rest.patch(f"/v1/prompts/{mine['id']}", wrong))).code == "invalid", wrong
    await anna.rest.call("DELETE", f"/v1/prompts/{mine['id']}")
    await root.rest.call("DELETE", f"/v1/prompts/{shared['id']}")
    assert [p for p in await all_of(anna, "/v1/prompts") if p["id"] in (mine["id"], shared["id"])] == []


async def _ask(client: Client, chat_id: str, count: int, **script: Any) -> dict[str, Any]:
    """Ask by this script, and wait for the count-th answer of the chat."""
    await client.send(chat_id, f"script: {json.dumps(script)}")
    return dict((await ended(client, chat_id, count))[-1]["message"])


async def test_what_a_version_says_is_what_is_sent_and_an_answer_keeps_its_version(real: World) -> None:
    people = People(real)
    root, anna = await operator(people), await people.make()
    one = await assistant(
        root, provider="other", model="other-large", instructions="Be brief.", parameters={"temperature": 0.2, "max_output_tokens": 77},
    )  # fmt: skip
    chat_id = await assistant_chat(anna, user_id=one["user_id"], instructions="In this chat: kindly.")
    client, mark = await anna.client(0), new_id()
    answer = await _ask(client, chat_id, 1, words=3, mark=mark, usage={"prompt_tokens": 10, "completion_tokens": 5})
    [call] = await calls(real, mark)
    assert (call["model"], call["messages"][0]) == (
        "other-large", {"role": "system", "content": "Be brief.\n\nIn this chat: kindly."},
    )  # fmt: skip
    assert {"temperature", "max_tokens"} <= set(call["options"])
    origin = await anna.rest.get(f"/v1/chats/{chat_id}/messages/{answer['id']}/provenance")
    assert (origin["version"], origin["provider"], origin["model"]) == (1, "other", "other-large")
    assert origin["parameters"] == {"temperature": 0.2, "max_output_tokens": 77}
    assert origin["cost"] == (10 * 1000 + 5 * 2000) / 1_000_000
    [day] = (await anna.rest.get("/v1/me/usage"))["items"]
    assert (day["assistant_id"], day["cost"]) == (one["user_id"], origin["cost"])

    slow, late = new_id(), new_id()
    await client.send(chat_id, f"script: {json.dumps({'words': 40, 'every_ms': 50, 'mark': slow})}")
    await client.send(chat_id, f"script: {json.dumps({'words': 3, 'mark': late})}")
    await root.rest.patch(f"/v1/assistants/{one['user_id']}", {"instructions": "At length.", "model": None})
    await ended(client, chat_id, 3)
    again = new_id()
    await _ask(client, chat_id, 4, words=3, mark=again)
    for mark, model, instructions in (
        (slow, "other-large", "Be brief."), (late, "other-large", "Be brief."), (again, "other-small", "At length."),
    ):  # fmt: skip
        [call] = await calls(real, mark)
        assert (call["model"], call["messages"][0]["content"].split("\n")[0]) == (model, instructions), mark
    await people.close()


async def test_a_provider_takes_so_many_at_once_and_the_others_go_on(real: World) -> None:
    people = People(real)
    root, anna = await operator(people), await people.make()
    one = await assistant(root, provider="other")
    mark, client = new_id(), await anna.client(0)
    chats = [await assistant_chat(anna, user_id=one["user_id"]) for _ in range(5)]
    for n, chat_id in enumerate(chats):
        await client.send(chat_id, f"script: {json.dumps({'words': 20, 'every_ms': 100, 'mark': mark, 'n': n})}")
    free = await assistant_chat(anna)
    assert (await _ask(client, free, 1, words=2))["status"] == "complete", "another provider's answers don't wait"
    most = 0
    assert real.model is not None and real.stack is not None
    async with within(40):
        while True:
            mine = await calls(real, mark)
            most = max(most, sum(entry["end"] == "open" for entry in mine))
            if sum(entry["end"] == "done" for entry in mine) == 5:
                break
            await asyncio.sleep(0.05)
    assert most == 2 * len(real.stack.assistants), "two of each process"
    await people.close()


async def test_one_that_is_down_is_stood_in_for_and_it_is_told(real: World) -> None:
    people = People(real)
    root, anna = await operator(people), await people.make()
    one = await assistant(root, provider="down")
    chat_id = await assistant_chat(anna, user_id=one["user_id"])
    client, socket, mark = await anna.client(0), await anna.socket(), new_id()
    answer = await _ask(client, chat_id, 1, words=3, mark=mark)
    assert (answer["status"], answer["body"]) == ("complete", "word0 word1 word2 ")
    assert [call["model"] for call in await calls(real, mark)] == ["other-large"]
    told = await socket.expect("reply.waiting", instead="other")
    assert (told["code"], told["message_id"]) == ("unavailable", answer["id"])
    origin = await anna.rest.get(f"/v1/chats/{chat_id}/messages/{answer['id']}/provenance")
    assert (origin["provider"], origin["model"], origin["cost"] > 0) == ("other", "other-large", True)
    await people.close()


@pytest.mark.parametrize("model", ["gpt-nobody"])
async def test_a_model_that_its_provider_doesnt_offer_is_refused_or_told(real: World, model: str) -> None:
    people = People(real)
    root, anna = await operator(people), await people.make()
    assert (await refused(assistant(root, provider="other", model=model))).code == "invalid"
    one = await assistant(root, provider="other")
    chat_id = await assistant_chat(anna, user_id=one["user_id"], model=model)
    client, mark = await anna.client(0), new_id()
    answer = await _ask(client, chat_id, 1, words=3, mark=mark)
    assert (answer["status"], answer["failure"]["code"]) == ("failed", "not_found") and await calls(real, mark) == []
    await people.close()


async def test_an_ambient_assistant_speaks_once_people_are_silent(real: World) -> None:
    people = People(real)
    root, anna, ben = await operator(people), await people.make(), await people.make()
    one = await assistant(root, provider="other")
    chat_id = await people.group(anna, ben)
    await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": one["user_id"]})
    await anna.rest.patch(
        f"/v1/chats/{chat_id}/members/{one['user_id']}", {"attention": "ambient", "budget_per_hour": 2}
    )
    client, mark = await ben.client(0), new_id()
    for n in range(3):
        last = await client.send(chat_id, f"line {n} script: {json.dumps({'words': 2, 'mark': mark})}")
        await asyncio.sleep(0.7)
    [end] = await ended(client, chat_id, 1)
    assert (end["message"]["sender_id"], end["message"]["reply_to"]) == (one["user_id"], last["message"]["id"])
    await asyncio.sleep(5)
    assert len(await calls(real, mark)) == 1, "once, and not to itself"
    [call] = await calls(real, mark)
    said = call["messages"][-1]["content"]
    assert [f"P (@{ben.name}): line {n}" in said for n in range(3)] == [True] * 3
    await people.close()
