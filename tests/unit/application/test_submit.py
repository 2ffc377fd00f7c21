"""A command's way onto the bus, and how its end comes back; in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from app.application.hub.outcomes import Outcomes
from app.application.hub.sessions import Session, Sessions
from app.application.ports.errors import OutcomeUnknown, Unavailable
from app.application.ports.held import NothingHeld
from app.application.signals import Told
from app.application.submit import StillOpen, Submitter
from app.domain.command import Command
from app.domain.errors import ParleyError
from app.domain.state import Outcome
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, USERS, MemoryStore, Sink
from tests.unit.virtual_time import run

ANNA, BEN = USERS[:2]
CHAT = CHATS[0]


class Bus(NothingHeld):
    """Implements CommandBus; what is submitted waits for the test's word."""

    def __init__(self) -> None:
        self.sent: list[tuple[Command, asyncio.Future[None]]] = []

    def submit(self, command: Command) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.append((command, future))
        return future

    def why_not(self) -> str | None:
        return None


class Limiter:
    def __init__(self) -> None:
        self.asked: list[tuple[str, int, int]] = []
        self.wait_ms: int | None = None

    def command(self, user_id: str, new_chats: int, new_members: int) -> int | None:
        self.asked.append((user_id, new_chats, new_members))
        return self.wait_ms


class Setting:
    def __init__(self) -> None:
        self.bus, self.limiter, self.store = Bus(), Limiter(), MemoryStore()
        self.sessions, self.rejected = Sessions(), list[str]()
        self.outcomes = Outcomes(self.sessions, self.store, CODEC, self.rejected.append)  # type: ignore[arg-type]
        self.process_id = "here"
        self.drawn = iter(f"drawn-{n}" for n in range(100))
        world: Any = self  # a hub is asked for its outcomes and its process's id alone
        store: Any = self.store
        limiter: Any = self.limiter
        self.submitter = Submitter(self.bus, world, store, CODEC, limiter, lambda: next(self.drawn), 100)
        self.sink = Sink()
        self.session = Session("s", ANNA, "auth", self.sink, opened=True)
        self.sessions.add(self.session)
        self.settled = 0

    def send(self, ref: str, id_: str | None, action: Any) -> tuple[Command, asyncio.Future[None]]:
        def settled() -> None:
            self.settled += 1

        self.submitter.send(self.session, ref, CHAT, id_, action, settled)
        return self.bus.sent[-1]

    def tell(self, command: Command, outcome: Outcome, repeat: bool = False) -> None:
        self.outcomes.hear(Told(command.key, outcome, repeat, command.tag, command.origin))

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.sink.lines]


def go(work: Coroutine[Any, Any, None]) -> None:
    run(work)


def test_a_message_is_accepted_when_the_bus_has_it_and_not_before() -> None:
    async def test() -> None:
        s = Setting()
        command, safe = s.send("1", "m1", c.SendMessage("hello"))
        assert (command.chat_id, command.actor_id, command.id, command.origin, command.wait) == (
            CHAT,
            ANNA,
            "m1",
            "here",
            False,
        )
        await asyncio.sleep(60)
        assert s.frames == [] and s.settled == 0
        safe.set_result(None)
        await asyncio.sleep(0)
        assert s.frames == [{"type": "accepted", "ref": "1", "client_message_id": "m1"}] and s.settled == 1
        s.tell(command, Outcome("message.send", 2))
        assert len(s.frames) == 1, "its event says the rest"
        assert s.session.asked == {}

    go(test())


def test_another_command_waits_for_its_outcome_and_has_an_id_drawn() -> None:
    async def test() -> None:
        s = Setting()
        first, safe = s.send("1", None, c.EditMessage("m", "x"))
        second, _ = s.send("2", "given", c.EditMessage("m", "x"))
        assert (first.id, first.wait, second.id) == ("drawn-0", True, "given") and first.tag != second.tag != 0
        safe.set_result(None)
        await asyncio.sleep(0)
        assert s.frames == [{"type": "accepted", "ref": "1", "command_id": "drawn-0"}]
        s.tell(first, Outcome("message.edit", None))
        assert s.frames[1] == {"type": "committed", "ref": "1", "chat_id": CHAT, "command_id": "drawn-0"}
        s.tell(second, Outcome("message.edit", 7), repeat=True)
        assert s.frames[2] == {"type": "committed", "ref": "2", "chat_id": CHAT, "command_id": "given", "seq": 7}
        s.tell(second, Outcome("message.edit", 7), repeat=True)
        assert len(s.frames) == 3, "told once"

    go(test())


