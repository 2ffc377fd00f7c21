"""Branches of a chat with an assistant, forks of it, and remarks to an answer that waits."""

from __future__ import annotations

import json
from typing import Any

from parley_client import Client, Rejected
from tests.scenarios.test_accounts import refused
from tests.scenarios.test_replies import assistant_chat, ended, question
from tests.scenarios.test_several_assistants import NOBODY, calls
from tests.world import People, Person, World, new_id


async def send(person: Person, chat_id: str, body: str, **more: Any) -> dict[str, Any]:
    said = {"client_message_id": new_id(), "body": body, **more}
    return dict(await person.rest.post(f"/v1/chats/{chat_id}/messages", said))


async def answered(client: Client, chat_id: str, count: int) -> dict[str, Any]:
    return dict((await ended(client, chat_id, count))[-1]["message"])


async def test_an_edited_question_is_a_branch_and_a_regeneration_a_sibling(people: People) -> None:
    anna = await people.make()
    chat_id, client = await assistant_chat(anna), await anna.client(1)
    short = question(people.world, 5, 1)
    first = await send(anna, chat_id, short)
    answer = await answered(client, chat_id, 1)
    second = await send(anna, chat_id, short)
    await answered(client, chat_id, 2)
    edited = await send(anna, chat_id, short, parent_id=answer["id"])
    reply = await answered(client, chat_id, 3)
    anew = await send(anna, chat_id, short, parent_id=None)
    assert [m["parent_id"] for m in (first, answer, second, edited, reply, anew)] == [
        None, first["id"], answer["id"], answer["id"], edited["id"], None,
    ]  # fmt: skip
    await answered(client, chat_id, 4)
    sibling = await anna.rest.post(f"/v1/chats/{chat_id}/messages/{answer['id']}/regenerate")
    assert (sibling["parent_id"], sibling["regenerates"]) == (first["id"], answer["id"])
    await answered(client, chat_id, 5)
    by_socket = await (await anna.socket()).ask(
        {
            "type": "message.send",
            "chat_id": chat_id,
            "client_message_id": new_id(),
            "body": short,
            "parent_id": sibling["id"],
        }
    )
    assert by_socket["type"] == "accepted"
    await answered(client, chat_id, 6)
    page = (await anna.rest.get(f"/v1/chats/{chat_id}/messages", limit=3))["items"]
    assert [m["parent_id"] for m in page if m["kind"] == "user"] == [sibling["id"]]
    group = await people.group(anna)
    said = await send(anna, group, "hello")
    assert said["parent_id"] is None and (await send(anna, group, "hello", parent_id=None))["parent_id"] is None
    for chat, parent in ((group, said["id"]), (chat_id, said["id"]), (chat_id, NOBODY), (chat_id, "x")):
        assert (await refused(send(anna, chat, "x", parent_id=parent))).code == "invalid"


async def test_what_is_sent_is_the_line_of_ancestors(real: World) -> None:
    people = People(real)
    anna = await people.make()
    chat_id, client = await assistant_chat(anna), await anna.client()
    marks = [new_id() for _ in range(4)]
    said = [f"{mark} script: {json.dumps({'text': f'answer to {mark}'})}" for mark in marks]
    await send(anna, chat_id, said[0])
    first = await answered(client, chat_id, 1)
    await send(anna, chat_id, said[1])
    await answered(client, chat_id, 2)
    await send(anna, chat_id, said[2], parent_id=first["id"])
    third = await answered(client, chat_id, 3)
    [call] = await calls(real, marks[2])
    sent = json.dumps(call["messages"])
    assert marks[0] in sent and f"answer to {marks[0]}" in sent and marks[1] not in sent, "the other branch isn't sent"
    origin = await anna.rest.get(f"/v1/chats/{chat_id}/messages/{third['id']}/provenance")
    assert [place["seq"] for place in origin["context"]] == [2, 3, third["seq"] - 1]

    fork = await anna.rest.post(f"/v1/chats/{chat_id}/fork", {"message_id": first["id"]})
    assert fork["forked_from"] == {"chat_id": chat_id, "seq": first["seq"]} and fork["kind"] == "assistant"
    assert (fork["head"], fork["members_count"], fork["my_role"]) == (1, 2, "owner")
    assert (await anna.rest.get(f"/v1/chats/{fork['id']}/messages"))["items"] == [], "nothing is copied"
    await send(anna, fork["id"], said[3])
    await client.wait_for(lambda: fork["id"] in client.chats)
    await answered(client, fork["id"], 1)
    [call] = await calls(real, marks[3])
    sent = json.dumps(call["messages"])
    assert marks[0] in sent and marks[1] not in sent and marks[2] not in sent
    of = await anna.rest.get(f"/v1/chats/{fork['id']}/messages", limit=1)
    origin = await anna.rest.get(f"/v1/chats/{fork['id']}/messages/{of['items'][0]['id']}/provenance")
    assert [(place["seq"], place.get("chat_id")) for place in origin["context"]] == [
        (2, chat_id),
        (3, chat_id),
        (2, None),
    ]
    await people.close()


