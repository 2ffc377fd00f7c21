from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from app.domain.ids import ASSISTANT_ID
from parley_client import Client
from stack.pace import paced, within
from tests.scenarios.test_accounts import refused
from tests.world import People, Person, World, new_id


def question(world: World, words: int, every_ms: int = 33) -> str:
    """Asks for an answer of about so many words, by the means of the world's model."""
    if world.embedded:
        return f"{max(1, words // 11)} sentences"
    return f'script: {{"words": {words}, "every_ms": {every_ms}}}'


async def assistant_chat(person: Person, **assistant: str) -> str:
    """assistant: its model and instructions, where they aren't the setting's."""
    return str((await person.rest.post("/v1/chats", {"kind": "assistant", "assistant": assistant or None}))["id"])


async def ended(client: Client, chat_id: str, count: int = 1, wait_s: float = 30) -> list[dict[str, Any]]:
    def found() -> list[dict[str, Any]] | None:
        events = [e for e in client.chats[chat_id].events if e["type"] == "message.completed"]
        return events if len(events) >= count else None

    return list(await client.wait_for(found, wait_s))


def text_of(frames: list[dict[str, Any]], message_id: str) -> str:
    """The text that a client shows, by the rules for deltas and snapshots; asserts that nothing is missing."""
    attempt, index, text = 0, 0, ""
    for frame in frames:
        if frame.get("message_id") != message_id or frame["type"] not in ("reply.delta", "reply.snapshot"):
            continue
        if frame["type"] == "reply.snapshot":
            attempt, index, text = frame["attempt"], frame["next_index"], frame["text"]
        elif frame["attempt"] > attempt:
            assert frame["index"] == 0
            attempt, index, text = frame["attempt"], 1, frame["text"]
        else:
            assert (frame["attempt"], frame["index"]) == (attempt, index)
            index, text = index + 1, text + frame["text"]
    return text


