"""Live slices: what each socket is given, and what a slice that was lost leaves to heal."""

from __future__ import annotations

from app.application.ports.store import Healing
from app.application.signals import (
    chat_channel,
    pack_head,
)
from tests.unit.application.hub.world import BEN, CHAT, World, frames, say, seqs, with_world
from tests.unit.memory import START


@with_world
async def test_a_session_gets_what_comes_after_its_welcome_once_and_in_order(world: World) -> None:
    await world.do(say("before"))
    _, sink = await world.open(BEN)
    await world.do(say("one"), say("two"))
    await world.do(say("three"))
    [welcome] = frames(sink, "welcome")
    assert [(chat["id"], chat["head"]) for chat in welcome["chats"]] == [(CHAT, 2)]
    assert (welcome["epoch"], welcome["chats_more"]) == ("epoch", False)
    assert seqs(sink) == [3, 4, 5]


@with_world
async def test_a_lost_announcement_is_healed_by_the_next_ones_gap(world: World) -> None:
    _, sink = await world.open(BEN)
    world.lossy = True
    await world.do(say("lost"))
    await world.do(say("lost too"))
    world.lossy = False
    await world.do(say("heard"))
    await world.settle()
    assert seqs(sink) == [2, 3, 4] and world.hub.counts["backfills"] == 1


@with_world
async def test_a_head_that_arrives_meanwhile_is_no_repair(world: World) -> None:
    _, sink = await world.open(BEN)
    await world.do(say("heard"))
    world.store.healing = Healing("epoch", START, False, heads={CHAT: 2})
    await world.settle(3)
    assert seqs(sink) == [2] and world.hub.counts["poll_repairs"] == 0


@with_world
async def test_two_sessions_at_different_places_are_both_served_by_one_read(world: World) -> None:
    _, first = await world.open(BEN)
    world.lossy = True
    for n in range(3):
        await world.do(say(str(n)))
    _, second = await world.open(BEN)
    world.lossy = False
    await world.do(say("now"))
    await world.settle()
    assert seqs(first) == [2, 3, 4, 5] and seqs(second) == [5]


@with_world
async def test_a_head_beyond_what_there_is_does_not_turn_for_ever(world: World) -> None:
    _, ben = await world.open(BEN)
    await world.fan_out.publish([(chat_channel(CHAT), pack_head(99))])
    await world.settle()
    before = len(world.store.calls)
    await world.settle(1)
    assert len(world.store.calls) - before <= 3
    await world.do(say("goes on"))
    await world.settle()
    assert seqs(ben) == [2]
