"""A chat with an assistant is named by it, on a real model server: once, behind the first answer, never over a name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.ids import ASSISTANT_ID
from stack.pace import within
from tests.scenarios.test_replies import assistant_chat, ended
from tests.world import ModelServer, People, World, start_embedded, stop_embedded


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("titles")
    model = ModelServer(folder)
    model.start()
    world = start_embedded({"OPENAI_BASE_URL": f"{model.url}/v1", "ASSISTANT_TITLE_MODEL": "cheap"})
    world.model = model
    yield world
    stop_embedded(world)
    model.child.stop()


async def test_the_first_answer_names_the_chat_and_a_person_is_not_overruled(named: World) -> None:
    people = People(named)
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
    own = await assistant_chat(anna)
    await anna.rest.patch(f"/v1/chats/{own}", {"title": "Mine"})
    await client.send(own, "hello")
    await ended(client, own)
    await asyncio.sleep(1)
    assert (await anna.rest.get(f"/v1/chats/{own}"))["title"] == "Mine"
    assert named.model is not None
    async with within(5):
        log = (await anna.rest.http.get(f"{named.model.url}/log")).json()
    assert [entry["model"] for entry in log].count("cheap") == 1, "one name, one call"
    await people.close()