async def test_an_answer_streams_to_all_and_ends_durably(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    frames: list[dict[str, Any]] = []
    a, b = await anna.client(0), await bert.client(1, on_frame=frames.append)
    sent = await a.send(chat_id, "@assistant " + question(people.world, 30))
    [event] = await ended(b, chat_id)
    reply = event["message"]
    assert (reply["kind"], reply["status"], reply["reply_to"], reply["attempt"]) == (
        "assistant",
        "complete",
        sent["message"]["id"],
        1,
    )
    assert text_of(frames, reply["id"]) == reply["body"] and reply["usage"]["completion_tokens"] > 0
    opened = b.chats[chat_id].events[-2]
    assert (opened["type"], opened["message"]["status"], opened["message"]["body"]) == (
        "message.created",
        "pending",
        "",
    )
    assert opened["seq"] == sent["seq"] + 1 and event["actor_id"] == reply["sender_id"] == opened["actor_id"]
    unasked = await a.send(chat_id, "mail me@assistant.example")
    await a.wait_for(lambda: a.chats[chat_id].cursor == unasked["seq"])


async def test_who_comes_in_the_middle_gets_the_text_so_far(people: People) -> None:
    anna = await people.make()
    chat_id = await assistant_chat(anna)
    client = await anna.client(0)
    await client.send(chat_id, question(people.world, 80))
    await client.wait_for(lambda: client.chats[chat_id].cursor == 3)
    await asyncio.sleep(0.7)
    late = await anna.socket(1)
    snapshot = await late.expect("reply.snapshot")
    assert snapshot["text"] and snapshot["attempt"] == 1 and snapshot["next_index"] > 1
    end = await late.expect("message.completed", 20)
    assert text_of(late.seen, end["message"]["id"]) == end["message"]["body"]
    await late.settle()
    assert late.seen.index(end) > max(n for n, f in enumerate(late.seen) if f["type"] == "reply.delta")


async def test_stop_before_and_after_the_first_token(people: People) -> None:
    anna = await people.make()
    chat_id = await assistant_chat(anna)
    client = await anna.client(0)
    await client.send(chat_id, question(people.world, 300))
    await client.wait_for(lambda: client.chats[chat_id].cursor == 3)
    reply_id = client.chats[chat_id].events[-1]["message"]["id"]
    await asyncio.sleep(1.0)
    began = time.monotonic()
    over = await client.command("reply.stop", chat_id, message_id=reply_id)
    assert over["type"] == "committed" and "seq" not in over
    [end] = await ended(client, chat_id)
    assert time.monotonic() - began < paced(5)
    assert end["message"]["status"] == "stopped" and "command_id" not in end
    assert 0 < len(end["message"]["body"].split()) < 200
    again = await anna.rest.call("POST", f"/v1/chats/{chat_id}/messages/{reply_id}/stop")
    assert (again.status_code, again.json()["status"]) == (200, "stopped")
    # Before the first token: stopped in the breath of the question.
    await client.send(chat_id, question(people.world, 300))
    await client.wait_for(lambda: (client.chats[chat_id].cursor or 0) >= 6)
    second = next(e["message"]["id"] for e in client.chats[chat_id].events if e["seq"] == 6)
    await client.command("reply.stop", chat_id, message_id=second)
    end = (await ended(client, chat_id, 2))[-1]
    assert end["message"]["status"] == "stopped" and len(end["message"]["body"].split()) < 100


async def test_regenerate_makes_a_sibling(people: People) -> None:
    anna = await people.make()
    chat_id = await assistant_chat(anna)
    client = await anna.client(0)
    asked = await client.send(chat_id, question(people.world, 11))
    [first] = await ended(client, chat_id)
    answer = await anna.rest.call("POST", f"/v1/chats/{chat_id}/messages/{first['message']['id']}/regenerate")
    made = answer.json()
    assert (answer.status_code, made["regenerates"], made["reply_to"]) == (
        201,
        first["message"]["id"],
        asked["message"]["id"],
    )
    second = (await ended(client, chat_id, 2))[-1]
    assert second["message"]["id"] == made["id"] and second["message"]["status"] == "complete"
    assert (
        await refused(anna.rest.post(f"/v1/chats/{chat_id}/messages/{asked['message']['id']}/regenerate"))
    ).code == "conflict"


@pytest.mark.parametrize("what", ["archive", "mute", "remove", "delete question", "delete reply"])
async def test_every_answer_ends_once_whatever_happens_to_its_chat(people: People, what: str) -> None:
    owner, anna = await people.make(), await people.make()
    chat_id = await people.group(owner, anna)
    watch, client = await owner.client(1), await anna.client(0)
    sent = await client.send(chat_id, "@assistant " + question(people.world, 60))
    await watch.wait_for(lambda: watch.chats[chat_id].cursor == 3)
    await asyncio.sleep(0.5)
    path = f"/v1/chats/{chat_id}"
    reply_id = watch.chats[chat_id].events[-1]["message"]["id"]
    if what == "archive":
        await owner.rest.patch(path, {"archived": True})
    elif what == "mute":
        await owner.rest.patch(f"{path}/members/{anna.id}", {"muted_until": "2099-01-01T00:00:00Z"})
    elif what == "remove":
        await owner.rest.delete(f"{path}/members/{anna.id}")
    else:
        await owner.rest.delete(f"{path}/messages/{sent['message']['id'] if 'question' in what else reply_id}")
    [end] = await ended(watch, chat_id)
    expected = ("stopped", 2, "") if "delete" in what else ("complete", 1, end["message"]["body"])
    # Deleted meanwhile or not, the event's own message says how it ended.
    assert (end["message"]["status"], end["message"]["attempt"], end["message"]["body"]) == expected
    await asyncio.sleep(2.5)
    assert len([e for e in watch.chats[chat_id].events if e["type"] == "message.completed"]) == 1


async def test_what_the_model_does_wrong_ends_as_failed(real: World) -> None:
    people = People(real)
    anna = await people.make()
    chat_id = await assistant_chat(anna)
    client = await anna.client(0)
    scripts: list[tuple[dict[str, Any], str, str]] = [
        ({"words": 3, "end": "no_finish"}, "failed", "cut"),
        ({"words": 3, "end": "cut"}, "failed", "unavailable"),
        ({"words": 3, "end": "garbage"}, "failed", "bad_answer"),
        ({"words": 3, "end": "stall"}, "failed", "timeout"),
        ({"fail": 400}, "failed", "refused"),
        ({"fail": 503, "times": 2, "words": 4, "n": chat_id}, "complete", ""),
    ]
    for script, _, _ in scripts:
        await client.send(chat_id, f"script: {json.dumps(script)}")
    ends = {e["message"]["reply_to"]: e["message"] for e in await ended(client, chat_id, len(scripts), 40)}
    asked = [e["message"]["id"] for e in client.chats[chat_id].events if e.get("message", {}).get("kind") == "user"]
    for id_, (script, status, code) in zip(asked, scripts, strict=True):
        assert (ends[id_]["status"], ends[id_].get("failure", {}).get("code", "")) == (status, code), script
        if script.get("words") == 3:
            assert ends[id_]["body"] == "word0 word1 word2 "
    await people.close()


async def test_stopping_ends_the_request_upstream(real: World) -> None:
    people = People(real)
    anna = await people.make()
    chat_id = await assistant_chat(anna)
    client = await anna.client(0)
    mark = f'script: {{"words": 1000, "every_ms": 20, "n": "{chat_id}"}}'
    await client.send(chat_id, mark)
    await client.wait_for(lambda: client.chats[chat_id].cursor == 3)
    await asyncio.sleep(0.5)
    await client.command("reply.stop", chat_id, message_id=client.chats[chat_id].events[-1]["message"]["id"])
    assert real.model is not None
    async with within(8):
        while True:
            log = (await anna.rest.http.get(f"{real.model.url}/log")).json()
            mine = [entry for entry in log if chat_id in entry["messages"][-1]["content"]]
            if mine and mine[-1]["end"] == "closed":
                break
            await asyncio.sleep(0.1)
    await people.close()


async def test_an_assistant_that_is_kept_out_says_nothing_and_who_called_it_is_told(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    his, hers = await ben.socket(1), await anna.socket()
    members, bans = f"/v1/chats/{chat_id}/members", f"/v1/chats/{chat_id}/bans/{ASSISTANT_ID}"

    async def call() -> dict[str, Any]:
        body = {"client_message_id": new_id(), "body": "@assistant, are you there?"}
        said = await ben.rest.post(f"/v1/chats/{chat_id}/messages", body)
        told = await his.expect("assistant.silent")
        assert (told["chat_id"], told["message_id"], told["assistant_id"]) == (chat_id, said["id"], ASSISTANT_ID)
        head = (await anna.rest.get(f"/v1/chats/{chat_id}"))["head"]
        assert head == said["seq"], "the message stands, and nothing follows it"
        again = await refused(ben.rest.post(f"/v1/chats/{chat_id}/messages/{answer['message']['id']}/regenerate"))
        assert again.code == told["code"], "nor is anything written anew"
        return told

    body = {"client_message_id": new_id(), "body": "@assistant, are you there?"}
    await ben.rest.post(f"/v1/chats/{chat_id}/messages", body)
    answer = await hers.expect("message.completed", 20)

    await anna.rest.post(members, {"user_id": ASSISTANT_ID})
    await anna.rest.patch(f"{members}/{ASSISTANT_ID}", {"muted_until": "2100-01-01T00:00:00.000Z"})
    assert (await call())["code"] == "muted"
    await anna.rest.patch(f"{members}/{ASSISTANT_ID}", {"muted_until": None, "role": "reader"})
    assert (await call())["code"] == "not_allowed"
    await anna.rest.put(bans)
    assert (await call())["code"] == "banned"
    await anna.rest.delete(bans)
    body = {"client_message_id": new_id(), "body": "@assistant, and now?"}
    await ben.rest.post(f"/v1/chats/{chat_id}/messages", body)
    await hers.expect("message.completed", 20)
    assert not [frame for frame in hers.seen if frame["type"] == "assistant.silent"], "nobody else is told"


@pytest.mark.parametrize(
    "usage", [{"prompt_tokens": None}, {"completion_tokens": -1}, {"prompt_tokens": 5.5}, {"prompt_tokens": "seven"}]
)
async def test_counts_that_are_none_leave_the_answer_whole(real: World, usage: dict[str, Any]) -> None:
    people = People(real)
    anna = await people.make()
    chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])
    socket = await anna.socket()
    script = json.dumps({"words": 3, "usage": usage})
    body = {"client_message_id": new_id(), "body": f"script: {script}"}
    await anna.rest.post(f"/v1/chats/{chat_id}/messages", body)
    end = (await socket.expect("message.completed", 20))["message"]
    assert (end["status"], len(end["body"].split())) == ("complete", 3) and "usage" not in end
    await people.close()


