"""What processes tell each other comes out as it went in; a newer version's words are passed by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tests.unit.memory import CHATS, START, USERS, MemoryStore

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
