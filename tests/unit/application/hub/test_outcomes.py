"""Refusals: told once, to whoever asked, wherever they are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from app.application.hub.outcomes import Outcomes
from app.application.hub.sessions import Session, Sessions
from app.application.ports.store import Healing, Refusal
from app.application.signals import (
    Note,
    Slice,
    chat_channel,
    pack_note,
    pack_slice,
    pack_told,
    unpack,
    user_channel,
)
from app.domain.command import Command
from app.domain.state import Outcome, Result
from tests import actions as c
from tests.unit.application.hub.world import ANNA, CARL, CHAT, OTHER, World, frames, say, with_world
from tests.unit.memory import CODEC, START, Sink
from tests.unit.virtual_time import run


@with_world
async def test_a_refusal_is_told_once_to_all_sessions_of_its_sender_also_by_the_poll(world: World) -> None:
    _, one = await world.open(CARL)
    _, two = await world.open(CARL)
    [result] = await world.do(say("stranger", actor=CARL))
    for sink in (one, two):
        [told] = frames(sink, "rejected")
        assert (told["code"], told["client_message_id"], told["chat_id"]) == ("not_found", result.command.id, CHAT)
        assert told["policies"] == ["strangers-see-nothing"] and "ref" not in told
    world.store.healing = Healing(
        "epoch", START, False, refused=[Refusal(CHAT, CARL, result.command.id, result.outcome)]
    )
    await world.settle(3)
    assert len(frames(one, "rejected")) == 1
    world.store.healing = Healing(
        "epoch", START, False, refused=[Refusal(CHAT, CARL, "lost", Outcome("member.add", None, "muted", "why"))]
    )
    await world.settle(3)
    assert frames(one, "rejected")[-1]["command_id"] == "lost"
    assert world.rejected == [CARL, CARL]


@with_world
async def test_a_rejection_told_to_the_user_repeats_the_ref_of_who_asked_here(world: World) -> None:
    session, sink = await world.open(CARL)
    world.hub.outcomes.ask(session, 7, (CHAT, CARL, "mine"), "r7", True)
    refused = Result(
        Command(CHAT, CARL, "mine", c.SendMessage("x"), "here", False, 7), Outcome("message.send", None, "muted", "why")
    )
    elsewhere = Result(
        Command(CHAT, CARL, "theirs", c.SendMessage("x"), "there", False, 7),
        Outcome("message.send", None, "muted", "why"),
    )
    await world.fan_out.publish([(user_channel(CARL), pack_note(Note("rejected", pack_told(elsewhere))))])
    await world.fan_out.publish([(user_channel(CARL), pack_note(Note("rejected", pack_told(refused))))])
    assert [(f["client_message_id"], f.get("ref")) for f in frames(sink, "rejected")] == [
        ("theirs", None),
        ("mine", "r7"),
    ]


@with_world
async def test_who_waits_elsewhere_in_this_process_is_told_a_rejection_too(world: World) -> None:
    key = (CHAT, ANNA, "id")
    waiting = [world.hub.outcomes.expect(key) for _ in range(2)]
    outcome = Outcome("message.send", None, "muted", "why")
    world.hub.outcomes.tell_rejected(key, outcome)
    assert [future.result() for future in waiting] == [(outcome, False)] * 2 and world.rejected == [ANNA]
    world.hub.outcomes.tell_rejected((CHAT, "nobody here", "id"), outcome)
    assert world.rejected == [ANNA]


@with_world
async def test_a_refusal_is_told_once_in_a_minute(world: World) -> None:
    _, sink = await world.open(ANNA)
    key, outcome = (CHAT, ANNA, "id"), Outcome("message.send", None, "muted", "why")
    for wait_s, told in ((0.0, 1), (59.9, 1), (0.2, 2), (59.9, 2)):
        await world.settle(wait_s)
        world.hub.outcomes.tell_rejected(key, outcome)
        assert len(frames(sink, "rejected")) == told, wait_s


@with_world
async def test_each_who_asks_hears_each_time_also_of_a_refusal_that_was_told_before(world: World) -> None:
    """A command at a chat that isn't there leaves no trace, so each of its repeats is refused anew."""
    sessions = [await world.open(CARL) for _ in range(3)]
    for round_ in range(4):
        for place, (session, _) in enumerate(sessions):
            tag = 10 * round_ + place + 1
            world.hub.outcomes.ask(session, tag, (OTHER, CARL, "same id"), f"r{tag}", False)
            command = Command(OTHER, CARL, "same id", c.PinMessage("m"), "here", True, tag)
            world.store.batch([command])
            await world.announcer.announce(world.store.decided)
    await world.settle(5)
    for place, (session, sink) in enumerate(sessions):
        told = [frame.get("ref") for frame in frames(sink, "rejected")]
        assert [ref for ref in told if ref] == [f"r{10 * n + place + 1}" for n in range(4)]
        assert told.count(None) <= 1 and not session.asked, "what others asked is told once"


