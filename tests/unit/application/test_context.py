"""What is sent of a chat: alternating, and as much as fits."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.application.context import alternating, fitted, size_of
from app.application.ports.model import Prompt, Turn
from app.domain.text import tokens_of

turns = st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), st.text(max_size=40)), max_size=30)


@given(turns)
def test_whatever_was_said_user_and_assistant_alternate_beginning_with_user(said: list[Turn]) -> None:
    sent = alternating(said)
    assert all(one.role != other.role for one, other in pairwise(sent)) and all(turn.text.strip() for turn in sent)
    assert not sent or sent[0].role == "user"
    begun = next((n for n, turn in enumerate(said) if turn.role == "user" and turn.text.strip()), len(said))
    assert "\n\n".join(turn.text for turn in sent) == "\n\n".join(
        turn.text for turn in said[begun:] if turn.text.strip()
    )


@given(turns.filter(bool), st.integers(0, 500))
def test_what_fits_is_the_newest_and_the_question_always(said: list[Turn], tokens: int) -> None:
    prompt = Prompt(tuple(said), None, "be brief")
    kept = fitted(prompt, tokens)
    assert kept.turns and kept.turns == prompt.turns[-len(kept.turns) :]
    assert size_of(kept) <= tokens or len(kept.turns) == 1
    if len(kept.turns) < len(said):
        assert size_of(kept) + tokens_of(said[-len(kept.turns) - 1].text) > tokens


@given(st.lists(st.tuples(st.text(max_size=40), st.booleans()), min_size=1, max_size=30), st.integers(0, 500))
def test_what_the_question_replies_to_goes_before_others(said: list[tuple[str, bool]], tokens: int) -> None:
    prompt = Prompt(
        tuple(Turn("user", text, ((n, str(n), ""),), thread) for n, (text, thread) in enumerate(said)), None, None
    )
    kept = fitted(prompt, tokens)
    assert (
        list(kept.turns) == [turn for turn in prompt.turns if turn in kept.turns] and kept.turns[-1] == prompt.turns[-1]
    )
    thread = [turn for turn in prompt.turns[:-1] if turn.first]
    sent = [turn for turn in kept.turns[:-1] if turn.first]
    assert sent == thread[len(thread) - len(sent) :], "the nearest first"
    if len(sent) < len(thread):
        alone = Prompt((*sent, prompt.turns[-1]), None, None)
        assert size_of(alone) + tokens_of(thread[-len(sent) - 1].text) > tokens, "left out only where it doesn't fit"


def test_an_answer_that_the_question_replies_to_is_told_where_nothing_stands_before_it() -> None:
    said = (Turn("assistant", "four", (), True), Turn("user", "why?"))
    [turn] = alternating(said)
    assert turn == Turn("user", "(Said by you before:)\nfour\n\nwhy?")
    assert alternating((Turn("assistant", "four"), said[1])) == (said[1],)


def test_tokens_are_estimated_on_the_safe_side() -> None:
    assert tokens_of("") == 4 and tokens_of("word " * 700) == 4 + 1_000 and tokens_of("字" * 100) > 80
