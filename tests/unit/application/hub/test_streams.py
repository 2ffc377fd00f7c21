"""Deltas of answers: in order, with a snapshot for who comes late or missed one."""

from __future__ import annotations

from app.application.hub.sessions import CatchUp
from app.application.signals import (
    DeltaSignal,
    chat_channel,
    pack_delta,
)
from tests import actions as c
from tests.unit.application.hub.world import ANNA, BEN, CHAT, World, frames, say, seqs, with_world


@with_world
async def test_deltas_go_in_order_and_who_comes_late_gets_the_text_so_far(world: World) -> None:
    await world.do(say("@assistant hello"))
    [key] = world.store.state.replies
    from dataclasses import replace

    world.store.state.replies[key] = replace(world.store.state.replies[key], attempt=1, held=True)
    _, early = await world.open(ANNA)
    for index, word in enumerate(("a", "b", "c")):
        await world.live.append(key, 1, index, word, "abc"[: index + 1])
    _, late = await world.open(BEN)
    await world.settle()
    [snapshot] = frames(late, "reply.snapshot")
    assert (snapshot["text"], snapshot["attempt"], snapshot["next_index"]) == ("abc", 1, 3)
    await world.live.append(key, 1, 3, "d", "abcd")
    await world.settle()
    assert [f["text"] for f in frames(early, "reply.delta")] == ["a", "b", "c", "d"]
    assert [f["index"] for f in frames(late, "reply.delta")] == [3]
    await world.live.append(key, 2, 0, "anew", "anew")
    for sink in (early, late):
        assert frames(sink, "reply.delta")[-1]["attempt"] == 2 and frames(sink, "reply.delta")[-1]["index"] == 0
    world.store.state.replies[key] = replace(world.store.state.replies[key], attempt=2)
    await world.do((CHAT, "x", c.CompleteReply(key[1], 2, "complete", "anew")))
    assert frames(early)[-1]["type"] == "message.completed"
    await world.fan_out.publish([(chat_channel(CHAT), pack_delta(DeltaSignal(key[1], 2, 1, "too late")))])
    await world.settle()
    assert frames(early)[-1]["type"] == "message.completed", "no delta after the end"


@with_world
async def test_a_lost_delta_is_made_good_by_a_snapshot(world: World) -> None:
    await world.do(say("@assistant hello"))
    [key] = world.store.state.replies
    _, ben = await world.open(BEN)
    await world.live.append(key, 1, 0, "a", "a")
    channels, world.fan_out._channels = world.fan_out._channels, set()
    await world.live.append(key, 1, 1, "b", "ab")
    world.fan_out._channels = channels
    await world.live.append(key, 1, 2, "c", "abc")
    await world.settle()
    told = [(f["type"], f["text"]) for f in frames(ben) if f["type"].startswith("reply.")]
    assert told == [("reply.delta", "a"), ("reply.snapshot", "abc")]


@with_world
async def test_of_two_streams_each_has_its_own_place(world: World) -> None:
    await world.do(say("@assistant a"), say("@assistant b"))
    one, two = world.store.state.replies
    _, ben = await world.open(BEN)
    await world.live.append(one, 1, 0, "a", "a")
    await world.live.append(two, 2, 0, "x", "x")
    await world.live.append(one, 1, 1, "b", "ab")
    await world.fan_out.publish([(chat_channel(CHAT), pack_delta(DeltaSignal(two[1], 1, 0, "older attempt")))])
    await world.fan_out.publish([(chat_channel(CHAT), pack_delta(DeltaSignal(one[1], 1, 0, "again")))])
    assert [(f["message_id"], f["attempt"], f["index"]) for f in frames(ben, "reply.delta")] == [
        (one[1], 1, 0), (two[1], 2, 0), (one[1], 1, 1),
    ]  # fmt: skip
    assert frames(ben, "reply.snapshot") == []


@with_world
async def test_who_is_behind_gets_no_delta_between_events_that_it_has_not(world: World) -> None:
    session, ben = await world.open(BEN)
    await world.do(say("@assistant a"))
    [key] = world.store.state.replies
    world.lossy = True
    await world.do(say("missed"))
    world.lossy = False
    world.hub.sync(session, "s", {CHAT: 3})
    await world.live.append(key, 1, 0, "a", "a")
    assert frames(ben, "reply.delta") == []
    await world.settle()
    assert seqs(ben)[-1] == 4


@with_world
async def test_who_is_behind_or_missed_one_keeps_the_delta_from_nobody_else(world: World) -> None:
    await world.do(say("@assistant a"))
    [key] = world.store.state.replies
    behind, first = await world.open(ANNA)
    missed, second = await world.open(BEN)
    _, third = await world.open(ANNA)
    behind.behind[CHAT] = CatchUp(CHAT)
    missed.replies[key[1]] = (1, 5)  # it has what comes now already
    await world.live.append(key, 1, 0, "a", "a")
    assert [f["text"] for f in frames(third, "reply.delta")] == ["a"]
    assert frames(first, "reply.delta") == frames(second, "reply.delta") == []
    missed.replies[key[1]] = (0, 0)
    world.live.asked = 0  # type: ignore[attr-defined]
    get = world.live.get

    async def counted(key: tuple[str, str]) -> object:
        world.live.asked += 1  # type: ignore[attr-defined]
        return await get(key)

    world.live.get = counted  # type: ignore[assignment,method-assign]
    for index, text in ((1, "b"), (2, "c")):
        await world.live.append(key, 1, index, text, "abc"[: index + 1])
    await world.settle()
    assert [f["text"] for f in frames(third, "reply.delta")] == ["a", "b", "c"]
    assert [f["text"] for f in frames(second, "reply.snapshot")] == ["abc"] and world.live.asked == 1  # type: ignore[attr-defined]
    assert frames(first, "reply.snapshot") == []
    await world.live.append(key, 1, 3, "d", "abcd")
    assert frames(second, "reply.delta")[-1]["text"] == frames(third, "reply.delta")[-1]["text"] == "d"
    assert frames(third, "reply.snapshot") == [], "who has it all is told nothing twice"
