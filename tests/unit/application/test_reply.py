"""The assistant worker in virtual time: one end for each reply, whatever the model, the store or the broker do."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.adapters.fan_out.in_process import InProcessFanOut, InProcessLiveTexts
from app.application.ports.errors import OutcomeUnknown, Transient, Unavailable
from app.application.ports.held import NothingHeld
from app.application.ports.jobs import Job, Written
from app.application.ports.model import (
    Alive,
    Call,
    Delta,
    Finish,
    ModelFailed,
    Piece,
    Price,
    Prompt,
    Provider,
    Thinking,
    Turn,
)
from app.application.reply import AssistantWorker, Expirer
from app.application.signals import ASSISTANTS, Frame, Note, pack_note, unpack
from app.domain.chats import NameChat
from app.domain.command import Command
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.replies import CompleteReply, ExpireReply
from app.domain.values import Failure, Usage
from tests.unit.memory import CODEC
from tests.unit.virtual_time import run

KEY = ("chat", "reply")


class Store:
    """Implements Jobs and CommandBus: one reply's row, and the command that ends it. lease: until when it is held."""

    def __init__(self) -> None:
        self.attempt, self.holder, self.lease, self.finished = 0, "", 0.0, False
        self.stop_requested = False
        self.ends: list[CompleteReply | ExpireReply] = []
        self.ids: list[str] = []
        self.fail: list[BaseException] = []
        self.refuse: list[BaseException] = []
        self.progress = 0
        self.renewals: list[float] = []
        self.lose_ends = 0
        self.released = False
        self.written: list[Written] = []
        self.names: list[NameChat] = []
        self.also: list[Usage] = []

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _may_fail(self) -> None:
        if self.fail:
            raise self.fail.pop(0)

    async def claim(self, holder: str, most: int, lease_s: float, room: Mapping[str, int]) -> list[Job]:
        self._may_fail()
        if self.finished or self.lease > self._now() or most < 1:
            return []
        self.attempt, self.holder, self.lease = self.attempt + 1, holder, self._now() + lease_s
        return [Job(*KEY, "question", self.attempt, self.stop_requested, "trace")]

    async def also_took(self, job: Job, usage: Usage, cost: float | None) -> None:
        self.also.append(usage)

    async def renew(self, holder: str, job: Job, lease_s: float, progressed: bool) -> str:
        self._may_fail()
        if self.finished or job.attempt != self.attempt or holder != self.holder:
            return "lost"
        self.lease = self._now() + lease_s
        self.renewals.append(self._now())
        self.progress += progressed
        return "stop" if self.stop_requested else "held"

    async def release(self, job: Job) -> None:
        if job.attempt == self.attempt:
            self.lease, self.holder, self.released = 0.0, "", True

    async def prompt(self, job: Job, turns_max: int) -> Prompt:
        self._may_fail()
        return Prompt((Turn("user", "hello"),), None, None)

    async def note(self, job: Job, written: Written) -> None:
        self._may_fail()
        self.written.append(written)

    async def stuck(self, no_progress_s: float) -> list[Job]:
        self._may_fail()
        return [] if self.finished else [Job(*KEY, "question", self.attempt)]

    def submit(self, command: Command) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ids.append(command.id)
        assert command.chat_id == KEY[0] and command.actor_id == ASSISTANT_ID
        if self.refuse:
            future.set_exception(self.refuse.pop(0))
            return future
        future.set_result(None)
        action: Any = command.action
        if isinstance(action, NameChat):
            self.names.append(action)
            return future
        if self.lose_ends:
            self.lose_ends -= 1
        elif action.attempt == self.attempt and not self.finished:
            self.finished = True
            self.ends.append(action)
        return future

    def why_not(self) -> str | None:
        return None


class Model(NothingHeld):
    """Says `script`: texts, pauses in seconds, errors; each call takes the next script. closed: streams that were ended."""

    def __init__(self, *scripts: list[Any]) -> None:
        self.scripts = list(scripts)
        self.calls: list[float] = []
        self.prompts: list[Prompt] = []
        self.closed = 0

    async def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        self.prompts.append(prompt)
        self.calls.append(asyncio.get_running_loop().time())
        try:
            for piece in self.scripts.pop(0):
                if isinstance(piece, str):
                    yield Delta(piece)
                elif isinstance(piece, Exception):
                    raise piece
                elif isinstance(piece, float):
                    await asyncio.sleep(piece)
                else:
                    yield piece
        finally:
            self.closed += 1


