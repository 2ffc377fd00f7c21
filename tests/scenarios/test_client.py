"""parley_client: it says why it ends, keeps what it needs to miss nothing, and its callbacks may wait."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from parley_client import Client, Event, Refused, Rest, SignedOut, Unanswered
from stack.pace import paced
from tests.scenarios.test_accounts import make_operator
from tests.scenarios.test_search import say
from tests.world import People, new_id


async def test_a_wrong_token_and_a_disabled_account_are_told_as_such(people: People) -> None:
    url = people.world.urls[0]
    async with Rest(url, access_token="no token") as rest:
        client = Client(rest)
        with pytest.raises(SignedOut):
            await client.start(paced(20))
        assert client.status == "signed out" and isinstance(client.error, SignedOut)
        with pytest.raises(SignedOut):
            await client.send(new_id(), "x")
        with pytest.raises(SignedOut):
            await client.ended()
        with pytest.raises(SignedOut):
            await rest.get("/v1/me")
        await client.close()
    root, anna = await people.make("root"), await people.make()
    await make_operator(people.world, root)
    states: list[str] = []
    client = Client(anna.rest, on_status=states.append)
    await client.start()
    await root.rest.patch(f"/v1/admin/users/{anna.id}", {"disabled": True})
    with pytest.raises(SignedOut):
        await asyncio.wait_for(client.ended(), paced(20))
    assert states[:2] == ["connecting", "online"] and states[-1] == "signed out"
    await client.close()


async def test_a_client_that_breaks_the_protocol_ends_and_says_so(people: People) -> None:
    """Closed for what it did, it would be closed again: it doesn't come back, and all that waits hears why."""
    anna = await people.make()
    states: list[str] = []
    client = Client(anna.rest, on_status=states.append)
    await client.start()
    assert client._socket is not None
    await client._socket.send(b"\x00 no text")
    with pytest.raises(Refused) as refused:
        await asyncio.wait_for(client.ended(), paced(20))
    assert refused.value.code in (1003, 4400) and client.closed_with == [refused.value.code]
    assert states == ["connecting", "online", "refused"]
    with pytest.raises(Refused):
        await client.send(new_id(), "x")
    await client.close()
    assert states[-1] == "refused"


async def test_events_carry_who_did_it_by_their_name_as_it_is_now(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    heard: list[Event] = []
    async with Client(ben.rest, on_event=heard.append, names=True) as client:
        await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "first"})
        await client.wait_for(lambda: heard)
        await anna.rest.patch("/v1/me", {"display_name": "Anna Karenina"})
        await client.wait_for(lambda: client._people[anna.id]["display_name"] == "Anna Karenina")
        await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "second"})
        await client.wait_for(lambda: len(heard) == 2)
    [first, second] = [event["actor"] for event in heard]
    assert first and second and first["id"] == second["id"] == anna.id
    assert first["display_name"] != second["display_name"] == "Anna Karenina"


@pytest.mark.parametrize("kept", ["file", "mapping"])
async def test_a_bot_misses_nothing_that_came_while_it_was_down(people: People, tmp_path: Path, kept: str) -> None:
    bot, anna, carl = await people.make("bot"), await people.make(), await people.make()
    chat_id = await people.group(anna, bot, carl)
    state: Any = tmp_path / "bot.json" if kept == "file" else {}
    heard: list[tuple[str, str]] = []

    async def hear(event: Event) -> None:
        await asyncio.sleep(0)
        if event["type"] == "message.created":
            heard.append((event["chat_id"], event["message"]["body"] or ""))

    async def until(count: int) -> None:
        async with asyncio.timeout(paced(30)):
            while len(heard) < count:
                await asyncio.sleep(0.02)

    async with Client(bot.rest, on_event=hear, state=state):
        await say(anna, chat_id, "first")
        await until(1)
    client = await anna.client()
    sent = [client.send(chat_id, f"{n}") for n in range(620)]  # more than a socket gives at once
    await asyncio.gather(*sent)
    other = await people.group(carl, bot)
    await say(carl, other, "in a chat that it didn't know")
    async with Client(bot.rest, on_event=hear, state=state):
        await until(622)
        await say(carl, chat_id, "live")
        await until(623)
    await client.wait_for(lambda: client.chats[chat_id].events[-1].get("message", {}).get("body") == "live")
    said = [event["message"]["body"] for event in client.chats[chat_id].events if event["type"] == "message.created"]
    assert [body for where, body in heard if where == chat_id] == ["first", *said] and len(said) == 621
    assert [body for where, body in heard if where == other] == ["in a chat that it didn't know"]
    if kept == "file":
        assert set(json.loads(state.read_text())["chats"]) == {chat_id, other}
        with pytest.raises(ValueError, match="no state"):
            (tmp_path / "other").write_text("[]")
            Client(bot.rest, state=tmp_path / "other")


async def test_a_callback_may_wait_for_what_it_sends_and_what_it_raises_ends_the_client(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    answered: list[int] = []

    async def answer(event: Event) -> None:
        if event["type"] == "message.created" and event["actor_id"] == ben.id:
            if event["message"]["body"] == "stop":
                raise KeyError("stop")
            sent = await client.send(chat_id, "yes?")
            answered.append(sent["seq"])

    client = Client(anna.rest, on_event=answer)
    async with client:
        for n in range(3):
            await say(ben, chat_id, f"{n}")
        async with asyncio.timeout(paced(20)):
            while len(answered) < 3:
                await asyncio.sleep(0.02)
        assert answered == sorted(answered)
        assert (await client.person(ben.id))["username"] == ben.name
        await ben.rest.patch("/v1/me", {"display_name": "Benedict"})
        async with asyncio.timeout(paced(10)):
            while (await client.person(ben.id))["display_name"] != "Benedict":
                await asyncio.sleep(0.05)
        await say(ben, chat_id, "stop")
        with pytest.raises(KeyError, match="stop"):
            await asyncio.wait_for(client.ended(), paced(20))


async def test_a_refused_access_token_is_refreshed_once_and_a_command_that_nobody_answers_has_an_end(
    people: People,
) -> None:
    anna = await people.make()
    anna.rest.access_token = "stale"
    assert (await anna.rest.get("/v1/me"))["id"] == anna.id and anna.rest.access_token != "stale"
    asked: list[str | None] = []

    def never(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.headers.get("Idempotency-Key"))
        return httpx2.Response(202, json={"command_id": "c1"})

    async with Rest("http://service", access_token="x", unanswered_s=0.05) as rest:
        await rest.http.aclose()
        rest.http = httpx2.AsyncClient(base_url="http://service", transport=httpx2.MockTransport(never))
        with pytest.raises(Unanswered, match="c1"):
            await rest.post("/v1/chats", {"kind": "group"})
    assert len(asked) > 1 and asked[0] is None and set(asked[1:]) == {"c1"}
