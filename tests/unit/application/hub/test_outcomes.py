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
    pack_note,
    pack_told,
    user_channel,
)
from app.domain.command import Command
from app.domain.state import Outcome, Result
from tests import actions as c
from tests.unit.application.hub.world import ANNA, CARL, CHAT, World, frames, say, with_world
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
    session.expect(7, (CHAT, CARL, "mine"), "r7", True)
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


def test_what_nobody_told_is_looked_up_after_a_second_and_a_message_only_in_doubt() -> None:
    class History:
        def __init__(self) -> None:
            self.asked: list[str] = []

        async def outcome(self, chat_id: str, actor_id: str, id: str) -> Outcome | None:
            self.asked.append(id)
            return Outcome("message.edit", 5) if id == "edit" else None

    async def go() -> None:
        sessions, history = Sessions(), History()
        asked: Any = history
        outcomes = Outcomes(sessions, asked, CODEC, lambda user_id: None)
        session = Session("s", ANNA, "auth", sink := Sink(), opened=True)
        sessions.add(session)
        session.expect(1, (CHAT, ANNA, "edit"), "r1", False)
        session.expect(2, (CHAT, ANNA, "send"), "r2", True)
        await asyncio.sleep(1.0)
        await outcomes.look_up()
        assert history.asked == [], "a second is not over yet"
        await asyncio.sleep(0.1)
        await outcomes.look_up()
        assert history.asked == ["edit"] and [json.loads(line)["ref"] for line in sink.lines] == ["r1"]
        assert list(session.asked) == [2]
        outcomes.doubt = True
        await outcomes.look_up()
        assert history.asked == ["edit", "send"] and not outcomes.doubt
        await asyncio.sleep(29)
        outcomes.doubt = True
        await outcomes.look_up()
        assert history.asked.count("send") == 2
        await asyncio.sleep(2)
        outcomes.doubt = True
        await outcomes.look_up()
        assert history.asked.count("send") == 2, "what was announced that long ago is not in doubt"

    run(go())
