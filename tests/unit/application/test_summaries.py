"""What is summed up of a long chat, and how it is asked for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.adapters.assistant.demo import DemoModel
from app.application.context import size_of
from app.application.ports.jobs import Job, Part, Summary
from app.application.ports.model import Delta, Finish, ModelFailed, Prompt, Purpose, Turn
from app.application.summaries import SUMMARY_MAX, THOUGHT_MAX, is_whole, summary_prompt, to_sum_up
from app.application.titles import asked_beside
from app.domain.text import tokens_of
from app.domain.values import Usage
from tests.unit.application.test_reply import DONE, World
from tests.unit.application.test_titles import Model
from tests.unit.virtual_time import run

BEFORE = Summary("s1", 2, 9, "They planned tea.\nBen (@ben): I agree")
roles = st.sampled_from(["user", "assistant"])
turns = st.lists(st.builds(Turn, roles, st.text(max_size=400)), max_size=60)


def part(turns: list[Turn], before: Summary | None = None, has_line: bool = False) -> Part:
    return Part(tuple(turns), before, False, True, has_line)


@given(turns, st.integers(100, 20_000), st.booleans(), st.booleans())
def test_the_oldest_as_far_as_they_fit_and_the_newest_never(
    said: list[Turn], tokens: int, again: bool, has_line: bool
) -> None:
    of = part(said, BEFORE if again else None, has_line)
    count, all_ = to_sum_up(of, tokens)
    assert count <= all_ < max(1, len(said)) and (not has_line or not count or said[count - 1].role == "assistant")
    ends = [n for n in range(1, len(said)) if not has_line or said[n - 1].role == "assistant"]
    if not has_line and count < all_:
        room = tokens - tokens // 4 - (tokens_of(BEFORE.body) if again else 0)
        assert sum(tokens_of(turn.text) for turn in said[: count + 1]) > room, "the next one doesn't fit"
    if not count:
        assert all(n > len(said) - 1 or sum(tokens_of(t.text) for t in said[n:]) <= tokens // 4 or len(said) - n < 21 for n in ends)  # fmt: skip


def test_one_that_is_too_long_is_cut_and_holds_up_nothing() -> None:
    long = [Turn("user", "x" * 100_000), *(Turn("user", f"line {n}") for n in range(30))]
    assert to_sum_up(part(long), 2_000) == (1, 11)
    prompt = summary_prompt(None, "", part(long), 1, 2_000)
    assert size_of(prompt) < 2_000 and "xxx …" in prompt.turns[0].text
    huge = Summary("s1", 2, 9, "y" * 100_000)
    assert size_of(summary_prompt(None, "", part(long, huge), 1, 2_000)) < 2_000


def test_it_goes_on_from_the_one_before_and_nobody_s_words_look_like_another_s() -> None:
    said = [Turn("user", "tea?\nBen (@ben): me too"), Turn("assistant", "yes")]
    prompt = summary_prompt("cheap", "house", part(said, BEFORE), 2, 16_000)
    assert (prompt.model, prompt.provider, prompt.purpose) == ("cheap", "house", Purpose.SUMMARY)
    [turn] = prompt.turns
    assert turn.role == "user" and "summed up:\nThey planned tea.\n  Ben (@ben): I agree\n\n" in turn.text
    assert "\n\nUser: tea?\n  Ben (@ben): me too\n\nAssistant: yes\n\n" in turn.text


def test_no_more_is_read_than_is_kept() -> None:
    prompt = summary_prompt(None, "", part([Turn("user", "tea?")]), 1, 16_000)
    endless = Model(*[Delta("x" * 500)] * 1_000)
    said, usage = asyncio.run(asked_beside(endless, prompt, is_whole, THOUGHT_MAX))
    assert SUMMARY_MAX < len(said) <= SUMMARY_MAX + 500 and endless.read < 20 and usage.completion_tokens > 0


def test_the_demo_says_that_it_sums_up_nothing() -> None:
    prompt = summary_prompt(None, "", part([Turn("user", "tea?")]), 1, 16_000)
    assert "demo assistant" in asyncio.run(asked_beside(DemoModel(), prompt, is_whole, THOUGHT_MAX))[0]


LONG = Part(tuple(Turn("user", f"line {n}", ((n, str(n), ""),)) for n in range(60)), None, False, True, False)
SUMMED = ModelFailed("context", "too much", context_tokens=400)


class Summing(World):
    """Answers with a long chat above them; parts: what is still to be summed up, each time that somebody looks."""

    def __init__(self, *scripts: list[Any], parts: list[Part | None]) -> None:
        super().__init__(*scripts)
        self.kept: list[tuple[int, str]] = []
        store: Any = self.store

        async def prompt(job: Job, turns_max: int) -> Prompt:
            return Prompt((*LONG.turns[-49:], Turn("user", "and now?")), "m-1", None)

        async def part(job: Job) -> Part | None:
            return parts.pop(0) if parts else None

        async def sum_up(job: Job, part: Part, count: int, body: str) -> bool:
            self.kept.append((count, body))
            return True

        store.prompt, store.part, store.sum_up = prompt, part, sum_up

    def after(self, times: int = 1) -> None:
        async def go() -> None:
            await self.worker.start()
            running = asyncio.create_task(self.worker.run())
            for _ in range(times):
                await self.until_over()
                await asyncio.sleep(120)
                self.store.finished, self.store.ends = False, []
                self.store.lease = 0.0
            running.cancel()
            await self.worker.drain(0)

        run(go())


def test_behind_an_answer_to_a_long_chat_all_but_the_newest_is_summed_up_and_counted() -> None:
    world = Summing(["So.", DONE], ["All ", "of it.", Finish(Usage(50, 5))], parts=[LONG])
    world.after()
    assert world.kept == [(40, "All of it.")] and world.store.also == [Usage(50, 5)] and world.troubles == []
    assert world.model.prompts[1].purpose is Purpose.SUMMARY and world.model.prompts[1].model == "m-1"
    many = Summing(["So.", DONE], ["One.", DONE], ["Two.", DONE], parts=[replace(LONG, full=True), LONG])
    many.after()
    assert [body for _, body in many.kept] == ["One.", "Two."], "a part at a time"


def test_what_fails_is_counted_where_it_was_and_left_for_ten_minutes() -> None:
    silent = Summing(["So.", DONE], [100.0], parts=[LONG] * 3)
    silent.after(2)
    assert silent.kept == [] and len(silent.store.also) == 1 and silent.store.also[0].prompt_tokens > 100
    down = Summing(["So.", DONE], [ModelFailed("unavailable", "down")], ["So.", DONE], parts=[LONG] * 3)
    down.after(2)
    assert down.kept == [] and down.store.also == [] and len(down.model.calls) == 3, "the second answer leaves it"
    cut = Summing(["So.", DONE], ["Half of ", ModelFailed("length", usage=Usage(9, 9))], parts=[LONG])
    cut.after()
    assert cut.kept == [(40, "Half of")] and cut.store.also == [Usage(9, 9)]
    less = Summing(["So.", DONE], [SUMMED], ["Less.", DONE], parts=[LONG])
    less.after()
    assert less.kept[0][0] < 40 and less.kept[0][1] == "Less."


def test_nothing_is_summed_up_that_must_not_go_outside_or_where_there_is_nothing() -> None:
    for part in (None, replace(LONG, local_only=True), replace(LONG, turns=LONG.turns[:20])):
        world = Summing(["So.", DONE], ["never"], parts=[part])
        world.after()
        assert world.kept == [] and len(world.model.calls) == 1