DONE = Finish(Usage(1, 2))


class World:
    def __init__(self, *scripts: list[Any]) -> None:
        self.store, self.model = Store(), Model(*scripts)
        self.fan_out = InProcessFanOut()
        self.live = InProcessLiveTexts(self.fan_out)
        self.heard: list[bytes] = []
        self.statuses: list[str] = []
        self.troubles: list[str] = []
        self.worker = self.make("one")
        self.fan_out.listen(self.worker.handle, lambda: None)

    def make(self, holder: str) -> AssistantWorker:
        store: Any = self.store
        return AssistantWorker(
            holder=holder, jobs=store, live=self.live, model=self.model, bus=store, fan_out=self.fan_out, at_once=5,
            codec=CODEC, providers={"default": Provider("default", "default", "m")}, jitter=lambda: 0.5, on_end=self.statuses.append, trouble=lambda what, error: self.troubles.append(what),
        )  # fmt: skip

    async def tell(self, kind: str, data: Any = None) -> None:
        await self.fan_out.publish([(ASSISTANTS, pack_note(Note(kind, data)))])

    async def until_over(self, seconds: float = 120) -> CompleteReply:
        async with asyncio.timeout(seconds):
            while not self.store.finished:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        [end] = self.store.ends
        assert isinstance(end, CompleteReply)
        return end


