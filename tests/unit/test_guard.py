"""What the pure paths of a message cost, in steps of the interpreter: the same on every machine, where times are noise.

The numbers kept in guard.json only go down: a path that takes more than they allow fails; one that takes clearly less asks
for the number to be lowered (`python -m tests.unit.test_guard`). What a library written in C does isn't counted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from app.adapters.broker.envelope import EnvelopeCodec
from app.application.announce import _slices
from app.application.ports.history import Page
from app.application.remembered import Remembered
from app.application.signals import unpack
from app.domain import decide
from app.domain.command import Command
from app.domain.fold import Limits
from app.domain.state import Decided
from tests import actions as c
from tests.unit.adapters.websocket.test_state_machine import opened
from tests.unit.memory import CHATS, CODEC, PEP, START, USERS, MemoryStore

KEPT = Path(__file__).with_name("guard.json")
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
MORE, LESS = 1.03, 0.9
MANY = 50
ANNA, BEN = USERS[:2]
CHAT = CHATS[0]
WORDS = "a text of some words as people write them in a chat, neither long nor short, " * 3


def steps(do: Callable[[], Any]) -> int:
    """Of the interpreter, in all that Python does within; what is cached is there already."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    for _ in range(2):
        do()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        do()
    finally:
        sys.settrace(before)
    return count


def commands() -> list[Command]:
    return [Command(CHAT, ANNA, f"{n:032}", c.SendMessage(f"{n} {WORDS}"), "here", False, n) for n in range(MANY)]


def store() -> MemoryStore:
    made = MemoryStore()
    made.do(CHAT, ANNA, c.CreateChat("group", "g", (BEN,)))
    return made


def decided(facts: Any = None) -> Decided:
    said = commands()
    ids = iter(f"{n:036}" for n in range(MANY))
    done = decide.decide(facts or store().facts(said), said, PEP.ask, lambda: next(ids), Limits(1_000))
    assert len(done.events) == MANY, "they stand"
    return done


def frames_in() -> Callable[[], Any]:
    machine = opened()
    lines = [
        json.dumps(
            {
                "type": "message.send",
                "ref": f"{n}",
                "chat_id": CHAT,
                "client_message_id": CHATS[1],
                "body": f"{n} {WORDS}",
            }
        )
        for n in range(MANY)
    ]
    return lambda: [machine.receive_line(line) for line in lines]


def envelopes() -> Callable[[], Any]:
    codec, said = EnvelopeCodec(["a secret of this test"]), commands()
    return lambda: codec.open(codec.seal(0, [codec.pack_command(command) for command in said]))


def folding() -> Callable[[], Any]:
    facts, said = store(), commands()
    states = iter([facts.facts(said) for _ in range(3)])
    return lambda: decided(next(states))


def remembering() -> Callable[[], Any]:
    said, remembered, made = commands(), Remembered(), store()
    needs = decide.needs_of(said)
    remembered.keep(needs, decided(made.facts(said)))

    def again() -> None:
        state = remembered.state_for(needs, START + timedelta(seconds=1))
        assert state is not None
        remembered.keep(needs, decided(state))

    return again


def frames_out() -> Callable[[], Any]:
    done = decided()
    return lambda: [unpack(channel, payload) for channel, payload in _slices(done, CODEC.event)]


def pages_out() -> Callable[[], Any]:
    state = decided().state
    page = Page([state.messages[key] for key in state.changes.new_messages], True)
    return lambda: CODEC.page(page)


PATHS: dict[str, Callable[[], Callable[[], Any]]] = {
    "a frame in": frames_in,
    "an envelope, there and back": envelopes,
    "decide and fold": folding,
    "remember, decide and fold": remembering,
    "a frame out": frames_out,
    "a page out": pages_out,
}


def measured(path: str) -> int:
    """Steps a message."""
    return round(steps(PATHS[path]()) / MANY)


@pytest.mark.skipif(VERSION not in json.loads(KEPT.read_text()), reason=f"no numbers of Python {VERSION} are kept")
@pytest.mark.parametrize("path", PATHS)
def test_a_message_costs_no_more_steps_than_before(path: str) -> None:
    kept, found = json.loads(KEPT.read_text())[VERSION][path], measured(path)
    assert found <= kept * MORE, f"{path}: {found} steps a message, {kept} before"
    assert found >= kept * LESS, (
        f"{path}: {found} steps a message, well done: python -m tests.unit.test_guard lowers it"
    )


def test_more_work_is_seen() -> None:
    assert steps(lambda: [n * n for n in range(200)]) > steps(lambda: [n * n for n in range(100)]) + 300


def main() -> None:
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    before = kept.get(VERSION, {})
    kept[VERSION] = {path: min(measured(path), before.get(path, sys.maxsize)) for path in PATHS}
    KEPT.write_text(json.dumps(kept, indent=2) + "\n")
    print(json.dumps(kept[VERSION], indent=2))


if __name__ == "__main__":
    main()
