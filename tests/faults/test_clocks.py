"""Processes whose clocks differ: by seconds between gateways, by more than a day between workers. Really so, by libfaketime."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from parley_client import Client, Rejected, Rest
from stack.pace import paced
from stack.packages import find_programs
from stack.parley import Role
from stack.servers import Servers
from tests.world import PASSWORD, People, Raw, World, new_id, start_real


async def again(role: Role, offset: str) -> None:
    """Restarted with another clock. What measures how long something takes stays true."""
    await asyncio.to_thread(role.child.stop)
    faked = {"LD_PRELOAD": str(find_programs().faketime), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    role.child.environment = role.child.environment | faked
    await asyncio.to_thread(role.start)


@pytest.fixture(scope="module")
def own() -> Iterator[World]:
    servers = Servers(fsync=False)
    servers.start()
    world = start_real(servers)
    yield world
    assert world.stack is not None and world.model is not None
    world.stack.stop()
    world.model.child.stop()
    servers.stop()


@pytest.fixture
async def crowd(own: World) -> AsyncIterator[People]:
    people = People(own)
    yield people
    await people.close()


@pytest.mark.parametrize(
    "offset", ["+20s", "-20s"] if "PASSING_S" in os.environ else ["+20s"]
)  # `make surroundings`: both
@pytest.mark.long
async def test_gateways_that_are_seconds_apart_serve_the_same_people(own: World, offset: str) -> None:
    assert own.stack is not None
    await again(own.stack.gateways[0], offset)
    async with Rest(own.urls[0]) as rest:
        await rest.register(f"u{new_id()[:8]}", PASSWORD)
        async with Rest(own.urls[1], access_token=rest.access_token) as other:
            assert (await other.get("/v1/me"))["id"] == rest.user["id"], "a fresh token is good elsewhere at once"
        ticket = (await rest.post("/v1/ws-tickets"))["ticket"]
        opened = await Raw.open(own.urls[1])
        await opened.send({"type": "hello", "ticket": ticket})
        assert (await opened.expect("welcome"))["user"]["id"] == rest.user["id"]
        await opened.close()
        for url in own.urls:
            async with Client(rest, urls=[url]) as client:
                chat = await rest.post("/v1/chats", {"kind": "assistant"})
                await asyncio.wait_for(client.send(chat["id"], "hello"), paced(15))


@pytest.mark.long
async def test_a_refusal_is_remembered_by_workers_of_whatever_day(own: World, crowd: People) -> None:
    """A worker a day ahead must not forget fresh refusals; what a gateway a day ahead or behind sends is of today."""
    assert own.stack is not None
    await again(own.stack.gateways[0], "+0s")
    anna, ben = await crowd.make(), await crowd.make()
    chat_id = await crowd.group(anna, ben)
    await anna.rest.patch(f"/v1/chats/{chat_id}/members/{ben.id}", {"role": "reader"})
    client, id_ = await ben.client(1), new_id()
    with pytest.raises(Rejected):
        await client.send(chat_id, "not yet", id_=id_)
    for worker in own.stack.workers:
        await again(worker, "+25h")
    await asyncio.sleep(2)  # it prunes as it starts
    await anna.rest.patch(f"/v1/chats/{chat_id}/members/{ben.id}", {"role": "member"})
    with pytest.raises(Rejected):
        await client.send(chat_id, "not yet", id_=id_)
    await client.send(chat_id, "now")
    for offset in ("-25h", "+25h"):
        await again(own.stack.gateways[0], offset)
        async with Rest(own.urls[0]) as rest:
            await rest.sign_in(ben.name, PASSWORD)
            message = {"client_message_id": new_id(), "body": "whatever day it is here"}
            await asyncio.wait_for(rest.post(f"/v1/chats/{chat_id}/messages", message), paced(20))
    await client.wait_for(lambda: len(client.chats[chat_id].events) >= 3)
    bodies = [event["message"]["body"] for event in client.chats[chat_id].events if "message" in event]
    assert bodies == ["now", "whatever day it is here", "whatever day it is here"]
