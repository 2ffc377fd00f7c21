"""What processes tell each other comes out as it went in; a newer version's words are passed by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.fan_out.in_process import InProcessFanOut, InProcessLiveTexts
from app.application.announce import Announcer
from app.application.bounded import Bounded
from app.application.signals import (
    FRAME_MAX,
    DeltaSignal,
    Frame,
    Head,
    Note,
    Slice,
    Told,
    framed,
    pack_delta,
    pack_frame,
    pack_head,
    pack_note,
    pack_slice,
    pack_told,
    slice_of,
    unpack,
    unpack_told,
)
from app.domain.command import Command
from app.domain.events import Event, Opaque
from app.domain.members import MemberRemoved
from app.domain.state import Outcome, Result
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, START, USERS, MemoryStore
from tests.unit.virtual_time import run

ANNA, BEN = USERS[:2]
CHAT, OTHER = CHATS
lines = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])), min_size=1, max_size=5)


@given(st.integers(1, 2**40), lines, st.lists(st.tuples(st.integers(), st.text(max_size=5).map(lambda t: t.replace("\ud800", "")))),
       st.lists(st.sampled_from(["r1", "r2"])), st.sampled_from(["", "00-a-b-01"]), st.sampled_from([0.0, 1.5]))  # fmt: skip
def test_a_slice(first: int, lines_: list[str], removed: Any, done: list[str], trace: str, sent_at: float) -> None:
    part = Slice("chat", first, tuple(lines_), tuple(removed), tuple(done), trace, sent_at)
    assert unpack("chat", pack_slice(part)) == part and part.last == first + len(lines_) - 1


@pytest.mark.parametrize("signal", [
    (Head(7), pack_head(7)), (DeltaSignal("m", 2, 3, "ü\n"), pack_delta(DeltaSignal("m", 2, 3, "ü\n"))),
    (Frame("a\nb", "ben"), pack_frame(Frame("a\nb", "ben"))), (Frame("x"), pack_frame(Frame("x"))),
    (Note("stop", ["c", "m"]), pack_note(Note("stop", ["c", "m"]))), (Note("asked"), pack_note(Note("asked"))),
])  # fmt: skip
def test_signals(signal: tuple[Any, bytes]) -> None:
    assert unpack("chat", signal[1]) == signal[0]


def test_what_a_newer_version_adds_is_passed_by() -> None:
    assert unpack("chat", b"Qnew") is None and unpack("chat", b"") is None
    newer = unpack("chat", b'E5\t1.5\ttrace\t[[], [], "more"]\n{}')
    assert isinstance(newer, Slice) and (newer.first, newer.lines) == (5, ("{}",))
    assert unpack("chat", b'N["chat", "c", "more"]') == Note("chat", "c")
    assert unpack("chat", b'D["m", 1, 2, "t", "more"]') == DeltaSignal("m", 1, 2, "t")
    result = Result(
        Command(CHAT, ANNA, "id", c.SendMessage("x"), "process", tag=7),
        Outcome("message.send", None, "new_code", "r", ("p",)),
    )
    told = unpack_told([*json.loads(json.dumps(pack_told(result))), "more"])
    assert told == Told((CHAT, ANNA, "id"), result.outcome, False, 7, "process")


def test_events_are_cut_into_frames_that_a_client_takes() -> None:
    events = [Event("x", CHAT, n, START, ANNA, Opaque()) for n in range(1, 8)]
    sizes = [10, FRAME_MAX, 5, FRAME_MAX // 2, FRAME_MAX // 2 - 20, 30, 1]
    parts = framed(events, ["x" * size for size in sizes])
    assert [[e.seq for e in part] for part, _ in parts] == [[1], [2], [3, 4], [5, 6], [7]] or [
        sum(len(line) + 1 for line in part_lines) <= FRAME_MAX or len(part_lines) == 1 for _, part_lines in parts
    ] == [True] * len(parts)
    assert [e for part, _ in parts for e in part] == events
    assert all(len(part) == 1 or sum(len(line) + 1 for line in part_lines) <= FRAME_MAX for part, part_lines in parts)
    assert framed([], []) == []
    assert (
        len(framed(events[:2], ["x" * (FRAME_MAX // 2 - 1)] * 2)) == 1
        and len(framed(events[:2], ["x" * (FRAME_MAX // 2)] * 2)) == 2
    )


def test_a_slice_names_who_goes_and_what_ends() -> None:
    store = MemoryStore()
    store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
    store.do(CHAT, BEN, c.SendMessage("@assistant"))
    store.do(CHAT, BEN, c.StopReply(store.log[-1].payload.id))
    store.do(CHAT, ANNA, c.RemoveMember(BEN))
    part = slice_of(CHAT, store.log, [str(e.seq) for e in store.log])
    assert part.removed == ((5, BEN),) and part.done == (store.log[2].payload.id,) and (part.first, part.last) == (1, 5)
    assert isinstance(store.log[4].payload, MemberRemoved)
    traced = slice_of(CHAT, store.log, part.lines, "trace", 1.5)
    assert (traced.trace, traced.sent_at) == ("trace", 1.5)


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
        run(Announcer(self.fan_out, self.live, CODEC.event).announce(self.store.decided))
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


def test_a_bounded_dict_forgets_what_was_written_the_longest_time_ago() -> None:
    found: Bounded[str, int] = Bounded(3)
    for n, key in enumerate("abcad"):
        found[key] = n
    assert dict(found) == {"c": 2, "a": 3, "d": 4}
    found.update({"e": 5, "f": 6})
    found.setdefault("g", 7)
    assert list(found) == ["e", "f", "g"] and "a" not in found
