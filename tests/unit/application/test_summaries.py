"""What is summed up of a long chat, and how it is asked for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.adapters.assistant.demo import DemoModel
from app.application.ports.jobs import Part, Summary
from app.application.ports.model import Delta, Finish, Purpose, Turn
from app.application.summaries import BODY_MAX, KEPT_TURNS, summary_of, to_sum_up
from app.domain.text import tokens_of
from app.domain.values import Usage
from tests.unit.application.test_titles import Model

BEFORE = Summary("m1", 2, 9, "They planned tea.")


def part(turns: list[Turn], before: Summary | None = None) -> Part:
    return Part(tuple(turns), before, datetime(2026, 1, 1, tzinfo=UTC), False, True)


@given(st.lists(st.text(max_size=400), max_size=60), st.integers(100, 20_000), st.booleans())
def test_the_oldest_as_far_as_they_fit_and_the_newest_never(said: list[str], tokens: int, again: bool) -> None:
    turns = [Turn("user", text) for text in said]
    before = BEFORE if again else None
    chosen = list(to_sum_up(part(turns, before), tokens))
    assert chosen == turns[: len(chosen)] and (not turns or len(chosen) < len(turns))
    assert sum(tokens_of(turn.text) for turn in chosen) <= tokens
    kept = turns[len(chosen) :]
    if len(kept) > KEPT_TURNS:
        with_next = sum(tokens_of(turn.text) for turn in turns[: len(chosen) + 1])
        assert with_next + tokens_of(BEFORE.body if again else "") > tokens - 1_000, "the next one doesn't fit"


def test_it_goes_on_from_the_one_before_and_no_more_is_read_than_is_kept() -> None:
    model = Model(Delta(" They had tea. "), Finish(Usage(7, 3)))
    turns = [Turn("user", "tea?"), Turn("assistant", "yes")]
    assert asyncio.run(summary_of(model, "cheap", "house", BEFORE, turns)) == ("They had tea.", Usage(7, 3))
    [asked] = model.asked
    assert (asked.model, asked.provider, asked.purpose) == ("cheap", "house", Purpose.SUMMARY)
    [turn] = asked.turns
    assert turn.role == "user" and "summed up:\nThey planned tea.\n\nUser: tea?\n\nAssistant: yes" in turn.text
    endless = Model(*[Delta("x" * 500)] * 1_000)
    body, usage = asyncio.run(summary_of(endless, None, "", None, turns))
    assert len(body) == BODY_MAX and endless.read < 20 and usage.completion_tokens > 0


def test_the_demo_says_that_it_sums_up_nothing() -> None:
    assert "demo assistant" in asyncio.run(summary_of(DemoModel(), None, "", None, [Turn("user", "tea?")]))[0]