async def test_questions_in_a_row_are_answered_one_after_another_and_each_place_is_told(people: People) -> None:
    anna = await people.make()
    client = await anna.client(0)
    watch = await anna.socket(1)
    chat_id = await assistant_chat(anna)
    for n in range(3):
        await client.send(chat_id, f"{question(people.world, 30, 20)} {n}")
    told = [e["message"] for e in client.chats[chat_id].events if e.get("message", {}).get("kind") == "assistant"]
    assert [message.get("queue") for message in told if message["status"] == "pending"][:3] == [None, 1, 2]
    third = told[2]["id"]
    ends = await ended(client, chat_id, 3, 40)
    assert [e["message"]["id"] for e in ends] == [message["id"] for message in told[:3]], "in the order of asking"
    await watch.until(lambda frame: frame["type"] == "message.completed" and frame["message"]["id"] == third)
    assert not any("queue" in e["message"] for e in ends)
    moved = [f for f in watch.seen if f["type"] == "reply.queued" and f["message_id"] == third]
    assert [f["queue"] for f in moved] == [1, 0]
    began = [
        next(n for n, f in enumerate(watch.seen) if f["type"] == "reply.delta" and f["message_id"] == m["id"])
        for m in told[:3]
    ]
    over = [
        next(n for n, f in enumerate(watch.seen) if f["type"] == "message.completed" and f["message"]["id"] == m["id"])
        for m in told[:3]
    ]
    assert began[0] < over[0] < began[1] < over[1] < began[2] < over[2], "one at a time"
