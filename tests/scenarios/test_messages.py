from __future__ import annotations

import asyncio
from typing import Any

import httpx2

from parley_client import Rejected
from stack.pace import paced
from tests.faults.test_recovery import metric
from tests.scenarios.test_accounts import refused
from tests.world import People, new_id


async def test_a_message_reaches_every_socket_of_every_member_once(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    clients = [await person.client(gateway) for person in (anna, bert) for gateway in (0, 1)]
    sent = await asyncio.wait_for(clients[0].send(chat_id, "hello"), paced(5))
    for client in clients:
        await client.wait_for(lambda c=client: c.chats[chat_id].cursor == 2)  # type: ignore[misc]
    for client in clients:
        assert client.chats[chat_id].events[-1]["message"] == sent["message"]
    message = sent["message"]
    assert (message["kind"], message["status"], message["seq"], message["body"]) == ("user", "complete", 2, "hello")
    assert await bert.rest.get(f"/v1/chats/{chat_id}/messages/{message['id']}") == message


async def test_the_same_id_by_every_door_is_one_message(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    sockets = [await anna.socket(gateway) for gateway in (0, 1, 0)]
    id_ = new_id()
    for turn in range(30):
        for n, socket in enumerate(sockets):
            await socket.send(
                {"type": "message.send", "ref": f"{turn}", "chat_id": chat_id, "client_message_id": id_, "body": f"{n}"}
            )
    answers = await asyncio.gather(
        *(
            anna.rests[n % len(anna.rests)].call(
                "POST", f"/v1/chats/{chat_id}/messages", json={"client_message_id": id_, "body": "rest"}
            )
            for n in range(10)
        )
    )
    assert len({answer.text for answer in answers}) == 1
    assert {answer.status_code for answer in answers} <= {200, 201}
    for socket in sockets:
        await socket.settle()
        over = [f for f in socket.seen if f["type"] == "committed"]
        assert {frame["seq"] for frame in over} <= {2}
        assert len([f for f in socket.seen if f["type"] == "message.created"]) == 1
    committed = sum(f["type"] == "committed" for socket in sockets for f in socket.seen)
    assert committed >= 89, "each repeat is answered with its own ref"
    page = await anna.rest.get(f"/v1/chats/{chat_id}/messages")
    assert len(page["items"]) == 1 and (await anna.rest.get(f"/v1/chats/{chat_id}"))["head"] == 2


async def test_pipelined_sends_keep_their_order(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    client, other = await anna.client(0), await bert.client(1)
    await asyncio.gather(*(client.send(chat_id, str(n)) for n in range(300)))
    await other.wait_for(lambda: other.chats[chat_id].cursor == 301)
    assert [e["message"]["body"] for e in other.chats[chat_id].events if "message" in e] == [str(n) for n in range(300)]


async def test_edit_delete_react_reply(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    a, b = await anna.client(0), await bert.client(1)
    first = (await a.send(chat_id, "one"))["message"]
    second = (await b.send(chat_id, "two", reply_to=first["id"]))["message"]
    assert second["reply_to"] == first["id"]
    edited = (await a.command("message.edit", chat_id, message_id=first["id"], body="uno"))["message"]
    assert (edited["body"], edited["seq"]) == ("uno", first["seq"]) and edited["edited_at"]
    same = await a.command("message.edit", chat_id, message_id=first["id"], body="uno")
    assert same["type"] == "committed" and "seq" not in same
    await b.command("reaction.add", chat_id, message_id=first["id"], emoji="👍")
    again = await b.command("reaction.add", chat_id, message_id=first["id"], emoji="👍")
    assert again["type"] == "committed"
    path = f"/v1/chats/{chat_id}/messages/{first['id']}"
    assert (await anna.rest.get(path))["reactions"] == [{"emoji": "👍", "count": 1, "user_ids": [bert.id]}]
    put = await anna.rest.call("PUT", f"{path}/reactions/%F0%9F%91%8D")
    assert (put.status_code, put.json()["reactions"][0]["count"]) == (200, 2)
    assert (await anna.rest.call("DELETE", f"{path}/reactions/%F0%9F%91%8D")).status_code == 204
    assert (await anna.rest.call("DELETE", f"{path}/reactions/%F0%9F%91%8D")).status_code == 204
    try:
        await b.command("message.edit", chat_id, message_id=first["id"], body="mine")
        raise AssertionError("somebody else's message was edited")
    except Rejected as error:
        assert (error.code, error.policies) == ("not_allowed", ["only-authors-edit"])
    deleted = await anna.rest.call("DELETE", path)
    tombstone = deleted.json()
    assert (deleted.status_code, tombstone["body"], tombstone["seq"], tombstone["reactions"]) == (
        200,
        None,
        first["seq"],
        [],
    )
    assert (await refused(anna.rest.patch(path, {"body": "back"}))).code == "conflict"
    assert (await refused(anna.rest.call("PUT", f"{path}/reactions/%F0%9F%91%8D"))).code == "conflict"
    assert (
        await refused(
            anna.rest.post(
                f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "x", "reply_to": new_id()}
            )
        )
    ).code == "invalid"
    head = (await anna.rest.get(f"/v1/chats/{chat_id}"))["head"]
    await a.wait_for(lambda: a.chats[chat_id].cursor == head)
    await b.wait_for(lambda: b.chats[chat_id].cursor == head)
    timeline = await anna.rest.get(f"/v1/chats/{chat_id}/timeline", limit=500)
    assert [e["seq"] for e in timeline["items"]] == list(range(1, head + 1)) and timeline["has_more"] is False
    created = next(e for e in timeline["items"] if e["type"] == "message.created")
    assert created["message"] == tombstone, "an event read later carries its message as it is now"


async def test_twenty_different_reactions_are_enough(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    client = await anna.client()
    message = (await client.send(chat_id, "react"))["message"]
    emojis = [chr(0x1F600 + n) for n in range(21)]
    for emoji in emojis[:20]:
        await client.command("reaction.add", chat_id, message_id=message["id"], emoji=emoji)
    try:
        await client.command("reaction.add", chat_id, message_id=message["id"], emoji=emojis[20])
        raise AssertionError("a 21st")
    except Rejected as error:
        assert error.code == "conflict"


async def test_history_pages_by_seq(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    client = await anna.client()
    await asyncio.gather(*(client.send(chat_id, str(n)) for n in range(25)))
    path = f"/v1/chats/{chat_id}/messages"
    newest = await anna.rest.get(path, limit=10)
    assert ([m["seq"] for m in newest["items"]], newest["has_more"]) == (list(range(26, 16, -1)), True)
    older = await anna.rest.get(path, before=17, limit=100)
    assert ([m["seq"] for m in older["items"]], older["has_more"]) == (list(range(16, 1, -1)), False)
    later = await anna.rest.get(path, after=20, limit=3)
    assert ([m["seq"] for m in later["items"]], later["has_more"]) == ([21, 22, 23], True)
    for query in ("before=1&after=2", "limit=0", "limit=101", "before=-1", "after=x", "before=99999999999999999999"):
        assert (await refused(anna.rest.call("GET", f"{path}?{query}"))).code == "invalid"


async def test_unread_and_read_marks(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    a = await anna.client(0)
    heard = await bert.socket(1)
    for n in range(3):
        await a.send(chat_id, str(n))
    mine = await anna.rest.get(f"/v1/chats/{chat_id}")
    theirs = await bert.rest.get(f"/v1/chats/{chat_id}")
    assert (mine["unread"], mine["read_seq"], theirs["unread"], theirs["read_seq"]) == (0, 4, 3, 1)
    assert theirs["last_message"]["body"] == "2"
    assert await bert.rest.put(f"/v1/chats/{chat_id}/read", {"seq": 3}) == {"read_seq": 3, "unread": 1}
    await heard.expect("read.marked", user_id=bert.id, read_seq=3)
    answer = await heard.ask({"type": "read.mark", "chat_id": chat_id, "seq": 999})
    assert (answer["type"], answer["read_seq"], answer["unread"]) == ("ok", 4, 0)
    assert await bert.rest.put(f"/v1/chats/{chat_id}/read", {"seq": 1}) == {"read_seq": 4, "unread": 0}


async def test_typing_is_told_to_others(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    a, b = await anna.socket(0), await bert.socket(1)
    await a.send({"type": "typing", "chat_id": chat_id})
    told = await b.expect("typing")
    assert (told["user_id"], told["chat_id"]) == (anna.id, chat_id)
    await a.settle()
    assert not [f for f in a.seen if f["type"] == "typing"]


async def test_repeating_ones_own_command_after_leaving_tells_its_first_outcome(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    body = {"client_message_id": new_id(), "body": "before I go"}
    first = await bert.rest.post(f"/v1/chats/{chat_id}/messages", body)
    await bert.rest.delete(f"/v1/chats/{chat_id}/members/{bert.id}")
    again = await bert.rest.call("POST", f"/v1/chats/{chat_id}/messages", json=body)
    assert (again.status_code, again.json()) == (200, first)
    fresh = body | {"client_message_id": new_id()}
    assert (await refused(bert.rest.post(f"/v1/chats/{chat_id}/messages", fresh))).code == "not_found"


async def test_a_page_is_the_same_however_it_is_asked_for(people: People) -> None:
    """Plainly put it takes a shorter way through the gateway; with a parameter that nobody knows it doesn't."""
    anna, other = await people.make(), await people.make()
    chat_id = await people.group(anna)
    for n in range(7):
        await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": f"{n}"})
    base = f"{people.world.urls[0]}/v1/chats"
    mine = {"Authorization": f"Bearer {anna.rest.access_token}"}
    theirs = {"Authorization": f"Bearer {other.rest.access_token}"}
    asked = ["", "limit=3", "before=5", "after=2", "before=5&limit=2", "after=0&limit=100", "before=0", "before=007", "limit=0",
             "limit=101", "limit=x", "before=-1", "before=5&after=1", "before=5&before=6", "limit=2&limit=3", "before=5limit=3", "after=1&", "limit=2&before=4", "before=1&", "&"]  # fmt: skip
    async with httpx2.AsyncClient() as http:

        async def answer(query: str, headers: dict[str, str], method: str = "GET", chat: str = chat_id) -> Any:
            got = await http.request(method, f"{base}/{chat}/messages?{query}", headers=headers)
            return got.status_code, got.text, sorted(set(got.headers) - {"date"})

        for query in asked:
            for headers in (
                mine,
                theirs,
                {},
                {"Authorization": "Bearer no.good.token"},
                {"Authorization": "Basic eDp5"},
            ):
                plain, longer = await answer(query, headers), await answer(f"{query}&x=1", headers)
                assert plain == longer, (query, headers)
        assert await answer("", mine, chat=new_id()) == await answer("x=1", mine, chat=new_id())
        assert await answer("", mine, chat="no-id") == await answer("x=1", mine, chat="no-id")
        head = await answer("", mine, "HEAD")
        assert (head[0], head[1]) == (200, "") and head[2] == (await answer("x=1", mine, "HEAD"))[2]
        assert (
            await metric(
                people.world.urls[0],
                r'parley_http_request_seconds_count\{method="GET",route="/v1/chats/\{chat_id\}/messages",status="200"\}',
            )
            > 20
        )
