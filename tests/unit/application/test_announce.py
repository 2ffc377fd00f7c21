"""What a commit tells, and to whom."""

from __future__ import annotations

import json
from typing import Any

from app.adapters.fan_out.in_process import InProcessFanOut, InProcessLiveTexts
from app.application.announce import Announcer
from app.application.signals import (
    Head,
    Note,
    unpack,
    unpack_told,
)
from app.domain.command import Command
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, USERS, MemoryStore
from tests.unit.virtual_time import run

ANNA, BEN = USERS[:2]
CHAT, OTHER = CHATS


class World:
    def __init__(self) -> None:
        self.store, self.fan_out = MemoryStore(), InProcessFanOut()
        self.live = InProcessLiveTexts(self.fan_out)
        self.heard: list[tuple[str, Any]] = []
        self.fan_out.listen(lambda channel, payload: self.heard.append((channel, unpack("", payload))), lambda: None)
        channels = (
            [f"chat:{x}" for x in CHATS]
            + [f"user:{u}" for u in USERS]
            + ["process:here", "process:there", "assistants"]
        )
        run(self.fan_out.subscribe(channels))

    def tell(self, *commands: Command) -> list[tuple[str, Any]]:
        self.store.batch(commands)
        self.heard.clear()
        run(
            Announcer(self.fan_out, self.live, CODEC.event, CODEC.assistant_silent, CODEC.reply_queued).announce(
                self.store.decided
            )
        )
        return self.heard


def test_what_a_commit_tells_and_to_whom() -> None:
    world = World()
    heard = world.tell(
        Command(CHAT, ANNA, "1", c.CreateChat("group", None, (BEN,)), "here", True, 3),
        Command(CHAT, BEN, "2", c.SendMessage("hi"), "there"),
        Command(CHAT, BEN, "3", c.UpdateChat(("title",), "x"), "there", True, 9),
        Command(OTHER, ANNA, "4", c.SendMessage("nowhere"), "here", False, 5),
    )
    by_channel: dict[str, list[Any]] = {}
    for channel, signal in heard:
        by_channel.setdefault(channel, []).append(signal)
    [part] = by_channel[f"chat:{CHAT}"]
    assert (part.first, part.last) == (1, 2) and json.loads(part.lines[1])["message"]["body"] == "hi"
    assert by_channel[f"user:{ANNA}"][0] == Note("chat", CHAT)
    assert {n.kind for n in by_channel[f"user:{BEN}"]} == {"chat", "rejected"}
    rejected = unpack_told(next(n for n in by_channel[f"user:{BEN}"] if n.kind == "rejected").data)
    assert (rejected.key[2], rejected.outcome.code, rejected.tag, rejected.origin) == ("3", "not_allowed", 9, "there")
    outcomes = {
        p: [unpack_told(d).key[2] for n in by_channel[f"process:{p}"] for d in n.data] for p in ("here", "there")
    }
    assert outcomes == {"here": ["1"], "there": ["3"]}, "whoever waits; a message's event tells its sender"
    assert f"chat:{OTHER}" not in by_channel


def test_a_repeat_is_told_its_first_outcome_and_the_chat_its_head_alone() -> None:
    world = World()
    create = Command(CHAT, ANNA, "1", c.CreateChat("group", None, (BEN,)), "here", True)
    send = Command(CHAT, ANNA, "2", c.SendMessage("hi"), "there", False, 4)
    world.tell(create, send)
    heard = world.tell(send)
    assert heard[0] == (f"chat:{CHAT}", Head(2))
    [told] = [unpack_told(d) for _, n in heard[1:] for d in n.data]
    assert (told.repeat, told.outcome.seq, told.tag) == (True, 2, 4)
    silent = world.tell(Command(CHAT, ANNA, "3", c.UpdateChat(("archived",), None, False), "here", False, 6))
    assert [unpack_told(d).outcome.seq for _, n in silent for d in n.data] == [None], "nothing to change is told too"


def test_assistants_are_woken_stopped_and_their_texts_ended() -> None:
    world = World()
    world.tell(Command(CHAT, ANNA, "1", c.CreateChat("group", None, (BEN,))))
    heard = world.tell(Command(CHAT, BEN, "2", c.SendMessage("@assistant hi")))
    assert ("assistants", Note("asked")) in heard
    [key] = world.store.state.replies
    run(world.live.append(key, 1, 0, "a", "a"))
    heard = world.tell(Command(CHAT, BEN, "3", c.StopReply(key[1])))
    assert ("assistants", Note("stop", list(key))) in heard
    assert run(world.live.get(key)) is None and not run(world.live.append(key, 2, 0, "b", "b"))