def test_an_edit_that_made_an_event_is_over_by_it() -> None:
    async def test() -> None:
        s = Setting()
        command, _ = s.send("1", None, c.EditMessage("m", "x"))
        s.tell(command, Outcome("message.edit", 5))
        assert s.frames == [] and s.session.asked == {}

    go(test())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Unavailable("no broker"), {"code": "unavailable", "reason": "no broker", "retry_after_ms": 1000}),
        (OutcomeUnknown("no confirm"), {"code": "outcome_unknown", "reason": "no confirm"}),
    ],
)
def test_what_the_bus_did_not_take_is_an_error_and_the_id_is_good(error: Exception, told: dict[str, Any]) -> None:
    async def test() -> None:
        s = Setting()
        _, safe = s.send("1", "m1", c.SendMessage("hello"))
        safe.set_exception(error)
        await asyncio.sleep(0)
        assert s.frames == [{"type": "error", "ref": "1", **told}]
        assert s.settled == 1 and s.session.asked == {}

    go(test())


def test_a_rejection_that_comes_first_is_the_end() -> None:
    async def test() -> None:
        s = Setting()
        command, safe = s.send("1", "m1", c.SendMessage("hello"))
        s.tell(command, Outcome("message.send", None, "muted", "you are muted", ("muted-stay-silent",)))
        safe.set_result(None)
        await asyncio.sleep(0)
        [frame] = s.frames
        assert frame == {
            "type": "rejected", "ref": "1", "chat_id": CHAT, "client_message_id": "m1", "code": "muted",
            "reason": "you are muted", "policies": ["muted-stay-silent"],
        }  # fmt: skip
        assert s.rejected == [ANNA] and s.settled == 1

    go(test())


def test_a_rejection_goes_to_all_sessions_of_its_sender_with_the_ref_to_who_asked() -> None:
    async def test() -> None:
        s = Setting()
        other = Sink()
        s.sessions.add(Session("other", ANNA, "auth", other, opened=True))
        unopened = Sink()
        s.sessions.add(Session("new", ANNA, "auth", unopened))
        stranger = Sink()
        s.sessions.add(Session("ben", BEN, "auth", stranger, opened=True))
        command, _ = s.send("1", None, c.EditMessage("m", "x"))
        s.tell(command, Outcome("message.edit", None, "not_allowed", "no"))
        assert s.frames[0]["ref"] == "1"
        [told] = [json.loads(line) for line in other.lines]
        assert told["type"] == "rejected" and "ref" not in told
        assert unopened.lines == [] and stranger.lines == []

    go(test())


def test_a_repeat_of_a_rejected_command_is_told_to_who_asked_again() -> None:
    async def test() -> None:
        s = Setting()
        first, _ = s.send("1", "m1", c.SendMessage("x"))
        s.tell(first, Outcome("message.send", None, "muted", "why"))
        again, _ = s.send("2", "m1", c.SendMessage("x"))
        s.tell(again, Outcome("message.send", None, "muted", "why"), repeat=True)
        assert [f["ref"] for f in s.frames] == ["1", "2"]
        await asyncio.sleep(61)
        await s.outcomes.look_up()
        third, _ = s.send("3", "m1", c.SendMessage("x"))
        s.outcomes.tell_rejected(third.key, Outcome("message.send", None, "muted", "why"))
        assert s.frames[-1]["ref"] == "3", "a minute later it may be told anew; who asked is found by its key"

    go(test())


def test_too_many_commands_wait_and_nothing_is_submitted() -> None:
    async def test() -> None:
        s = Setting()
        s.limiter.wait_ms = 700
        s.submitter.send(s.session, "1", CHAT, "m1", c.SendMessage("x"), lambda: None)
        assert s.frames == [
            {"type": "error", "ref": "1", "code": "rate_limited", "reason": "too many commands", "retry_after_ms": 700}
        ]
        with pytest.raises(ParleyError) as refused:
            await s.submitter.run(ANNA, CHAT, c.CreateChat("group", None, ("a", "b")), "id")
        assert (refused.value.code, refused.value.retry_after_ms) == ("rate_limited", 700) and s.bus.sent == []
        with pytest.raises(ParleyError):
            await s.submitter.run(ANNA, CHAT, c.AddMember("a", "member"), "id")
        assert s.limiter.asked == [(ANNA, 0, 0), (ANNA, 1, 2), (ANNA, 0, 1)]

    go(test())