def trial(*scripts: list[Any]) -> Callable[[Callable[[World], Coroutine[Any, Any, None]]], Callable[[], None]]:
    """The test runs beside a working worker, in virtual time."""

    def decorate(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        def wrapped() -> None:
            async def go() -> None:
                world = World(*scripts)
                await world.worker.start()
                running = asyncio.create_task(world.worker.run())
                try:
                    await test(world)
                finally:
                    running.cancel()
                    await world.worker.drain(0)

            run(go())

        wrapped.__name__ = test.__name__
        return wrapped

    return decorate


@trial(["Hello", 0.5, ", ", "world", DONE])
async def test_an_answer_is_its_deltas_and_ends_once(world: World) -> None:
    heard: list[Any] = []
    world.fan_out.listen(lambda channel, payload: heard.append(unpack("chat", payload)), lambda: None)
    await world.fan_out.subscribe(["chat:chat"])
    end = await world.until_over()
    assert [(delta.attempt, delta.index, delta.text) for delta in heard] == [
        (1, 0, "Hello"),
        (1, 1, ", world"),
    ]
    assert world.store.ids == [derived_id("complete", *KEY, "1")], "the same from whoever ends this attempt"
    assert (end.message_id, end.attempt, end.status, end.body, end.failure, end.usage) == (
        "reply", 1, "complete", "Hello, world", None, Usage(1, 2),
    )  # fmt: skip
    assert world.statuses == ["complete"] and world.model.closed == 1 and world.troubles == []
    assert world.worker._answers == {}


TOKEN = "token "


@trial([*[TOKEN, 0.02] * 500, DONE])
async def test_many_small_pieces_travel_together_the_first_at_once_and_all_of_them_in_order(world: World) -> None:
    at: list[float] = []
    heard: list[Any] = []
    loop = asyncio.get_running_loop()

    def hear(channel: str, payload: bytes) -> None:
        at.append(loop.time())
        heard.append(unpack("chat", payload))

    world.fan_out.listen(hear, lambda: None)
    await world.fan_out.subscribe(["chat:chat"])
    end = await world.until_over()
    pauses = [later - sooner for sooner, later in itertools.pairwise(at)]
    assert heard[0].text == TOKEN and at[0] == pytest.approx(world.model.calls[0]), "who waits sees that it begins"
    assert pauses[:3] == pytest.approx([0.05, 0.1, 0.2], abs=0.001) and max(pauses) < 0.301
    assert [delta.index for delta in heard] == list(range(len(heard))) and len(heard) < 45
    assert "".join(delta.text for delta in heard) == end.body == TOKEN * 500


@trial([*["x" * 60, 0.01] * 20, DONE])
async def test_what_is_worth_a_frame_does_not_wait(world: World) -> None:
    heard: list[Any] = []
    world.fan_out.listen(lambda channel, payload: heard.append(unpack("chat", payload)), lambda: None)
    await world.fan_out.subscribe(["chat:chat"])
    await world.until_over()
    assert [len(delta.text) for delta in heard] == [60, *[120] * 9, 60]


@trial(["one ", 1.0, "two ", 0.01, "three ", 5.0, "four", DONE])
async def test_what_was_not_told_yet_is_told_before_the_end(world: World) -> None:
    heard: list[Any] = []
    world.fan_out.listen(
        lambda channel, payload: heard.append(unpack("chat", payload)) if channel == "chat:chat" else None, lambda: None
    )
    await world.fan_out.subscribe(["chat:chat"])
    await asyncio.sleep(1.02)
    world.store.stop_requested = True
    await world.tell("stop", list(KEY))
    end = await world.until_over()
    assert end.status == "stopped" and "".join(delta.text for delta in heard) == end.body == "one two three "


class Slow(InProcessLiveTexts):
    """Takes 0.4 s for each delta."""

    async def append(self, *arguments: Any) -> bool:
        await asyncio.sleep(0.4)
        return await super().append(*arguments)


def test_a_stop_in_the_middle_of_the_last_delta_takes_nothing_from_it() -> None:
    async def go() -> None:
        world = World(["one ", 1.0, "two ", 0.01, "three", DONE])
        world.live = Slow(world.fan_out)
        worker = world.make("slow")
        heard: list[Any] = []
        world.fan_out.listen(
            lambda channel, payload: heard.append(unpack("chat", payload)) if channel == "chat:chat" else None,
            lambda: None,
        )
        world.fan_out.listen(worker.handle, lambda: None)
        await world.fan_out.subscribe(["chat:chat", ASSISTANTS])
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(1.2)  # the model has ended; "two " is on its way, "three" waits behind it
        world.store.stop_requested = True
        await world.tell("stop", list(KEY))
        end = await world.until_over()
        assert end.status == "stopped" and "".join(delta.text for delta in heard) == end.body == "one two three"
        running.cancel()

    run(go())


@trial(["a", 5.0, "b", 5.0, "c", DONE])
async def test_the_lease_is_renewed_and_progress_told_while_it_is_written(world: World) -> None:
    await asyncio.sleep(9)
    assert len(world.store.renewals) == 4 and world.store.progress == 2
    end = await world.until_over()
    assert end.body == "abc"


@trial(["Hello ", 60.0, "late", DONE])
async def test_a_stop_keeps_the_text_so_far_and_ends_the_request_upstream(world: World) -> None:
    await asyncio.sleep(1)
    world.store.stop_requested = True
    await world.tell("stop", list(KEY))
    began = asyncio.get_running_loop().time()
    end = await world.until_over()
    assert (end.status, end.body, end.usage, end.failure) == ("stopped", "Hello ", None, None)
    assert world.model.closed == 1 and asyncio.get_running_loop().time() - began < 1.5


@trial([60.0, "late", DONE])
async def test_a_stop_whose_word_was_lost_is_seen_at_the_next_look(world: World) -> None:
    await asyncio.sleep(1)
    world.store.stop_requested = True
    end = await world.until_over(5)
    assert (end.status, end.body) == ("stopped", "")


@trial(["never", DONE])
async def test_a_stop_before_the_claim_ends_it_and_the_model_is_not_asked(world: World) -> None:
    world.store.stop_requested = True
    end = await world.until_over()
    assert (end.status, end.body) == ("stopped", "") and world.model.calls == []


@trial([ModelFailed("rate_limited", "busy", retry=True, retry_after_s=20)], ["never", DONE])
async def test_a_stop_between_two_tries_is_the_end(world: World) -> None:
    await asyncio.sleep(1)
    world.store.stop_requested = True
    await world.tell("stop", list(KEY))
    end = await world.until_over(3)
    assert (end.status, end.body) == ("stopped", "") and len(world.model.calls) == 1


@trial(
    [ModelFailed("unavailable", "down", retry=True)],
    [ModelFailed("rate_limited", "busy", retry=True, retry_after_s=7)],
    ["x", DONE],
)
async def test_before_the_first_delta_it_is_tried_again_after_a_while(world: World) -> None:
    end = await world.until_over()
    assert (end.status, end.body) == ("complete", "x")
    first, second, third = world.model.calls
    assert (round(second - first, 2), round(third - second, 2)) == (0.5, 7.0)


@trial(*[[ModelFailed("unavailable", "down", retry=True)]] * 4)
async def test_three_tries_are_enough(world: World) -> None:
    end = await world.until_over()
    assert (end.status, end.failure, end.body) == ("failed", Failure("unavailable", "down"), "")
    assert len(world.model.calls) == 3
    assert round(world.model.calls[2] - world.model.calls[1], 2) == 1.0


@trial(["half", ModelFailed("cut", "cut", retry=True)], ["never"])
async def test_after_the_first_delta_a_cut_is_the_end_and_keeps_the_text(world: World) -> None:
    end = await world.until_over()
    assert (end.status, end.body, end.failure) == ("failed", "half", Failure("cut", "cut"))


def told(world: World) -> list[dict[str, Any]]:
    """The frames that all who hear the chat are sent, from now on."""
    frames: list[dict[str, Any]] = []

    def hear(channel: str, payload: bytes) -> None:
        signal = unpack("chat", payload)
        if isinstance(signal, Frame):
            frames.append({"at": asyncio.get_running_loop().time(), **json.loads(signal.text)})

    world.fan_out.listen(hear, lambda: None)
    return frames


@trial([*[Thinking("hm, "), 0.3] * 20, "x", DONE])
async def test_thoughts_are_told_as_progress_each_second_and_are_no_part_of_the_answer(world: World) -> None:
    frames = told(world)
    await world.fan_out.subscribe(["chat:chat"])
    end = await world.until_over()
    assert end.body == "x" and world.store.progress >= 2
    assert [(f["type"], f["message_id"], f["attempt"]) for f in frames] == [("reply.thinking", "reply", 1)] * len(
        frames
    )
    assert frames[0]["chars"] == 4 and 4 <= len(frames) <= 7 and frames[-1]["chars"] <= 80
    assert all(later["at"] - sooner["at"] >= 1 for sooner, later in itertools.pairwise(frames))


@trial([ModelFailed("rate_limited", retry=True, retry_after_s=20)], ["x", DONE])
async def test_who_waits_for_a_provider_sees_why_and_for_how_long(world: World) -> None:
    frames = told(world)
    await world.fan_out.subscribe(["chat:chat"])
    assert (await world.until_over()).status == "complete"
    [frame] = frames
    assert (frame["type"], frame["code"], frame["retry_in_ms"]) == ("reply.waiting", "rate_limited", 20_000)


@trial(*[[ModelFailed("unavailable", retry=True, loading=True)]] * 40, ["x", DONE])
async def test_a_model_that_loads_is_waited_for(world: World) -> None:
    assert (await world.until_over()).body == "x"
    assert len(world.model.calls) == 41 and world.model.calls[-1] - world.model.calls[0] == pytest.approx(80)


@trial(*[[ModelFailed("unavailable", retry=True, loading=True)]] * 200)
async def test_but_not_for_ever(world: World) -> None:
    end = await world.until_over(400)
    assert (end.status, end.failure and end.failure.code) == ("failed", "unavailable")
    assert 160 < world.model.calls[-1] - world.model.calls[0] <= 170


@trial(*[[ModelFailed("unavailable", retry=True, loading=True, retry_after_s=0.0)]] * 3, ["x", DONE])
async def test_to_be_asked_again_at_once_is_after_a_while(world: World) -> None:
    assert (await world.until_over()).body == "x"
    assert all(later - sooner > 1.99 for sooner, later in itertools.pairwise(world.model.calls))


@trial([Call({"temperature": 0.5}), ModelFailed("cut", retry=True, usage=Usage(5, 1))], [Call({}), "x", DONE])
async def test_calls_are_counted_and_what_they_took_is_added_up(world: World) -> None:
    end = await world.until_over()
    assert end.usage == Usage(6, 3)
    [written] = world.store.written
    assert (written.calls, written.parameters, written.usage, written.end) == (2, {}, Usage(6, 3), "complete")


@trial([120.0, Alive(), 120.0, "x", DONE])
async def test_a_first_word_after_four_minutes_is_waited_for_while_anything_comes(world: World) -> None:
    assert (await world.until_over(300)).body == "x" and len(world.model.calls) == 1


@trial(["x", *[Alive(), 60.0] * 20, DONE])
async def test_an_answer_may_take_a_quarter_of_an_hour_in_all(world: World) -> None:
    end = await world.until_over(1_000)
    assert (end.status, end.body, end.failure and end.failure.code) == ("failed", "x", "timeout")
    assert world.model.closed == 1 and 899 < asyncio.get_running_loop().time() - world.model.calls[0] < 905


TURNS = tuple(Turn("user" if n % 2 == 0 else "assistant", f"{n} " * 1_000) for n in range(41))


@trial([ModelFailed("context", context_tokens=4_000)], ["x", DONE])
async def test_a_context_that_is_too_small_is_asked_once_more_with_less(world: World) -> None:
    async def prompt(job: Job, turns_max: int) -> Prompt:
        return Prompt(TURNS, None, "be brief")

    world.store.prompt = prompt  # type: ignore[method-assign]
    assert (await world.until_over()).body == "x"
    first, second = (asked.turns for asked in world.model.prompts)
    assert len(first) > len(second) >= 1 and second == first[-len(second) :] and second[-1] == TURNS[-1]
    assert sum(len(turn.text) for turn in second) / 3.5 < 2_000


@trial([ModelFailed("context")], [ModelFailed("context")], ["never"])
async def test_and_if_that_is_too_much_as_well_it_is_told(world: World) -> None:
    async def prompt(job: Job, turns_max: int) -> Prompt:
        return Prompt(TURNS, None, "be brief")

    world.store.prompt = prompt  # type: ignore[method-assign]
    end = await world.until_over()
    assert (
        end.failure == Failure("context", "the model's context is too small for this chat")
        and len(world.model.calls) == 2
    )


@trial(["never"])
async def test_a_question_that_is_gone_is_not_asked(world: World) -> None:
    async def prompt(job: Job, turns_max: int) -> Prompt:
        return Prompt((), None, "be brief")

    world.store.prompt = prompt  # type: ignore[method-assign]
    end = await world.until_over()
    assert end.failure and end.failure.code == "empty" and world.model.calls == []


@trial([ModelFailed("refused", "bad request")], ["never"])
async def test_what_trying_again_cannot_help_fails_at_once(world: World) -> None:
    assert (await world.until_over()).failure == Failure("refused", "bad request")
    assert len(world.model.calls) == 1


@trial(["x", ZeroDivisionError()])
async def test_a_defect_of_the_model_is_a_failure_and_told(world: World) -> None:
    end = await world.until_over()
    assert end.failure == Failure("unavailable", "the answer could not be written") and world.troubles == ["reply"]


@trial(["x" * 60_000, "y" * 40_000, "z", DONE])
async def test_an_answer_has_a_bound(world: World) -> None:
    end = await world.until_over()
    assert (
        (end.status, len(end.body)) == ("failed", 100_000) and end.failure is not None and end.failure.code == "length"
    )


@trial(["a\x00b", "\ud83d", "\ude00", "", "\ude00", DONE])
async def test_halves_of_a_character_are_put_together_and_what_no_text_holds_is_left_out(world: World) -> None:
    end = await world.until_over()
    assert end.body == "ab😀\ufffd"


@trial(["a", 3.0, "b", DONE], ["anew", DONE])
async def test_who_lost_the_lease_says_nothing_more(world: World) -> None:
    await asyncio.sleep(1)
    world.store.attempt, world.store.holder, world.store.lease = 2, "another", 1e9
    await asyncio.sleep(20)
    assert world.store.ends == [] and world.model.closed == 1 and world.worker._answers == {}


@trial(["a", 1.0, "b", DONE])
async def test_a_delta_of_a_superseded_attempt_is_the_end_of_it(world: World) -> None:
    await asyncio.sleep(0.5)
    await world.live.append(KEY, 2, 0, "newer", "newer")
    await asyncio.sleep(5)
    assert world.store.ends == [] and world.worker._answers == {} and world.statuses == []


@trial(["x", DONE])
async def test_the_end_is_repeated_with_one_id_until_the_row_says_so(world: World) -> None:
    world.store.refuse = [Unavailable("no broker"), OutcomeUnknown("maybe")]
    end = await world.until_over()
    assert end.body == "x" and len(world.store.ids) == 3 and len(set(world.store.ids)) == 1


@trial(["x", DONE], ["x again", DONE])
async def test_an_end_that_was_accepted_is_waited_for_while_the_lease_is_kept(world: World) -> None:
    world.store.lose_ends = 1
    await asyncio.sleep(30)
    assert len(world.store.ids) == 1 and world.store.attempt == 1, "nobody takes it up meanwhile"
    world.store.finished = True
    await asyncio.sleep(1)
    assert world.worker._answers == {}


@trial(["x", DONE])
async def test_a_store_that_fails_for_a_while_is_no_end(world: World) -> None:
    world.store.fail = [Transient("db")] * 3
    end = await world.until_over()
    assert (end.status, end.body) == ("complete", "x")


@trial(["never", DONE], ["never", DONE], ["never", DONE])
async def test_a_question_that_can_not_be_read_is_a_failure_after_three_tries(world: World) -> None:
    async def prompt(job: Job, turns_max: int) -> Prompt:
        raise Transient("db")

    world.store.prompt = prompt  # type: ignore[method-assign]
    assert (await world.until_over()).failure == Failure("unavailable", "the question could not be read")


@trial(["a", 20.0, "b", DONE])
async def test_a_renewal_that_fails_tells_the_progress_the_next_time(world: World) -> None:
    await asyncio.sleep(1)
    world.store.fail = [Transient("db")]
    await asyncio.sleep(4)
    assert world.store.progress == 1


class Deaf(InProcessLiveTexts):
    async def append(self, *arguments: Any) -> bool:
        raise Transient("redis")


def test_without_anybody_to_hear_it_the_answer_is_whole() -> None:
    async def go() -> None:
        world = World(["a", "b", DONE])
        world.live = Deaf(world.fan_out)
        worker = world.make("deaf")
        running = asyncio.create_task(worker.run())
        assert (await world.until_over()).body == "ab"
        running.cancel()

    run(go())


@trial(["x", DONE])
async def test_a_question_is_taken_up_at_once_when_it_is_told_and_after_a_second_when_not(world: World) -> None:
    world.store.finished = True
    await asyncio.sleep(5.5)
    world.store.finished = False
    began = asyncio.get_running_loop().time()
    await world.tell("asked")
    await world.tell("something new")
    await world.fan_out.publish([("assistants", b"?")])
    await world.until_over(0.5)
    assert world.model.calls[0] - began < 0.01


@trial([1.0, "x", DONE])
async def test_who_drains_finishes_what_is_nearly_done(world: World) -> None:
    await asyncio.sleep(0.1)
    await world.worker.drain(5)
    assert world.store.ends[0].body == "x" and not world.store.released  # type: ignore[union-attr]
    await world.tell("asked")
    await asyncio.sleep(2)
    assert len(world.model.calls) == 1


@trial([60.0, "x", DONE])
async def test_who_drains_gives_back_what_takes_longer(world: World) -> None:
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()
    await world.worker.drain()
    assert 24.9 < asyncio.get_running_loop().time() - began < 25.2
    assert world.store.released and world.store.ends == [] and world.store.attempt == 1


@pytest.mark.parametrize(
    ("stop_at", "status", "body"),
    [(0.5, "stopped", ""), (1.5, "stopped", ""), (2.5, "stopped", "one "), (3.5, "stopped", "one two"), (4.5, "complete", "one two")],
)  # fmt: skip
def test_a_stop_at_every_moment_is_one_end_with_the_text_so_far(stop_at: float, status: str, body: str) -> None:
    """While the question is read, before the first delta, between two, behind the last one, when the end is under way."""

    async def go() -> None:
        world = World([1.0, "one ", 1.0, "two", 1.0, DONE])
        store, prompt = world.store, world.store.prompt
        store.lose_ends = 1 if stop_at > 4 else 0

        async def slow(job: Job, turns_max: int) -> Prompt:
            await asyncio.sleep(1)
            return await prompt(job, turns_max)

        store.prompt = slow  # type: ignore[method-assign]
        await world.worker.start()
        running = asyncio.create_task(world.worker.run())
        await asyncio.sleep(stop_at)
        store.stop_requested = True
        await world.tell("stop", list(KEY))
        if stop_at > 4:  # its first end was accepted and is not decided yet
            await asyncio.sleep(0.5)
            assert len(store.ids) == 1 and not store.finished
            store.finished = True
            await asyncio.sleep(2)
            assert len(store.ids) == 1 and world.statuses == [status] and world.worker._answers == {}
        else:
            end = await world.until_over()
            assert (end.status, end.body, end.attempt) == (status, body, 1)
            assert world.model.closed == len(world.model.calls) and len(set(store.ids)) == 1
        running.cancel()

    run(go())


@trial(["a", 3.0, "b", DONE])
async def test_a_stop_while_one_drains_is_heard_too(world: World) -> None:
    await asyncio.sleep(0.5)
    draining = asyncio.create_task(world.worker.drain(10))
    await asyncio.sleep(0.5)
    world.store.stop_requested = True
    await world.tell("stop", list(KEY))
    end = await world.until_over(2)
    await draining
    assert (end.status, end.body) == ("stopped", "a") and not world.store.released


@pytest.mark.parametrize("dies", ["claimed", "speaking", "ended"])
def test_after_a_death_the_next_holder_begins_anew_and_there_is_one_end(dies: str) -> None:
    async def go() -> None:
        world = World(["first ", DONE] if dies == "ended" else ["first ", 30.0], ["second", DONE])
        store: Any = world.store
        if dies == "claimed":
            [job] = await store.claim("dead", 1, 15.0, {})
            assert job.attempt == 1
            world.model.scripts.pop(0)
        else:
            if dies == "ended":
                store.refuse = [Unavailable("no broker")] * 3
            dead = asyncio.create_task(world.worker.run())
            await asyncio.sleep(0.5)
            dead.cancel()
            for task in list(world.worker._writing._tasks):
                task.cancel()
            await asyncio.sleep(0)
            assert bool(store.ids) == (dies == "ended"), "it was about to say that it is done"
            store.refuse = []
        began = asyncio.get_running_loop().time()
        other = world.make("two")
        running = asyncio.create_task(other.run())
        end = await world.until_over()
        assert (end.attempt, end.body) == (2, "second")
        assert 13 < asyncio.get_running_loop().time() - began < 18, "when the lease is over"
        running.cancel()

    run(go())


def test_a_reply_that_nobody_makes_progress_with_is_ended_by_whoever_looks() -> None:
    async def go() -> None:
        store: Any = Store()
        store.attempt = 3
        store.fail = [Transient("db")]
        store.refuse = [Unavailable("no broker")]
        expirer = asyncio.create_task(Expirer(store, store, 170.0).run())
        await asyncio.sleep(11)
        assert store.ends == [ExpireReply("reply", 3)] and set(store.ids) == {derived_id("expire", *KEY, "3")}
        expirer.cancel()

    run(go())


def test_no_more_than_its_number_are_written_at_once() -> None:
    async def go() -> None:
        world = World()
        asked: list[int] = []

        async def claim(holder: str, most: int, lease_s: float, room: Mapping[str, int]) -> list[Job]:
            asked.append(most)
            jobs = [replace(Job(*KEY, "question", 1), message_id=f"r{len(asked)}-{n}") for n in range(most)]
            world.model.scripts += [[60.0]] * most
            return jobs

        world.store.claim = claim  # type: ignore[method-assign]
        running = asyncio.create_task(world.worker.run())
        await asyncio.sleep(3)
        assert asked == [5]
        running.cancel()
        await world.worker.drain(0)

    run(go())


UNTITLED = Prompt((Turn("user", "tea?"),), "m-1", None, untitled=True)


def naming(*scripts: list[Any], prompt: Prompt = UNTITLED, titles: bool = True) -> list[NameChat]:
    """What a chat is called behind these answers."""

    async def go() -> list[NameChat]:
        world = World(*scripts)

        async def given(job: Job, turns_max: int) -> Prompt:
            return prompt

        world.store.prompt = given  # type: ignore[method-assign]
        world.worker._titles, world.worker._title_model = titles, "cheap"
        await world.worker.start()
        running = asyncio.create_task(world.worker.run())
        async with asyncio.timeout(120):
            while not world.store.finished:
                await asyncio.sleep(0.05)
        await asyncio.sleep(60)
        running.cancel()
        assert world.troubles == []
        assert [asked.model for asked in world.model.prompts] == ["m-1", "cheap"][: len(world.model.prompts)]
        return world.store.names

    return run(go())


def test_a_chat_without_a_name_gets_one_behind_its_first_whole_answer() -> None:
    assert naming(["At four.", DONE], ['"Tea at four"', DONE]) == [NameChat("Tea at four")]
    assert naming(["At four.", DONE], [ModelFailed("unavailable", retry=True)]) == [], "it stays without"
    assert naming(["At four.", DONE], [100.0, "late", DONE]) == []
    assert naming(["half", ModelFailed("cut")], ["never"]) == []
    assert naming(["At four.", DONE], ["never"], titles=False) == []
    assert naming(["At four.", DONE], ["never"], prompt=replace(UNTITLED, untitled=False)) == []


DOWN = [ModelFailed("unavailable", retry=True)]
HOUSE = Provider("house", "house", "h", price=Price(1e6, 2e6), local=True)
OUTSIDE = Provider("default", "default", "m", fallback="house", fallback_model="h-2", price=Price(1e6, 1e6))


def with_providers(*scripts: list[Any], default: Provider = OUTSIDE, house: Provider = HOUSE, **prompt: Any) -> World:
    """What became of one answer, where there are two providers."""
    world = World(*scripts)

    async def go() -> None:
        world.worker._providers = {"default": default, "house": house}
        world.worker._consent = True
        of = Prompt((Turn("user", "tea?"),), None, None, **prompt)

        async def asked(job: Job, turns_max: int) -> Prompt:
            return of

        store: Any = world.store
        store.prompt = asked
        running = asyncio.create_task(world.worker.run())
        try:
            await world.until_over()
        finally:
            running.cancel()
            await world.worker.drain(0)

    run(go())
    return world


def test_a_fallback_is_asked_by_its_own_model_and_counted_at_its_own_price() -> None:
    world = with_providers(*[DOWN] * 3, ["here", Finish(Usage(3, 2))])
    [end] = world.store.ends
    assert (
        isinstance(end, CompleteReply)
        and end.status == "complete"
        and [p.provider for p in world.model.prompts] == [""] * 3 + ["house"]
    )
    assert world.model.prompts[-1].model == "h-2"
    [written] = world.store.written
    assert (written.provider, written.model, written.cost, written.usage) == ("house", "h-2", 7.0, Usage(3, 2))


def test_what_a_failed_call_took_is_counted_at_the_price_of_who_was_asked() -> None:
    failed = ModelFailed("cut", retry=True, usage=Usage(10, 0))
    world = with_providers(*[[failed]] * 3, ["here", Finish(Usage(3, 2))])
    assert world.store.written[0].cost == 37.0


def test_a_provider_that_never_took_a_call_is_not_paid() -> None:
    world = with_providers(*[DOWN] * 3, default=Provider("default", "default", "m", price=Price(1, 1)))
    [written] = world.store.written
    assert (written.end, written.usage, written.cost) == ("unavailable", None, None)


@pytest.mark.parametrize(
    ("prompt", "default_local", "house_local", "ends"),
    [
        ({}, False, False, "complete"), ({"local_only": True}, True, True, "complete"),
        ({"local_only": True}, True, False, "unavailable"), ({"local_only": True}, False, True, "refused"),
        ({"agreed": False}, True, False, "unavailable"), ({"agreed": False}, False, False, "refused"),
    ],
)  # fmt: skip
def test_what_is_not_to_go_outside_goes_nowhere_outside(
    prompt: dict[str, Any], default_local: bool, house_local: bool, ends: str
) -> None:
    """Also where it was allowed when it was asked, and where a fallback would be outside."""
    world = with_providers(
        *[DOWN] * 3, ["here", Finish(Usage(3, 2))], default=replace(OUTSIDE, local=default_local),
        house=replace(HOUSE, local=house_local), **prompt,
    )  # fmt: skip
    [end] = world.store.ends
    assert isinstance(end, CompleteReply) and (end.failure.code if end.failure else end.status) == ends
    asked = {p.provider for p in world.model.prompts}
    assert asked <= ({""} if default_local else set()) | ({"house"} if house_local else set()) or not prompt


def test_a_deleted_assistant_says_nothing() -> None:
    async def go() -> None:
        world = World()

        async def gone(job: Job, turns_max: int) -> None:
            return None

        store: Any = world.store
        store.prompt = gone
        running = asyncio.create_task(world.worker.run())
        end = await world.until_over()
        running.cancel()
        await world.worker.drain(0)
        assert (end.status, end.body, world.model.calls) == ("stopped", "", [])

    run(go())


def test_a_model_that_its_provider_does_not_offer_is_not_asked() -> None:
    world = World()

    async def go() -> None:
        world.worker._providers = {"default": Provider("default", "default", "m", ("m", "n"))}

        async def asked(job: Job, turns_max: int) -> Prompt:
            return Prompt((Turn("user", "?"),), "x", None)

        store: Any = world.store
        store.prompt = asked
        running = asyncio.create_task(world.worker.run())
        end = await world.until_over()
        running.cancel()
        await world.worker.drain(0)
        assert end.failure is not None and end.failure.code == "not_found" and world.model.calls == []

    run(go())
