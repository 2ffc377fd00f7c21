"""Typing: told to the others where the policies let them hear it, and not too often."""

from __future__ import annotations

import asyncio
from typing import Any

from app.adapters.fan_out.in_process import InProcessFanOut
from app.application.background import Background
from app.application.hub.sessions import Session
from app.application.signals import Frame, chat_channel, unpack
from app.application.typing_signal import TypingSignal
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, PEP, USERS, MemoryStore, Sink
from tests.unit.virtual_time import run

ANNA, BEN, CARL = USERS[:3]
CHAT, OTHER = CHATS


class Setting:
    def __init__(self) -> None:
        self.store, self.fan_out, self.heard = MemoryStore(), InProcessFanOut(), list[Any]()
        self.fan_out.listen(lambda channel, payload: self.heard.append((channel, unpack("", payload))), lambda: None)
        store: Any = self.store
        background = Background(lambda what, error: self.heard.append(error))
        self.typing = TypingSignal(PEP, store, self.fan_out, CODEC, background)
        self.store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))

    async def say(self, user: str, session: Session, chat: str = CHAT) -> list[Any]:
        await self.fan_out.subscribe([chat_channel(chat)])
        self.heard.clear()
        self.typing.say(session, chat)
        await asyncio.sleep(0.1)
        return self.heard


def test_a_socket_tells_of_a_chat_that_it_hears_and_once_in_three_seconds() -> None:
    async def go() -> None:
        s, session = Setting(), Session("s", ANNA, "auth", Sink(), cursors={CHAT: 1})
        assert await s.say(ANNA, session) == [
            (chat_channel(CHAT), Frame(CODEC.typing(CHAT, ANNA, 6_000), but_user=ANNA))
        ]
        await asyncio.sleep(2.5)
        assert await s.say(ANNA, session) == []
        assert len(await s.say(ANNA, Session("t", ANNA, "auth", Sink(), cursors={CHAT: 1}))) == 1, "each socket's own"
        await asyncio.sleep(0.5)
        assert len(await s.say(ANNA, session)) == 1
        assert await s.say(ANNA, session, OTHER) == [], "a chat that it doesn't hear"

    run(go())


def test_who_may_not_write_is_not_told_of_and_a_store_that_fails_is_passed_over() -> None:
    async def go() -> None:
        s = Setting()
        s.store.do(CHAT, ANNA, c.UpdateMember(BEN, ("role",), "reader"))
        assert await s.say(BEN, Session("s", BEN, "auth", Sink(), cursors={CHAT: 1})) == []
        assert await s.say(CARL, Session("s", CARL, "auth", Sink(), cursors={CHAT: 1, OTHER: 0}), OTHER) == []
        s.store.fail = 1
        assert await s.say(ANNA, Session("s", ANNA, "auth", Sink(), cursors={CHAT: 1})) == []
        s.store.state.chats[CHAT] = s.store.state.chats[CHAT].__class__(
            **{f: getattr(s.store.state.chats[CHAT], f) for f in s.store.state.chats[CHAT].__slots__}
            | {"members_count": 101}
        )
        assert await s.say(ANNA, Session("s", ANNA, "auth", Sink(), cursors={CHAT: 1})) == [], "in a crowd nobody hears"

    run(go())
