"""How far somebody has read, and who hears of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from app.adapters.fan_out.in_process import InProcessFanOut
from app.application.authorize import Reader
from app.application.read_marks import ReadMarks
from app.application.signals import SIGNAL_MEMBERS_MAX, Frame, chat_channel, unpack, user_channel
from app.domain.errors import ParleyError
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, PEP, USERS, MemoryStore

ANNA, BEN, CARL = USERS[:3]
CHAT = CHATS[0]


def test_a_mark_is_told_to_the_chat_and_in_a_crowd_to_oneself_alone() -> None:
    async def go() -> None:
        store: Any = MemoryStore()
        store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
        fan_out, heard = InProcessFanOut(), list[Any]()
        fan_out.listen(lambda channel, payload: heard.append((channel, unpack("", payload))), lambda: None)
        await fan_out.subscribe([chat_channel(CHAT), user_channel(BEN)])
        marks = ReadMarks(Reader(PEP, store), store, fan_out, CODEC)
        assert await marks.mark(BEN, CHAT, 99) == (1, 0), "the head at most"
        frame = Frame(CODEC.read_marked(CHAT, BEN, 1))
        assert heard == [(chat_channel(CHAT), frame)]
        store.state.chats[CHAT] = replace(store.state.chats[CHAT], members_count=SIGNAL_MEMBERS_MAX + 1)
        await marks.mark(BEN, CHAT, 1)
        assert heard[1:] == [(user_channel(BEN), frame)]
        with pytest.raises(ParleyError, match="not_found"):
            await marks.mark(CARL, CHAT, 1)
        assert len(heard) == 2

    asyncio.run(go())
