"""Sockets that come and go."""

from __future__ import annotations

from app.application.signals import (
    Note,
    chat_channel,
    pack_note,
    user_channel,
)
from tests.unit.application.hub.world import ANNA, BEN, CHAT, World, with_world


@with_world
async def test_nothing_is_left_behind_when_all_are_gone(world: World) -> None:
    one, _ = await world.open(BEN)
    two, _ = await world.open(BEN)
    world.hub.drop(one)
    await world.settle()
    assert chat_channel(CHAT) in world.fan_out._channels and user_channel(BEN) in world.fan_out._channels
    world.hub.drop(two)
    await world.settle()
    assert world.fan_out._channels == {"process:here"}
    assert BEN not in world.hub.sessions and world.hub.sessions.all() == []


@with_world
async def test_room_is_made_for_newer_sockets_of_the_same_user_alone(world: World) -> None:
    one, first = await world.open(BEN)
    _, second = await world.open(BEN)
    anna, third = await world.open(ANNA)
    await world.fan_out.publish([(user_channel(BEN), pack_note(Note("evicted", [one.id, anna.id])))])
    assert first.closed is not None and first.closed[0] == 4409 and second.closed is None and third.closed is None
