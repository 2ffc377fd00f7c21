"""What a text may be; what an emoji is; when an assistant is called."""

from __future__ import annotations

import pytest

from app.domain.errors import CODES, Code, ParleyError
from app.domain.ids import (
    ASSISTANT_ID,
    created_chat_id,
    derived_id,
    direct_chat_id,
    is_id,
    shard_of,
)
from app.domain.reactions import is_emoji
from app.domain.replies import is_asked
from app.domain.text import check_body, check_text, is_silent


def code_of(text: str, most: int = 10) -> str:
    try:
        assert check_body(text, most) == text
    except ParleyError as error:
        return error.code
    return ""


def test_a_body_is_a_text_with_something_to_see_and_not_too_long() -> None:
    assert code_of("x" * 10) == "" and code_of("x" * 11) == "too_large"
    assert code_of("👍" * 10) == "", "counted in code points"
    for silent in ("", " ", "\n\t", "\u200b\u200d", "\u2028", "\u3000"):
        assert code_of(silent) == "empty" and is_silent(silent)
    assert code_of("a\x00") == "invalid" and code_of("\ud800") == "invalid"
    assert code_of(" x ") == "" and not is_silent("\u200b.")
    with pytest.raises(ParleyError, match="title holds a NUL character"):
        check_text("\x00", "title")
    with pytest.raises(ParleyError, match="q holds a lone surrogate"):
        check_text("\udfff", "q")


@pytest.mark.parametrize("value", ["👍", "👍🏽", "❤️", "❤", "👨‍👩‍👧", "🇩🇪", "1️⃣", "#⃣", "‼", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"])
def test_one_emoji(value: str) -> None:
    assert is_emoji(value)


@pytest.mark.parametrize(
    "value", ["", "x", "👍👍", "🇩", "🇩🇪🇫", "a⃣", "1x⃣", "12⃣", "👍x", "‍👍", "👍‍", "1", "👍" + "🏽" * 9, "👍" * 17]
)
def test_no_emoji(value: str) -> None:
    assert not is_emoji(value)


@pytest.mark.parametrize("body", ["@assistant hi", "hi @Assistant", "(@assistant)", "@assistant, hi", "@assistant."])
def test_a_group_calls_the_assistant(body: str) -> None:
    assert is_asked("group", body, "anna")
    assert not is_asked("group", body, ASSISTANT_ID) and not is_asked("direct", body, "anna")


@pytest.mark.parametrize(
    "body", ["hi", "assistant", "a@assistant.org", "@assistants", "@assistant-x", "@assistant.de", "@@assistant"]
)
def test_a_group_does_not_call_the_assistant(body: str) -> None:
    assert not is_asked("group", body, "anna")
    assert is_asked("assistant", body, "anna") and not is_asked("assistant", body, ASSISTANT_ID)


def test_ids() -> None:
    one, two = derived_id("a", "b"), derived_id("ab")
    assert is_id(one) and one != two and one == derived_id("a", "b")
    assert not is_id(one.upper()) and not is_id(one + "\n") and not is_id(None) and not is_id("x")
    assert direct_chat_id("x", "y") == direct_chat_id("y", "x") != direct_chat_id("x", "z")
    assert created_chat_id("anna", "1") != created_chat_id("anna", "2") != created_chat_id("ben", "2")
    assert shard_of("00000000-0000-0000-0000-000000000011", 8) == 1
    assert {shard_of(derived_id(str(n)), 8) for n in range(200)} == set(range(8))


def test_derived_ids_are_the_same_in_every_version() -> None:
    assert (
        created_chat_id("a", "b") == "44045012-2301-5f42-b2dc-11959ff46fd8"
        and direct_chat_id("b", "a") == "6f14ff76-5e51-5d9b-b79a-4cabe6fcc4b2"
    )
    assert (
        derived_id("reply", "c", "q") == "bded084a-859d-5795-9dd0-2c31675931a8"
        and ASSISTANT_ID == "cccbaa0d-4212-5eac-adcc-4e1313011706"
    )


def test_what_is_wrong_with_a_text_is_said() -> None:
    for body, words in (("x" * 11, "body is longer than 10 characters"), (" ", "body has nothing to see in it"),
                        ("\x00", "body holds a NUL character"), ("\ud800", "body holds a lone surrogate")):  # fmt: skip
        with pytest.raises(ParleyError) as refused:
            check_body(body, 10)
        assert refused.value.reason == words


def test_every_code_has_its_words() -> None:
    assert set(CODES) == set(Code)
    assert ParleyError(Code.MUTED).reason == "you are muted in this chat"
    assert ParleyError("of_tomorrow").reason == "of_tomorrow", "a code of a newer version, as it was stored"
    error = ParleyError(Code.INVALID, "why", retry_after_ms=5, policies=("p",))
    assert (error.code, error.reason, error.retry_after_ms, error.policies) == ("invalid", "why", 5, ("p",))
