"""The welcome, and what changes while it is made."""

from __future__ import annotations

from typing import Any

from app.application.signals import (
    chat_channel,
)
from app.domain.ids import derived_id
from tests import actions as c
from tests.unit.application.hub.world import ANNA, BEN, CHAT, OTHER, World, frames, seqs, with_world


@with_world
async def test_more_chats_than_a_welcome_lists_are_live_all_the_same(world: World) -> None:
    chats = [derived_id("many", str(n)) for n in range(205)]
    for chat_id in chats:
        world.store.do(chat_id, ANNA, c.CreateChat("group", None, (BEN,)))
    _, ben = await world.open(BEN, {chats[-1]: 1})
    [welcome] = frames(ben, "welcome")
    shown = [chat["id"] for chat in welcome["chats"]]
    assert len(shown) == 201 and shown[-1] == chats[-1] and welcome["chats_more"] is True
    unlisted = next(chat_id for chat_id in chats if chat_id not in shown)
    await world.do((unlisted, ANNA, c.SendMessage("hi")))
    await world.settle()
    assert seqs(ben, unlisted) == [2]


@with_world
async def test_what_changes_while_one_is_welcomed_is_made_good(world: World) -> None:
    """Added to one chat, removed from another, and spoken in, between the reading of the chats and the welcome."""
    world.store.do(OTHER, ANNA, c.CreateChat("group", None, ()))
    joined, times = world.store.joined, 0

    async def slow(user_id: str, chat_ids: Any) -> Any:
        nonlocal times
        found = await joined(user_id, chat_ids)
        times += 1
        if times == 1:
            await world.do((OTHER, ANNA, c.AddMember(BEN, "member")), (CHAT, ANNA, c.RemoveMember(BEN)))
        return found

    world.store.joined = slow  # type: ignore[method-assign]
    session, ben = await world.open(BEN)
    await world.settle()
    assert set(session.cursors) == {OTHER} and chat_channel(CHAT) not in world.fan_out._channels
    await world.do((OTHER, ANNA, c.SendMessage("hi")), (CHAT, ANNA, c.SendMessage("secret")))
    await world.settle()
    assert seqs(ben, OTHER)[-1] == 3 and seqs(ben, CHAT) == []


@with_world
async def test_a_chat_that_is_joined_while_one_is_welcomed_is_heard_before_it_is_shown(world: World) -> None:
    """Added after the chats were read, and removed before anybody heard it: it must not stand in the welcome for ever."""
    world.store.do(OTHER, ANNA, c.CreateChat("group", None, ()))
    memberships, times = world.store.memberships, 0

    async def slow(*args: Any, **more: Any) -> Any:
        nonlocal times
        times += 1
        if times > 1:
            return await memberships(*args, **more)
        world.store.do(OTHER, ANNA, c.AddMember(BEN, "member"))  # nobody is told: Redis is down
        found = await memberships(*args, **more)
        world.store.do(OTHER, ANNA, c.RemoveMember(BEN))
        return found

    world.store.memberships = slow  # type: ignore[method-assign]
    session, ben = await world.open(BEN)
    await world.settle()
    [welcome] = frames(ben, "welcome")
    assert [chat["id"] for chat in welcome["chats"]] == [CHAT] and set(session.cursors) == {CHAT}
    assert frames(ben, "chat.joined") == [] and chat_channel(OTHER) not in world.fan_out._channels
