"""Groups whose newcomers see nothing from before them: at every door, and in what an assistant tells."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from tests.scenarios.test_accounts import refused
from tests.scenarios.test_replies import ended, question
from tests.world import People, Person, World, new_id

CHATS = 50


async def said(person: Person, chat_id: str, body: str) -> dict[str, Any]:
    path, sent = f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": body}
    return dict(await person.rest.post(path, sent))


async def test_no_door_shows_what_was_before(people: People) -> None:
    anna, ben, old = await people.make(), await people.make(), await people.make()
    chat_id = await people.group(anna, old)
    canary = f"canary{new_id()[:8]}"
    path = f"/v1/chats/{chat_id}"
    secret = await said(anna, chat_id, f"{canary} in a message")
    hers = await anna.client(0)
    await hers.send(chat_id, f"@assistant {question(people.world, 5, 1)}")
    answer = (await ended(hers, chat_id))[0]["message"]
    await anna.rest.put(f"{path}/pins/{secret['id']}")
    assert (await anna.rest.get(path))["history"] == "all"
    assert (await anna.rest.patch(path, {"history": "from_joining"}))["history"] == "from_joining"
    assert (await refused(old.rest.patch(path, {"history": "all"}))).code == "not_allowed"
    assert (await refused(anna.rest.patch(path, {"history": "yesterday"}))).code == "invalid"
    frames: list[dict[str, Any]] = []
    his = await ben.client(1, on_frame=frames.append)
    await anna.rest.post(f"{path}/members", {"user_id": ben.id})
    floor = (await ben.rest.get(path))["head"]
    listed = (await ben.rest.get("/v1/chats"))["items"][0]
    assert (listed["id"], listed["last_message"], listed["unread"]) == (chat_id, None, 0)
    await his.wait_for(lambda: chat_id in his.chats)
    await anna.rest.patch(f"{path}/messages/{secret['id']}", {"body": f"{canary} edited"})
    shown = await said(anna, chat_id, "for all")
    await his.wait_for(lambda: his.chats[chat_id].cursor == shown["seq"])

    async def doors() -> list[Any]:
        found: list[Any] = [await ben.rest.get(f"{path}/messages", **of) for of in (
            {"limit": 100}, {"before": shown["seq"]}, {"after": 0}, {"after": 1, "limit": 1},
        )]  # fmt: skip
        found += [await ben.rest.get(f"{path}/timeline", after=after) for after in (0, 1, floor)]
        found += [
            await ben.rest.get("/v1/search", q=canary),
            await ben.rest.get("/v1/search", q=canary, chat_id=chat_id),
        ]
        found += [await ben.rest.get(f"{path}/pins"), await ben.rest.get("/v1/chats"), frames]
        return found

    assert canary not in json.dumps(await doors()) and secret["id"] not in json.dumps(
        [page for page in await doors() if isinstance(page, dict) and "has_more" in page and "head" not in page]
    )
    page = await ben.rest.get(f"{path}/messages", limit=100)
    assert [message["id"] for message in page["items"]] == [shown["id"]] and not page["has_more"]
    edits = [e for e in (await ben.rest.get(f"{path}/timeline", after=floor))["items"] if e["type"] == "message.edited"]
    assert [sorted(edit) for edit in edits] == [["actor_id", "at", "chat_id", "seq", "type"]]
    assert (await ben.rest.get(f"{path}/timeline", after=0))["items"][0]["seq"] == floor
    for message in (secret, answer):
        one = f"{path}/messages/{message['id']}"
        for work in (
            ben.rest.get(one), ben.rest.patch(one, {"body": "x"}), ben.rest.delete(one), ben.rest.post(f"{one}/stop"),
            ben.rest.put(f"{one}/reactions/%F0%9F%91%8D"), ben.rest.put(f"{path}/pins/{message['id']}"),
            ben.rest.get(f"{one}/provenance"), ben.rest.post(f"{one}/report", {"reason": "x"}),
            ben.rest.post(f"{one}/regenerate"),
            ben.rest.post("/v1/policy/explain", {"action": "message.edit", "chat_id": chat_id, "message_id": message["id"]}),
        ):  # fmt: skip
            assert (await refused(work)).code == "not_found"
    own, key = await said(ben, chat_id, "mine"), {"Idempotency-Key": new_id()}
    await ben.rest.put(f"{path}/messages/{own['id']}/reactions/%F0%9F%91%8D", headers=key)
    again = ben.rest.put(f"{path}/messages/{secret['id']}/reactions/%F0%9F%91%8D", headers=key)
    assert (await refused(again)).code == "not_found", "an id that was used for another message opens none"
    send = {"client_message_id": new_id(), "body": "x", "reply_to": secret["id"]}
    assert (await refused(ben.rest.post(f"{path}/messages", send))).code == "invalid"
    assert canary in json.dumps(await old.rest.get(f"{path}/messages")), "who was there sees all of it"
    raw = await ben.socket(0, resume={"chats": {chat_id: 0}, "epoch": ""})
    assert canary not in json.dumps(await raw.settle())
    direct = str((await anna.rest.post("/v1/chats", {"kind": "direct", "member_ids": [ben.id]}))["id"])
    assert (await refused(anna.rest.patch(f"/v1/chats/{direct}", {"history": "from_joining"}))).status in (403, 422)


async def test_no_canary_in_any_prompt_or_answer_whose_readers_may_not_all_read_it(real: World) -> None:
    """Fifty groups; people come, go, say things and ask. A canary may be in a prompt only where all who read its answer saw it."""
    people = People(real)
    rng = random.Random(20)
    crowd = [await people.make() for _ in range(5)]
    visible: dict[str, set[tuple[str, int]]] = {}
    """By canary: who, by their stay (user, which one), saw it."""
    asked: dict[str, tuple[str, set[tuple[str, int]]]] = {}
    """By the question's mark: its chat, and who reads the answer."""

    async def one_chat(n: int) -> None:
        owner = crowd[n % len(crowd)]
        chat_id = await people.group(owner)
        path, here, stays = f"/v1/chats/{chat_id}", {owner.id: 0}, 0
        await owner.rest.patch(path, {"history": "from_joining"})
        for _ in range(12):
            other = rng.choice(crowd)
            match rng.choice(("join", "leave", "say", "say", "ask")):
                case "join" if other.id not in here:
                    await owner.rest.post(f"{path}/members", {"user_id": other.id})
                    stays += 1
                    here[other.id] = stays
                case "leave" if other.id in here and other is not owner:
                    # Who goes before an answer is written isn't among its readers: here all stay until it is.
                    while any(m["status"] == "pending" for m in (await owner.rest.get(f"{path}/messages"))["items"]):
                        await asyncio.sleep(0.05)
                    await owner.rest.delete(f"{path}/members/{other.id}")
                    del here[other.id]
                case "say":
                    canary = f"canary-{new_id()}"
                    visible[canary] = set(here.items())
                    await said(owner, chat_id, canary)
                case "ask":
                    mark = f"mark-{new_id()}"
                    asked[mark] = (chat_id, set(here.items()))
                    await said(owner, chat_id, f"@assistant {mark}")
                case _:
                    pass

    for start in range(0, CHATS, 5):
        await asyncio.gather(*(one_chat(n) for n in range(start, start + 5)))
    assert len(asked) > 60 and len(visible) > 150 and real.model is not None

    async def prompts() -> dict[str, str]:
        log = (await crowd[0].rest.http.get(f"{real.model.url}/log")).json()  # type: ignore[union-attr]
        found = {}
        for entry in log:
            last = entry["messages"][-1]["content"]
            if (mark := next((m for m in asked if last.rstrip().endswith(m)), None)) is not None:
                found[mark] = json.dumps(entry["messages"])
        return found

    for _ in range(300):
        if len(sent := await prompts()) == len(asked):
            break
        await asyncio.sleep(0.1)
    leaks, seen = [], 0
    for mark, text in sent.items():
        _, readers = asked[mark]
        for canary, who in visible.items():
            if canary in text:
                seen += 1
                leaks += [(mark, canary)] if not readers <= who else []
    assert len(sent) == len(asked) and leaks == [] and seen > 50
    await asyncio.sleep(1)
    for person in crowd:  # what each reads today, of chats as they are in them now
        for chat in (await person.rest.get("/v1/chats", limit=100))["items"]:
            page = await person.rest.get(f"/v1/chats/{chat['id']}/messages", limit=100)
            for message in page["items"]:
                if message["kind"] == "assistant":
                    origin = await person.rest.get(f"/v1/chats/{chat['id']}/messages/{message['id']}/provenance")
                    shown = {m["id"] for m in page["items"]}
                    assert {place["message_id"] for place in origin["context"]} <= shown, "the same of provenance"
    await people.close()
