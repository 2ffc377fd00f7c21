"""Pins: by the socket and by REST, in both worlds."""

from __future__ import annotations

from typing import Any

import pytest

from parley_client import Problem, Rejected
from tests.scenarios.test_accounts import refused
from tests.world import People, Person, new_id


async def written(person: Person, chat_id: str, body: str = "words") -> str:
    body_ = {"client_message_id": new_id(), "body": body}
    return str((await person.rest.post(f"/v1/chats/{chat_id}/messages", body_))["id"])


async def pins(person: Person, chat_id: str, query: str = "") -> Any:
    return await person.rest.get(f"/v1/chats/{chat_id}/pins{query}")


async def test_a_pin_is_an_event_to_all_and_stands_in_the_list_until_it_is_taken_off(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    first, second = await written(anna, chat_id), await written(ben, chat_id)
    watcher = await ben.client(1)
    speaker = await anna.client(0)
    pinned = await speaker.command("message.pin", chat_id, message_id=first)
    assert (pinned["type"], pinned["message_id"], pinned["actor_id"]) == ("message.pinned", first, anna.id)
    path = f"/v1/chats/{chat_id}/pins"
    shown = await ben.rest.call("PUT", f"{path}/{second}")
    assert shown.status_code == 200 and shown.json()["id"] == second and shown.headers["Parley-Seq"]
    assert [m["id"] for m in (await pins(anna, chat_id))["items"]] == [second, first]
    again = await speaker.command("message.pin", chat_id, message_id=first)
    assert again["type"] == "committed"
    once_more = await ben.rest.call("PUT", f"{path}/{second}")
    assert once_more.status_code == 200
    gone = await anna.rest.call("DELETE", f"{path}/{first}")
    assert gone.status_code == 204
    assert (await anna.rest.call("DELETE", f"{path}/{first}")).status_code == 204
    assert [m["id"] for m in (await pins(ben, chat_id))["items"]] == [second]

    def types() -> list[str]:
        return [e["type"] for e in watcher.chats[chat_id].events if "pin" in e["type"]]

    await watcher.wait_for(lambda: len(types()) == 3)
    assert types() == ["message.pinned", "message.pinned", "message.unpinned"]
    timeline = await anna.rest.get(f"/v1/chats/{chat_id}/timeline")
    events = [e for e in timeline["items"] if "pin" in e["type"]]
    assert [(e["type"], e["message_id"]) for e in events] == [
        ("message.pinned", first), ("message.pinned", second), ("message.unpinned", first),
    ]  # fmt: skip


async def test_a_deletion_takes_its_pin_with_it_and_what_is_deleted_is_not_pinned(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    message = await written(anna, chat_id)
    path = f"/v1/chats/{chat_id}"
    await anna.rest.call("PUT", f"{path}/pins/{message}")
    head = (await anna.rest.get(path))["head"]
    await anna.rest.delete(f"{path}/messages/{message}")
    assert (await anna.rest.get(path))["head"] == head + 1, "one event: the deletion"
    assert (await pins(anna, chat_id)) == {"items": [], "next_cursor": None}
    for method in ("PUT", "DELETE"):
        problem = await refused(anna.rest.call(method, f"{path}/pins/{message}"))
        assert (problem.status, problem.code) == (409, "conflict")
    client = await anna.client()
    with pytest.raises(Rejected) as rejected:
        await client.command("message.pin", chat_id, message_id=message)
    assert rejected.value.code == "conflict"


async def test_a_chat_takes_fifty_pins_and_lists_them_in_pages(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    client = await anna.client()
    messages = [(await client.send(chat_id, str(n)))["message"]["id"] for n in range(51)]
    for message in messages[:50]:
        await client.command("message.pin", chat_id, message_id=message)
    problem = await refused(anna.rest.call("PUT", f"/v1/chats/{chat_id}/pins/{messages[50]}"))
    assert (problem.status, problem.code) == (409, "conflict") and "50" in problem.body["detail"]
    found, query = [], "?limit=20"
    while query:
        page = await pins(anna, chat_id, query)
        found += [m["id"] for m in page["items"]]
        query = f"?limit=20&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    assert found == messages[49::-1]
    await anna.rest.delete(f"/v1/chats/{chat_id}/pins/{messages[0]}")
    await client.command("message.pin", chat_id, message_id=messages[50])


async def test_strangers_readers_and_the_muted_pin_nothing(people: People) -> None:
    anna, reader, stranger = await people.make(), await people.make(), await people.make()
    chat_id = await people.group(anna, reader)
    message = await written(anna, chat_id)
    members = f"/v1/chats/{chat_id}/members/{reader.id}"
    pin = f"/v1/chats/{chat_id}/pins/{message}"
    await anna.rest.patch(members, {"role": "reader"})
    assert (await refused(reader.rest.call("PUT", pin))).code == "not_allowed"
    await anna.rest.patch(members, {"role": "member", "muted_until": "2099-01-01T00:00:00Z"})
    assert (await refused(reader.rest.call("PUT", pin))).code == "muted"
    assert (await refused(stranger.rest.call("PUT", pin))).code == "not_found"
    with pytest.raises(Problem) as problem:
        await pins(stranger, chat_id)
    assert problem.value.code == "not_found"