def test_a_text_that_is_none_is_refused_before_it_counts() -> None:
    async def test() -> None:
        s = Setting()
        for body, code in (("", "empty"), ("\u200b", "empty"), ("x" * 101, "too_large"), ("\ud800", "invalid")):
            for action in (c.SendMessage(body), c.EditMessage("m", body)):
                s.submitter.send(s.session, "1", CHAT, "m1", action, lambda: None)
                assert (s.frames[-1]["type"], s.frames[-1]["code"]) == ("error", code)
                with pytest.raises(ParleyError, match=code):
                    await s.submitter.run(ANNA, CHAT, action, "id")
        assert s.bus.sent == [] and s.limiter.asked == []
        s.send("2", "m2", c.SendMessage("x" * 100))
        assert len(s.bus.sent) == 1

    go(test())


async def ran(s: Setting, id_: str | None = "id") -> asyncio.Task[Any]:
    task = asyncio.create_task(s.submitter.run(ANNA, CHAT, c.EditMessage("m", "x"), id_))
    await asyncio.sleep(0)
    return task


def test_who_waits_is_told_what_became_of_it() -> None:
    async def test() -> None:
        s = Setting()
        task = await ran(s)
        command, safe = s.bus.sent[0]
        assert (command.wait, command.origin, command.id, command.tag) == (True, "here", "id", 0)
        assert (command.chat_id, command.actor_id, command.action) == (CHAT, ANNA, c.EditMessage("m", "x"))
        safe.set_result(None)
        await asyncio.sleep(0)
        s.tell(command, Outcome("message.edit", 9))
        done = await task
        assert (done.seq, done.made) == (9, True)
        task = await ran(s)
        s.bus.sent[1][1].set_result(None)
        s.tell(s.bus.sent[1][0], Outcome("message.edit", 9), repeat=True)
        assert (await task).made is False
        task = await ran(s, None)
        assert s.bus.sent[2][0].id == "drawn-0"
        s.bus.sent[2][1].set_result(None)
        s.tell(s.bus.sent[2][0], Outcome("message.edit", None, "archived", "the chat is archived", ("p",)))
        with pytest.raises(ParleyError) as refused:
            await task
        assert (refused.value.code, refused.value.reason, refused.value.policies) == (
            "archived",
            "the chat is archived",
            ("p",),
        )
        assert s.outcomes._waiters == {}

    go(test())


def test_of_several_calls_with_one_id_one_did_it() -> None:
    async def test() -> None:
        s = Setting()
        tasks = [await ran(s) for _ in range(3)]
        for _, safe in s.bus.sent:
            safe.set_result(None)
        await asyncio.sleep(0)
        s.tell(s.bus.sent[0][0], Outcome("message.edit", 9))
        assert [(await task).made for task in tasks] == [True, False, False]

    go(test())


def test_nothing_accepted_is_unavailable_and_what_is_not_known_is_looked_up() -> None:
    async def test() -> None:
        s = Setting()
        task = await ran(s)
        s.bus.sent[0][1].set_exception(Unavailable("no broker"))
        with pytest.raises(ParleyError) as refused:
            await task
        assert (refused.value.code, refused.value.retry_after_ms) == ("unavailable", 1_000)
        task = await ran(s)
        command, safe = s.bus.sent[1]
        safe.set_exception(OutcomeUnknown("it may have landed"))
        s.store.fail = 1
        began = asyncio.get_running_loop().time()
        s.store.told[command.key] = Outcome("message.edit", 4)
        done = await task
        assert (done.seq, done.made) == (4, True)
        assert 1.9 < asyncio.get_running_loop().time() - began < 2.2, "after a second, and again after another"

    go(test())


def test_an_outcome_that_nobody_knows_in_ten_seconds_is_still_open() -> None:
    async def test() -> None:
        s = Setting()
        task = await ran(s)
        s.bus.sent[0][1].set_result(None)
        began = asyncio.get_running_loop().time()
        with pytest.raises(StillOpen) as still:
            await task
        assert still.value.command_id == "id" and 9.9 < asyncio.get_running_loop().time() - began < 10.1
        assert s.outcomes._waiters == {}

    go(test())


