"""Messages, for callers that wait: what each call gives back, and to whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.application.authorize import Reader
from app.application.messages import Messages
from app.domain.errors import ParleyError
from app.domain.ids import derived_id
from app.domain.messages import SendMessage
from app.domain.values import Reaction
from tests import actions as c
from tests.unit.application.verbs import Decider
from tests.unit.memory import CHATS, CODEC, PEP, USERS, MemoryStore

ANNA, BEN, CARL = USERS[:3]
CHAT = CHATS[0]
IDS = [derived_id("id", str(n)) for n in range(9)]


class Setting:
    def __init__(self) -> None:
        store: Any = MemoryStore()
        self.store: Any = store
        self.store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
        decider: Any = Decider(store)
        self.decider: Any = decider
        self.messages = Messages(decider, Reader(PEP, store), store, store, CODEC)


def test_a_send_and_its_repeat_show_the_same_message() -> None:
    async def go() -> None:
        s = Setting()
        done = await s.messages.send(BEN, CHAT, IDS[0], SendMessage("hello"))
        assert (done.value.body, done.value.sender_id, done.value.client_message_id, done.made) == (
            "hello",
            BEN,
            IDS[0],
            True,
        )
        again = await s.messages.send(BEN, CHAT, IDS[0], SendMessage("other words"))
        assert (again.value, again.seq, again.made) == (done.value, 2, False)

    asyncio.run(go())


def test_an_act_shows_the_message_after_it_and_a_repeat_not_to_who_is_out() -> None:
    async def go() -> None:
        s = Setting()
        message = (await s.messages.send(BEN, CHAT, IDS[0], SendMessage("hello"))).value
        assert (
            await s.messages.act(BEN, CHAT, message.id, c.EditMessage(message.id, "better"), IDS[1])
        ).value.body == "better"
        deleted = await s.messages.act(BEN, CHAT, message.id, c.DeleteMessage(message.id), None)
        assert deleted.value.deleted_at is not None and deleted.made
        with pytest.raises(ParleyError, match="conflict"):
            await s.messages.send(BEN, CHAT, IDS[1], SendMessage("an edit's id"))
        s.store.do(CHAT, ANNA, c.RemoveMember(BEN))
        with pytest.raises(ParleyError, match="not_found"):
            await s.messages.act(BEN, CHAT, message.id, c.EditMessage(message.id, "better"), IDS[1])
        assert not (await s.messages.act_only(BEN, CHAT, c.EditMessage(message.id, "better"), IDS[1])).made

    asyncio.run(go())


def test_a_new_answer_is_shown_by_its_place() -> None:
    async def go() -> None:
        s = Setting()
        await s.messages.send(BEN, CHAT, IDS[0], SendMessage("@assistant?"))
        [(_, reply_id)] = s.store.state.replies
        await s.messages.act(BEN, CHAT, reply_id, c.StopReply(reply_id), None)
        done = await s.messages.regenerate(BEN, CHAT, reply_id, IDS[1])
        assert done.made and done.value.id != reply_id and done.value.seq == done.seq and done.value.status == "pending"

    asyncio.run(go())


def test_reads_are_members_and_a_part_of_the_timeline_knows_what_is_left() -> None:
    async def go() -> None:
        s = Setting()
        for n in range(3):
            await s.messages.send(BEN, CHAT, IDS[n], SendMessage(f"{n}"))
        part = await s.messages.timeline(BEN, CHAT, 0, 2)
        assert ([e.seq for e in part.events], part.has_more, part.head) == ([1, 2], True, 4)
        part = await s.messages.timeline(BEN, CHAT, 2, 2)
        assert ([e.seq for e in part.events], part.has_more, part.head) == ([3, 4], False, 4)
        part = await s.messages.timeline(BEN, CHAT, 9, 2)
        assert (part.events, part.has_more, part.head) == ([], False, 4)
        with pytest.raises(ParleyError, match="not both"):
            await s.messages.page(BEN, CHAT, 1, 1, 10)
        message = await s.messages.one(BEN, CHAT, s.store.log[1].payload.id)
        assert message.body == "0"
        for call in (s.messages.one(CARL, CHAT, message.id), s.messages.one(BEN, CHAT, derived_id("none")),
                     s.messages.timeline(CARL, CHAT, 0, 1), s.messages.pins(CARL, CHAT, None, 1),
                     s.messages.page(CARL, CHAT, None, None, 1)):  # fmt: skip
            with pytest.raises(ParleyError, match="not_found"):
                await call

    asyncio.run(go())


@pytest.mark.parametrize("after", [c.EditMessage, c.DeleteMessage, None])
def test_a_former_members_repeat_shows_what_was_theirs_to_know(after: Any) -> None:
    async def go() -> None:
        s = Setting()
        first = (await s.messages.send(BEN, CHAT, IDS[0], SendMessage("hello"))).value
        s.store.do(CHAT, BEN, c.EditMessage(first.id, "better"))
        s.store.state.now += timedelta(seconds=1)
        s.store.do(CHAT, ANNA, c.RemoveMember(BEN))
        s.store.state.now += timedelta(seconds=1)
        if after is not None:
            s.store.do(CHAT, ANNA, c.AddMember(BEN, "member"))  # (only they may edit)
            s.store.do(CHAT, BEN, after(first.id, "later") if after is c.EditMessage else after(first.id))
            s.store.state.now -= timedelta(seconds=1)
            s.store.do(CHAT, ANNA, c.RemoveMember(BEN))
        key = (CHAT, first.id)
        s.store.state.messages[key] = replace(s.store.state.messages[key], reactions=(Reaction("👍", 1, (ANNA,)),))
        again = await s.messages.send(BEN, CHAT, IDS[0], SendMessage("hello"))
        told = again.value
        assert (told.id, told.seq, told.created_at, again.made) == (first.id, first.seq, first.created_at, False)
        assert told.reactions == () and told.deleted_at is None
        if after is None:
            assert (told.body, told.edited_at is not None) == ("better", True)
        else:
            assert (told.body, told.edited_at) == (None, None)
        s.store.do(CHAT, ANNA, c.AddMember(BEN, "member"))
        assert (await s.messages.send(BEN, CHAT, IDS[0], SendMessage("hello"))).value.reactions, (
            "who is in it sees it all"
        )

    asyncio.run(go())


@pytest.mark.parametrize("repeat", [False, True])
def test_who_is_removed_right_after_the_own_act_doesnt_see_what_came_after(repeat: bool) -> None:
    """The removal, and more, commits between the act's outcome and the reading of what it left."""

    async def go() -> None:
        s = Setting()
        first = await s.messages.send(BEN, CHAT, IDS[0], SendMessage("hello"))
        run = s.decider.run

        async def removed_then(*args: Any) -> Any:
            done = await run(*args)
            s.store.do(CHAT, ANNA, c.RemoveMember(BEN))
            s.store.do(CHAT, ANNA, c.AddReaction(first.value.id, "👍"))
            return done

        if repeat:
            await s.messages.act(BEN, CHAT, first.value.id, c.EditMessage(first.value.id, "mine"), IDS[1])
        s.decider.run = removed_then
        act = s.messages.act(BEN, CHAT, first.value.id, c.EditMessage(first.value.id, "mine"), IDS[1])
        if repeat:
            with pytest.raises(ParleyError, match="not_found"):
                await act
        else:
            assert (await act).value.reactions == ()

    asyncio.run(go())
