"""Who comes into a chat and who leaves it, also where the hint was lost."""

from __future__ import annotations

import asyncio
from typing import Any

from app.application.ports.errors import Transient
from app.application.ports.store import Healing
from app.application.signals import (
    Note,
    chat_channel,
    pack_head,
    pack_note,
    user_channel,
)
from tests import actions as c
from tests.unit.application.hub.world import ANNA, BEN, CARL, CHAT, OTHER, World, frames, say, seqs, with_world
from tests.unit.memory import START


@with_world
async def test_removed_and_added_again_in_one_batch_begins_anew_with_the_joining(world: World) -> None:
    _, ben = await world.open(BEN)
    await world.do(
        (CHAT, ANNA, c.RemoveMember(BEN)), say("not for ben"), (CHAT, ANNA, c.AddMember(BEN, "reader")), say("for ben")
    )
    await world.settle()
    kinds = [(f["type"], f.get("seq", f.get("after"))) for f in frames(ben)][1:]
    assert kinds == [
        ("member.removed", 2), ("chat.joined", 3), ("member.added", 4), ("message.created", 5),
    ]  # fmt: skip


@with_world
async def test_who_is_added_hears_it_though_the_hint_was_lost(world: World) -> None:
    _, carl = await world.open(CARL)
    world.lossy = True
    await world.do((CHAT, ANNA, c.AddMember(CARL, "member")), say("hello"))
    world.store.healing = Healing("epoch", START, False, users={CARL})
    await world.settle(3)
    assert [f["type"] for f in frames(carl)][1:] == ["chat.joined", "member.added", "message.created"]


@with_world
async def test_who_is_removed_is_told_though_the_hint_and_the_event_were_lost(world: World) -> None:
    session, ben = await world.open(BEN)
    world.lossy = True
    await world.do((CHAT, ANNA, c.RemoveMember(BEN)), say("secret"))
    world.store.healing = Healing("epoch", START, False, users={BEN})
    await world.settle(3)
    assert seqs(ben) == [2] and CHAT not in session.cursors


@with_world
async def test_a_hint_is_read_never_believed(world: World) -> None:
    session, carl = await world.open(CARL)
    await world.fan_out.publish([(user_channel(CARL), pack_note(Note("chat", CHAT)))])
    await world.fan_out.publish([(chat_channel(CHAT), pack_head(99))])
    await world.settle()
    assert frames(carl)[1:] == [] and session.cursors == {}


@with_world
async def test_a_membership_that_could_not_be_read_is_read_again(world: World) -> None:
    session, carl = await world.open(CARL)
    memberships, fails = world.store.memberships, 2

    async def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise Transient("db")
        return await memberships(*arguments, **named)

    world.store.memberships = failing  # type: ignore[method-assign]
    await world.do((CHAT, ANNA, c.AddMember(CARL, "member")))
    await world.settle(3)
    assert [f["type"] for f in frames(carl)][1:] == ["chat.joined", "member.added"] and session.joining == set()
    world.hub.drop(session)
    await world.settle()
    assert world.fan_out._channels == {"process:here"}, "nothing that was given up is still heard"


@with_world
async def test_who_is_gone_meanwhile_is_not_joined(world: World) -> None:
    session, carl = await world.open(CARL)
    adding = asyncio.create_task(world.do((CHAT, ANNA, c.AddMember(CARL, "member"))))
    await asyncio.sleep(0)
    world.hub.drop(session)
    await adding
    await world.settle()
    assert frames(carl, "chat.joined") == [] and world.fan_out._channels == {"process:here"}
    assert session.closed


@with_world
async def test_a_hint_is_about_its_chats_alone(world: World) -> None:
    world.store.do(OTHER, ANNA, c.CreateChat("group", None, (BEN,)))
    session, ben = await world.open(BEN)
    world.store.do(OTHER, ANNA, c.RemoveMember(BEN))
    await world.fan_out.publish([(user_channel(BEN), pack_note(Note("chat", CHAT)))])
    await world.settle()
    assert OTHER in session.cursors and seqs(ben, OTHER) == []