def test_outcomes_that_nobody_told_are_looked_up_after_a_second() -> None:
    async def test() -> None:
        s = Setting()
        edit, _ = s.send("1", None, c.EditMessage("m", "x"))
        send, _ = s.send("2", "m1", c.SendMessage("x"))
        for command, seq in ((edit, None), (send, 3)):
            s.store.told[command.key] = Outcome(command.type, seq)
        await s.outcomes.look_up()
        assert s.frames == []
        await asyncio.sleep(1.1)
        await s.outcomes.look_up()
        assert [(f["type"], f["ref"]) for f in s.frames] == [("committed", "1")], (
            "a message is looked up in doubt alone"
        )
        s.outcomes.doubt = True
        await s.outcomes.look_up()
        assert [(f["type"], f["ref"]) for f in s.frames] == [("committed", "1"), ("committed", "2")]
        assert not s.outcomes.doubt and s.session.asked == {}

    go(test())


def test_a_command_that_is_never_accepted_is_still_open_too_and_its_end_troubles_nobody() -> None:
    """In one process a command is safe when it is decided: with a full disk that takes as long as the disk is full."""

    async def test() -> None:
        s = Setting()
        task, began = await ran(s), asyncio.get_running_loop().time()
        with pytest.raises(StillOpen):
            await task
        assert 9.9 < asyncio.get_running_loop().time() - began < 10.5
        s.bus.sent[0][1].set_exception(Unavailable("at last"))
        await asyncio.sleep(0)

    go(test())


@pytest.mark.parametrize(("away_s", "wait_ms"), [(0.0, 1_000), (1.0, 1_000), (10.0, 5_000), (150.0, 30_000)])
def test_what_has_been_away_for_long_is_worth_another_try_later(away_s: float, wait_ms: int) -> None:
    async def test() -> None:
        s = Setting()
        task = await ran(s)
        s.bus.sent[0][1].set_exception(Unavailable("the broker can't be reached", away_s=away_s))
        with pytest.raises(ParleyError) as refused:
            await task
        assert (refused.value.code, refused.value.retry_after_ms) == ("unavailable", wait_ms)

    go(test())


def test_what_is_too_much_is_refused_before_anything_is_asked_of_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a socket and from a caller that waits; and what was taken on goes on."""

    async def work() -> None:
        s = Setting()
        taken = s.send("first", "id-1", c.SendMessage("x"))
        monkeypatch.setattr(s.outcomes._admission, "takes", lambda under_way: under_way < 1)
        s.send("second", "id-2", c.SendMessage("y"))
        with pytest.raises(ParleyError) as refused:
            await s.submitter.run(ANNA, CHAT, c.SendMessage("z"), "id-3")
        assert refused.value.code == "unavailable" and (refused.value.retry_after_ms or 0) >= 1_000
        [told] = s.frames
        assert (told["type"], told["ref"], told["code"]) == ("error", "second", "unavailable")
        assert told["retry_after_ms"] >= 1_000 and s.settled == 1 and len(s.bus.sent) == 1
        s.outcomes.over(taken[0].tag)
        s.send("third", "id-4", c.SendMessage("x"))
        assert len(s.bus.sent) == 2

    run(work())


def test_what_is_long_done_and_was_not_heard_of_doesnt_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages whose slices never came here: they are looked up as soon as somebody is refused because of them."""

    async def work() -> None:
        s = Setting()
        s.store.do(CHAT, ANNA, c.CreateChat("group"))
        monkeypatch.setattr(s.outcomes._admission, "takes", lambda under_way: under_way < 3)
        for n in range(3):
            command, future = s.send(f"{n}", f"id-{n}", c.SendMessage(f"{n}"))
            future.set_result(None)
            s.store.batch([command])
        await asyncio.sleep(1.5)
        await s.outcomes.look_up()
        s.send("late", "id-3", c.SendMessage("x"))
        assert s.frames[-1]["code"] == "unavailable" and len(s.bus.sent) == 3, "nobody doubted"
        await s.outcomes.look_up()
        s.send("later", "id-4", c.SendMessage("y"))
        assert len(s.bus.sent) == 4

    run(work())


def test_only_what_was_told_counts_as_done(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        s, done = Setting(), list[int]()
        monkeypatch.setattr(s.outcomes._admission, "ended", lambda: done.append(1))
        s.send("1", "id-1", c.SendMessage("x"))
        _, refused = s.send("2", "id-2", c.SendMessage("x"))
        refused.set_exception(Unavailable("no broker"))
        s.send("3", "id-3", c.SendMessage("x"))
        await asyncio.sleep(0)
        s.outcomes.drop(s.session)
        assert done == [] and not s.outcomes._asked
        heard, _ = s.send("4", "id-4", c.AddReaction("m", "x"))
        s.tell(heard, Outcome("reaction.add", 5))
        assert done == [1]

    run(work())
