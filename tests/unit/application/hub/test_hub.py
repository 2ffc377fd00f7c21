"""The shell around the parts: signals, words of newer versions, draining."""

from __future__ import annotations

import asyncio

from app.application.hub.sessions import Session
from app.application.signals import (
    Frame,
    Note,
    chat_channel,
    pack_frame,
    pack_note,
    user_channel,
)
from tests.unit.application.hub.world import ANNA, BEN, CHAT, World, frames, say, seqs, with_world
from tests.unit.memory import CODEC, Sink


@with_world
async def test_draining_tells_all_and_closes_them_in_slices(world: World) -> None:
    sinks = [(await world.open(BEN))[1] for _ in range(20)]
    closing = asyncio.create_task(world.hub.close_all(1012, "restarting", 10, 0.1, 500))
    await asyncio.sleep(0.05)
    assert all(frames(sink, "draining")[0]["reconnect_after_ms"] == 500 for sink in sinks)
    assert sum(sink.closed is not None for sink in sinks) == 2
    await closing
    assert all(sink.closed == (1012, "restarting") for sink in sinks)


@with_world
async def test_what_a_newer_version_says_is_passed_by(world: World) -> None:
    _, ben = await world.open(BEN)
    await world.fan_out.publish(
        [(chat_channel(CHAT), b"Zsomething new"), (user_channel(BEN), pack_note(Note("new", 1)))]
    )
    await world.fan_out.publish([("process:here", pack_note(Note("newer", {})))])
    await world.do(say("goes on"))
    await world.settle()
    assert seqs(ben) == [2]


@with_world
async def test_typing_goes_to_all_but_who_types_and_a_persons_own_signals_to_their_open_sessions(world: World) -> None:
    _, ben = await world.open(BEN)
    _, anna = await world.open(ANNA)
    unopened = Sink()
    world.hub.sessions.add(Session("new", BEN, "auth", unopened))
    await world.fan_out.publish([(chat_channel(CHAT), pack_frame(Frame(CODEC.typing(CHAT, ANNA, 6000), ANNA)))])
    assert len(frames(ben, "typing")) == 1 and frames(anna, "typing") == []
    await world.fan_out.publish([(user_channel(BEN), pack_frame(Frame(CODEC.read_marked(CHAT, BEN, 1))))])
    assert len(frames(ben, "read.marked")) == 1 and frames(anna, "read.marked") == [] and unopened.lines == []
