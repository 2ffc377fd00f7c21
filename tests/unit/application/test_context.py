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


@given(st.lists(st.tuples(st.text(max_size=400), st.booleans()), min_size=1, max_size=30), st.integers(0, 1_500))
def test_what_the_question_replies_to_goes_before_others_and_is_cut_where_it_is_too_long(
    said: list[tuple[str, bool]], tokens: int
) -> None:
    turns = tuple(Turn("user", text, ((n, str(n), ""),), first) for n, (text, first) in enumerate(said))
    kept = fitted(Prompt(turns, None, None), tokens).turns
    places = [turn.places for turn in kept]
    assert places == [turn.places for turn in turns if turn.places in places] and kept[-1] == turns[-1]
    assert size_of(Prompt(kept, None, None)) <= tokens or len(kept) == 1
    first = [turn for turn in turns[:-1] if turn.ahead]
    sent = [turn for turn in kept[:-1] if turn.ahead]
    assert [turn.places for turn in sent] == [turn.places for turn in first[len(first) - len(sent) :]], "nearest first"
    whole = {turn.places: turn.text for turn in turns}
    cut = [turn for turn in kept if turn.text != whole[turn.places]]
    assert all(turn.ahead and whole[turn.places].startswith(turn.text.removesuffix(" …")) for turn in cut)
    assert len(cut) <= 1 and (not cut or cut[0] == sent[0])
    others = [turn.places for turn in kept[:-1] if not turn.ahead]
    if len(sent) < len(first) or cut:
        assert size_of(Prompt(kept, None, None)) > tokens - 60, "left out only where there is no room"
    assert others == [turn.places for turn in turns[:-1] if not turn.ahead][-len(others) :] or not others


def test_an_answer_that_the_question_replies_to_is_told_where_nothing_stands_before_it() -> None:
    said = (Turn("assistant", "four", (), True), Turn("user", "why?"))
    [turn] = alternating(said)
    assert turn == Turn("user", "(Said by you before:)\n  four\n\nwhy?")
    assert alternating((Turn("assistant", "four"), said[1])) == (said[1],)


def test_tokens_are_estimated_on_the_safe_side() -> None:
    assert tokens_of("") == 4 and tokens_of("word " * 700) == 4 + 1_000 and tokens_of("字" * 100) > 80
