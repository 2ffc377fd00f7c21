"""Chats: which chat a creation means, and what is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.adapters.fan_out.in_process import InProcessFanOut
from app.application.authorize import Reader
from app.application.chats import ChatAssistant, Chats
from app.domain.chats import UpdateChat
from app.domain.errors import ParleyError
from app.domain.ids import ASSISTANT_ID, created_chat_id, derived_id, direct_chat_id
from tests.unit.application.verbs import Decider
from tests.unit.memory import CODEC, PEP, USERS, MemoryStore

ANNA, BEN, CARL = USERS[:3]
ID = derived_id("id")


class Setting:
    def __init__(self) -> None:
        store: Any = MemoryStore()
        self.store: Any = store
        decider: Any = Decider(store)
        self.decider: Any = decider
        self.chats = Chats(decider, Reader(PEP, store), store, lambda: derived_id("new"), 4, InProcessFanOut(), CODEC)

    async def create(self, kind: str, *others: str, id_: str | None = ID, assistant: Any = None, by: str = ANNA) -> Any:
        return await self.chats.create(by, kind, None if kind == "direct" else "t", others, assistant, id_)


def test_a_creation_finds_again_what_it_made() -> None:
    async def go() -> None:
        s = Setting()
        done = await s.create("group", BEN, BEN, ANNA)
        assert done.value.chat.id == created_chat_id(ANNA, ID) and done.value.chat.members_count == 2
        assert (done.seq, done.made) == (1, True)
        again = await s.create("group", CARL)
        assert (again.value.chat.id, again.made) == (done.value.chat.id, False)
        assert (await s.create("group", id_=None)).value.chat.id == created_chat_id(ANNA, derived_id("new"))
        assert s.decider.asked[-1][1] == derived_id("new"), "the id that names the chat is the command's"

    asyncio.run(go())


def test_a_direct_chat_is_one_for_both() -> None:
    async def go() -> None:
        s = Setting()
        done = await s.create("direct", BEN)
        assert done.value.chat.id == direct_chat_id(ANNA, BEN) and done.made
        other = await s.create("direct", ANNA, by=BEN, id_=derived_id("other"))
        assert (other.value.chat.id, other.made) == (done.value.chat.id, False), "it was there already"
        for others in ((), (ANNA,), (BEN, CARL)):
            with pytest.raises(ParleyError, match="exactly one other"):
                await s.create("direct", *others)

    asyncio.run(go())


def test_only_an_assistants_chat_has_settings_of_its_own() -> None:
    async def go() -> None:
        s = Setting()
        settings = ChatAssistant(("model",), "model-x", None)
        done = await s.create("assistant", assistant=settings)
        assert done.value.chat.assistant.model == "model-x"
        changed = await s.chats.update(
            ANNA, done.value.chat.id, UpdateChat(("title", "instructions"), "new", instructions="brief"), None
        )
        chat: Any = changed.value.chat
        assert (chat.title, chat.archived, chat.assistant.user_id) == ("new", False, ASSISTANT_ID)
        assert (chat.assistant.model, chat.assistant.instructions) == ("model-x", "brief"), "what is not named stays"
        with pytest.raises(ParleyError, match="only a chat of kind assistant"):
            await s.create("group", assistant=settings, id_=derived_id("g"))

    asyncio.run(go())


def test_ones_chats_are_ones_own() -> None:
    async def go() -> None:
        s = Setting()
        done = await s.create("group", BEN)
        assert (await s.chats.one(BEN, done.value.chat.id)).chat == done.value.chat
        assert [m.chat.id for m in await s.chats.mine(BEN, False, False, None, 10)] == [done.value.chat.id]
        with pytest.raises(ParleyError, match="not_found"):
            await s.chats.one(CARL, done.value.chat.id)

    asyncio.run(go())