def test_what_nobody_told_is_looked_up_ever_less_often_and_comes_to_an_end() -> None:
    class History:
        def __init__(self) -> None:
            self.asked: list[tuple[float, list[str]]] = []
            self.known: dict[str, Outcome] = {}

        async def outcomes(self, keys: Any) -> dict[Any, Outcome]:
            self.asked.append((asyncio.get_running_loop().time() - began, [key[2] for key in keys]))
            return {key: self.known[key[2]] for key in keys if key[2] in self.known}

    began = 0.0

    async def go() -> None:
        nonlocal began
        sessions, history = Sessions(), History()
        asked: Any = history
        outcomes = Outcomes(sessions, asked, CODEC, lambda user_id: None)
        sinks = [Sink(), Sink()]
        for n, sink in enumerate(sinks):
            session = Session(f"s{n}", ANNA, "auth", sink, opened=True)
            sessions.add(session)
            outcomes.ask(session, 2 * n + 1, (CHAT, ANNA, "edit"), "edit", False)
            outcomes.ask(session, 2 * n + 2, (CHAT, ANNA, f"lost {n}"), "lost", False)
        outcomes.ask(session, 9, (CHAT, ANNA, "send"), "send", True)
        began = asyncio.get_running_loop().time()
        for tick in range(70):
            await asyncio.sleep(0.5)
            if tick == 4:
                history.known["edit"] = Outcome("message.edit", 5)
            outcomes.doubt = tick == 20
            await outcomes.look_up()
        assert [round(at, 1) for at, _ in history.asked] == [1.0, 3.0, 9.0, 10.5, 27.0], "and nothing when all is over"
        assert [sorted(ids) for _, ids in history.asked] == [
            ["edit", "edit", "lost 0", "lost 1"], ["edit", "edit", "lost 0", "lost 1"], ["lost 0", "lost 1"], ["send"],
            ["lost 0", "lost 1"],
        ]  # fmt: skip
        for sink in sinks:
            told = [json.loads(line) for line in sink.lines]
            assert [(frame["type"], frame["ref"], frame.get("code")) for frame in told] == [
                ("committed", "edit", None), ("error", "lost", "outcome_unknown"),
            ]  # fmt: skip
        assert all(not session.asked for session in sessions.all())

    run(go())


def test_each_doubt_looks_up_the_messages_that_wait() -> None:
    class History:
        def __init__(self) -> None:
            self.asked = 0

        async def outcomes(self, keys: Any) -> dict[Any, Outcome]:
            self.asked += 1
            return {key: Outcome("message.send", None, "muted", "why") for key in keys if self.asked == 2}

    async def go() -> None:
        sessions, history = Sessions(), History()
        asked: Any = history
        outcomes = Outcomes(sessions, asked, CODEC, lambda user_id: None)
        session = Session("s", ANNA, "auth", sink := Sink(), opened=True)
        sessions.add(session)
        outcomes.ask(session, 1, (CHAT, ANNA, "send"), "r", True)
        for at in (2.0, 1.0):
            await asyncio.sleep(at)
            outcomes.doubt = True
            await outcomes.look_up()
        assert history.asked == 2 and [json.loads(line)["type"] for line in sink.lines] == ["rejected"]

    run(go())


@with_world
async def test_what_is_over_leaves_and_of_what_isnt_only_the_oldest_are_looked_at(world: World) -> None:
    session, sink = await world.open(ANNA)
    outcomes = world.hub.outcomes
    for n in range(1, 1001):
        outcomes.ask(session, n, (CHAT, ANNA, f"{n}"), f"r{n}", n > 990)
    assert len(outcomes._looked_up) == 990
    part = Slice(CHAT, 2, ('{"type":"x"}',), asked={"here": list(range(8, 901)), "another process": [950]})
    await world.fan_out.publish([(chat_channel(CHAT), pack_slice(part))])
    assert list(session.asked) == list(outcomes._asked) == [*range(1, 8), *range(901, 1001)]
    assert unpack(CHAT, pack_slice(part)) == part, "and so it travels"
    assert 7 in session.asked
    [result] = await world.do(say("the end of request 7 is in the event itself"))
    assert result.outcome.seq and 7 not in session.asked
    assert [tag for tag, _ in outcomes._older_than(1.0, asyncio.get_running_loop().time())] == []
    world.hub.drop(session)
    assert not session.asked and not outcomes._asked and not outcomes._looked_up
    assert not frames(sink, "error")