async def test_who_forks_what(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id, client = await assistant_chat(anna), await anna.client()
    said = await send(anna, chat_id, question(people.world, 5, 1))
    await answered(client, chat_id, 1)
    key = {"Idempotency-Key": new_id()}
    path = f"/v1/chats/{chat_id}/fork"
    fork = await anna.rest.post(path, {"message_id": said["id"]}, headers=key)
    assert (await anna.rest.post(path, {"message_id": said["id"]}, headers=key))["id"] == fork["id"]
    event = (await anna.rest.get(f"/v1/chats/{fork['id']}/timeline", after=0))["items"][0]
    assert (event["type"], event["chat"]["forked_from"]) == ("chat.created", fork["forked_from"])
    assert (await refused(ben.rest.post(path, {"message_id": said["id"]}))).code == "not_found"
    assert (await refused(anna.rest.post(path, {"message_id": NOBODY}))).code == "not_found"
    assert (await refused(anna.rest.post(path, {}))).code == "invalid"
    group = await people.group(anna)
    other = await send(anna, group, "hello")
    assert (await refused(anna.rest.post(f"/v1/chats/{group}/fork", {"message_id": other["id"]}))).code == "invalid"


async def test_a_remark_is_told_when_the_turn_comes(real: World) -> None:
    people = People(real)
    anna, ben = await people.make(), await people.make()
    chat_id, client = await assistant_chat(anna), await anna.client()
    await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": ben.id})
    his, mark = await ben.socket(1), new_id()
    await send(anna, chat_id, f"script: {json.dumps({'words': 600, 'every_ms': 50})}")
    await send(anna, chat_id, f"{mark} a question that waits")
    await client.wait_for(lambda: len(client.chats[chat_id].events) >= 5)
    replies = [e["message"] for e in client.chats[chat_id].events if e["type"] == "message.created"]
    running, waiting = [message for message in replies if message["kind"] == "assistant"]
    assert [message.get("queue") for message in (running, waiting)] == [None, 1]
    path = f"/v1/chats/{chat_id}/messages/{waiting['id']}/steer"
    shown = await anna.rest.post(path, {"text": "in verse"})
    assert shown["id"] == waiting["id"] and shown["queue"] == 1
    told = await his.expect("reply.steered")
    assert (told["message_id"], told["text"], told["actor_id"]) == (waiting["id"], "in verse", anna.id)
    seq = await client.command("reply.steer", chat_id, message_id=waiting["id"], text='script: {"words": 2}')
    assert seq["seq"] == told["seq"] + 1
    for work, code in (
        (ben.rest.post(path, {"text": "x"}), "not_allowed"), (anna.rest.post(path, {"text": " "}), "empty"),
        (anna.rest.post(path, {}), "invalid"), (anna.rest.post(path, {"text": "x" * 8_001}), "too_large"),
        (anna.rest.post(f"/v1/chats/{chat_id}/messages/{running['id']}/steer", {"text": "x"}), "conflict"),
        (anna.rest.post(f"/v1/chats/{chat_id}/messages/{NOBODY}/steer", {"text": "x"}), "not_found"),
    ):  # fmt: skip
        assert (await refused(work)).code == code
    await anna.rest.post(f"/v1/chats/{chat_id}/messages/{running['id']}/stop")
    end = await answered(client, chat_id, 2)
    assert (end["id"], end["body"]) == (waiting["id"], "word0 word1 ")
    assert real.model is not None
    log = (await anna.rest.http.get(f"{real.model.url}/log")).json()
    [call] = [entry for entry in log if mark in json.dumps(entry["messages"])]
    last = call["messages"][-1]
    assert last["role"] == "user" and last["content"].startswith(f"{mark} a question that waits\n\nin verse\n\n")
    try:
        await client.command("reply.steer", chat_id, message_id=waiting["id"], text="too late")
        raise AssertionError("it is over")
    except Rejected as rejected:
        assert rejected.code == "conflict"
    await anna.rest.delete(f"/v1/chats/{chat_id}/messages/{waiting['reply_to']}")
    events = (await ben.rest.get(f"/v1/chats/{chat_id}/timeline", after=0))["items"]
    assert [e["text"] for e in events if e["type"] == "reply.steered"] == ["", ""], "they are gone with the question"
    await people.close()
