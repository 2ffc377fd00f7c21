"""Members: what is told of them after a change, also to who repeats it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.application.authorize import Reader
from app.application.members import Members
from app.domain.errors import ParleyError
from app.domain.ids import derived_id
from app.domain.members import UpdateMember
from tests import actions as c
from tests.unit.application.verbs import Decider
from tests.unit.memory import CHATS, PEP, START, USERS, MemoryStore

ANNA, BEN, CARL = USERS[:3]
CHAT = CHATS[0]
IDS = [derived_id("id", str(n)) for n in range(9)]


class Setting:
    def __init__(self) -> None:
        store: Any = MemoryStore()
        self.store: Any = store
        self.store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
        decider: Any = Decider(store)
        self.members = Members(decider, Reader(PEP, store), store)


def test_who_is_added_is_told_and_a_second_adding_made_nobody() -> None:
    async def go() -> None:
        s = Setting()
        done = await s.members.add(ANNA, CHAT, CARL, "reader", IDS[0])
        assert (done.value.user.id, done.value.role, done.seq, done.made) == (CARL, "reader", 2, True)
        for id_ in (IDS[0], IDS[1]):
            again = await s.members.add(ANNA, CHAT, CARL, "reader", id_)
            assert (again.value.user.id, again.made) == (CARL, False)
        with pytest.raises(ParleyError, match="not_allowed"):
            await s.members.add(BEN, CHAT, USERS[3], "member", None)

    asyncio.run(go())


def test_what_is_not_named_stays_and_a_role_is_never_nothing() -> None:
    async def go() -> None:
        s, until = Setting(), START + timedelta(days=1)
        done = await s.members.update(ANNA, CHAT, UpdateMember(BEN, ("muted_until",), None, until), None)
        assert (done.value.role, done.value.muted_until) == ("member", until)
        done = await s.members.update(ANNA, CHAT, UpdateMember(BEN, ("role",), "admin"), None)
        assert (done.value.role, done.value.muted_until) == ("admin", until)
        with pytest.raises(ParleyError, match="role"):
            await s.members.update(ANNA, CHAT, UpdateMember(BEN, ("role",)), None)

    asyncio.run(go())


def test_a_repeat_shows_nothing_to_who_is_out_meanwhile() -> None:
    async def go() -> None:
        s = Setting()
        await s.members.update(ANNA, CHAT, UpdateMember(BEN, ("role",), "admin"), IDS[0])
        await s.members.add(BEN, CHAT, CARL, "member", IDS[1])
        assert (await s.members.remove(ANNA, CHAT, BEN, IDS[2])).made
        with pytest.raises(ParleyError, match="not_found"):
            await s.members.add(BEN, CHAT, CARL, "member", IDS[1])
        assert not (await s.members.remove(ANNA, CHAT, BEN, IDS[2])).made
        with pytest.raises(ParleyError, match="not_found"):
            await s.members.of(BEN, CHAT, None, 10)
        with pytest.raises(ParleyError, match="not_allowed"):
            await s.members.banned(CARL, CHAT, None, 10)
        await s.members.ban(ANNA, CHAT, BEN, None)
        with pytest.raises(ParleyError, match="banned"):
            await s.members.add(ANNA, CHAT, BEN, "member", None)
        await s.members.unban(ANNA, CHAT, BEN, None)
        assert (await s.members.add(ANNA, CHAT, BEN, "member", None)).made
        await s.members.remove(ANNA, CHAT, CARL, IDS[3])
        with pytest.raises(ParleyError, match="not_found"):  # of a member who is gone there is nothing to show
            await s.members.update(ANNA, CHAT, UpdateMember(CARL, ("muted_until",)), None)

    asyncio.run(go())
