"""The enforcement point: what it asks, what it remembers, and that it fails closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.application.authorize import Pep, Reader
from app.domain.errors import ParleyError
from app.domain.policy import Answer, Question
from app.domain.values import Member
from tests import actions as c
from tests.unit.memory import CHATS, PEP, USERS, MemoryStore

ANNA, BEN, CARL = USERS[:3]
CHAT, OTHER = CHATS


class Policies:
    attributes = frozenset({"staff"})

    def __init__(self) -> None:
        self.version = "1"
        self.asked: list[Question] = []
        self.broken = False

    def decide(self, question: Question) -> Answer:
        self.asked.append(question)
        if self.broken:
            raise RuntimeError("broken")
        return Answer(question.role == "owner", ("p",), "muted", "why")

    def knows(self, action: str) -> bool:
        if self.broken:
            raise RuntimeError("broken")
        return action == "known"


def test_an_answer_is_remembered_by_the_whole_question() -> None:
    policies = Policies()
    pep, owner = Pep(policies), Question("message.send", role="owner")
    assert pep.ask(owner).allowed and pep.ask(Question("message.send", role="owner")).allowed
    assert not pep.ask(Question("message.send", role="reader")).allowed
    assert not pep.ask(Question("message.send", role="member", archived=True)).allowed
    assert len(policies.asked) == 3


def test_policies_that_fail_refuse_and_nothing_of_it_is_remembered() -> None:
    policies = Policies()
    pep, owner = Pep(policies), Question("message.send", role="owner")
    policies.broken = True
    assert pep.ask(owner) == Answer(False, ("no-decision",), reason="the policies could not be asked")
    assert not pep.knows("known")
    policies.broken = False
    assert pep.ask(owner).allowed and pep.knows("known") and not pep.knows("unknown")


def test_a_stranger_hears_of_a_chat_what_a_missing_one_says() -> None:
    store: Any = MemoryStore()
    store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
    reader = Reader(PEP, store)

    async def refused(user: str, chat: str, action: str = "chat.read") -> tuple[str, str]:
        with pytest.raises(ParleyError) as error:
            await reader.permit(user, chat, action)
        return error.value.code, error.value.reason

    async def go() -> None:
        chat, member = await reader.permit(BEN, CHAT)
        assert (chat.id, member.user.id) == (CHAT, BEN)
        assert (
            await refused(CARL, CHAT) == await refused(CARL, OTHER) == ("not_found", "no such chat, message or person")
        )
        assert (await refused(BEN, CHAT, "bans.read"))[0] == "not_allowed"

    asyncio.run(go())


def test_what_was_read_while_one_was_removed_is_not_shown() -> None:
    store: Any = MemoryStore()
    store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
    reader, reads = Reader(PEP, store), list[str]()

    async def page(me: Member, removes: bool = False) -> str:
        assert me.user.id == BEN
        if removes:
            store.do(CHAT, ANNA, c.RemoveMember(BEN))
        reads.append("read")
        return "what is there"

    async def go() -> None:
        assert await reader.read(BEN, CHAT, page) == "what is there"
        with pytest.raises(ParleyError, match="not_found"):
            await reader.read(BEN, CHAT, lambda me: page(me, removes=True))
        assert len(reads) == 2
        with pytest.raises(ParleyError, match="not_found"):
            await reader.read(BEN, CHAT, page)
        assert len(reads) == 2, "a stranger has nothing read"

    asyncio.run(go())


def test_what_was_read_while_one_went_and_came_again_is_read_anew() -> None:
    store: Any = MemoryStore()
    store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
    store.do(CHAT, ANNA, c.UpdateChat(("history",), history="from_joining"))
    reader, floors = Reader(PEP, store), list[int]()

    async def page(me: Member) -> int:
        if not floors:
            store.do(CHAT, ANNA, c.RemoveMember(BEN))
            store.do(CHAT, ANNA, c.AddMember(BEN, "member"))
        floors.append(me.sees_from)
        return me.sees_from

    assert asyncio.run(reader.read(BEN, CHAT, page)) == 4 and floors == [0, 4]


def test_another_version_is_asked_anew_and_only_what_is_declared_is_told() -> None:
    policies = Policies()
    pep = Pep(policies)
    for _ in range(2):
        pep.ask(Question("a", role="owner", person=(("salary", 7), ("staff", True))))
        pep.ask(Question("a", role="owner", person=(("salary", 9), ("staff", True))))
    assert [asked.person for asked in policies.asked] == [(("staff", True),)]
    pep.forget()
    pep.ask(Question("a", role="owner", person=(("staff", True),)))
    assert len(policies.asked) == 2
