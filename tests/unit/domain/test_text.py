"""What a text may be."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import ParleyError
from app.domain.text import (
    called,
    check_body,
    check_text,
    clean_name,
    emoji_of,
    folded,
    is_silent,
    password_forms,
    places,
    rfc3339,
    rfc3339_or_none,
    terms,
    words,
)
from tests.unit.memory import START


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


def test_what_is_wrong_with_a_text_is_said() -> None:
    for body, reason in (("x" * 11, "body is longer than 10 characters"), (" ", "body has nothing to see in it"),
                        ("\x00", "body holds a NUL character"), ("\ud800", "body holds a lone surrogate")):  # fmt: skip
        with pytest.raises(ParleyError) as refused:
            check_body(body, 10)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    "text", ["", " \t", "\u3164", "\u2800", "\uffa0", "\u034f", "\ufe0f", "\u200b\u00ad", "\u115f\u1160", "\u180e", "\U000e0001"]
)  # fmt: skip
def test_what_leaves_nothing_to_see(text: str) -> None:
    assert is_silent(text) and not is_silent(f"{text}.") and not is_silent(f"ü{text}")


@pytest.mark.parametrize("text", ["a", "ü", "👍", "\u0301", "ข", "。", "\u2801", "\ufffd"])
def test_what_is_seen(text: str) -> None:
    assert not is_silent(text)


def test_a_name_is_trimmed_and_composed() -> None:
    assert clean_name("  E\u0301va \u3000", 3) == "Éva"
    assert clean_name("a b", 3) == "a b"
    for blank in (" ", "\u3164", "\u200b\u2800"):
        with pytest.raises(ParleyError, match="empty"):
            clean_name(blank, 100)
    with pytest.raises(ParleyError, match="display_name holds a NUL character"):
        clean_name("a\x00", 100, "display_name")


def test_a_names_length_is_that_of_what_is_stored() -> None:
    with pytest.raises(ParleyError, match="title takes at most 200 characters"):
        clean_name("\U0001d160" * 200, 200, "title")


def test_texts_are_compared_without_case_form_and_width() -> None:
    for one, other in (
        ("ΝΊΚΟΣ", "νίκος"), ("İpek", "ipek"), ("ＡＢＣ", "abc"), ("Straße", "STRASSE"), ("é", "e\u0301"), ("ﬁ", "FI"),
        ("東京", "東京"), ("①", "1"),
    ):  # fmt: skip
        assert folded(one) == folded(other), (one, other)
    for one, other in (("ข้าว", "ข่าว"), ("é", "e"), ("हिन्दी", "हनद"), ("ı", "i")):
        assert folded(one) != folded(other), (one, other)


def test_a_password_is_tried_in_the_forms_that_a_keyboard_makes() -> None:
    assert password_forms("correct horse") == ("correct horse",)
    assert password_forms("é") == ("é", "e\u0301") and password_forms("e\u0301") == ("é", "e\u0301")


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("👍", "👍"), ("👍\ufe0f", "👍"), ("👍🏽", "👍🏽"), ("ℹ", "ℹ️"), ("ℹ️", "ℹ️"), ("❤", "❤️"), ("❤️", "❤️"), ("‼", "‼️"),
        ("👨‍👩‍👧", "👨‍👩‍👧"), ("👩‍❤‍💋‍👨", "👩‍❤️‍💋‍👨"), ("🇩🇪", "🇩🇪"), ("1️⃣", "1️⃣"), ("#⃣", "#️⃣"), ("©", "©️"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"),
    ],
)  # fmt: skip
def test_one_emoji_has_one_form(value: str, form: str) -> None:
    assert emoji_of(value) == form and emoji_of(form) == form


@pytest.mark.parametrize(
    "value",
    ["", "x", "👍👍", "🇩", "🇩🇪🇫", "a⃣", "1x⃣", "12⃣", "👍x", "\u200d👍", "👍\u200d", "1", "#", "🏽", "\ufe0f", "\u2800", "👍" + "🏽" * 9, "👍" * 17],
)  # fmt: skip
def test_no_emoji_has_none(value: str) -> None:
    assert emoji_of(value) is None


@pytest.mark.parametrize(
    "text",
    [
        "@assistant", "hi @assistant, go", "@Assistant.", "(@assistant)", "@assistant: hi", "你好@assistant你好", "@assistant_",
        "@assistant-", "**@assistant**", "@assistant야", "x\n@assistant!", "```\ncode\n```\n@assistant", "Hm... @assistant",
        "a `x` @assistant `y`", "- @assistant", "@ASSISTANT's", "it`s @assistant", "[x](http://y) @assistant", "> quoted\n\n@assistant",
        "a\n    @assistant", "@assistant... go", "<b> @assistant",
        "```code``` @assistant explain", "- ```\n  x\n  ```\n@assistant", "a ` b\n\n@assistant ` c",
    ],
)  # fmt: skip
def test_a_name_as_a_word_of_its_own_calls(text: str) -> None:
    assert called(text, {"assistant"}) == ["assistant"]


@pytest.mark.parametrize(
    "text",
    [
        "assistant", "@assistants", "a@assistant", "a@assistant.org", "@assistant@mastodon.social", "@assistant:matrix.org",
        "@assistant/x", "`@assistant`", "``@assistant ` x``", "```\n@assistant\n```", "~~~\n@assistant", "````\n```\n@assistant\n````",
        "> @assistant", "  > @assistant", "    @assistant", "x\n\n\t@assistant", "https://x.y/@assistant", "[@assistant](http://x)",
        "<@assistant>", "mail.me-@assistant", "@assistant.com", "@assistant-bot", "@assistantü", "@@assistant", "foo.bar@assistant",
        "@assistant_bot", "www.x.y?q=@assistant", "mailto:x@assistant", "![@assistant](x)",
        "@assistant-ui/react", "@assistant.bot@mastodon.social", "@assistant-bot@host", "@assistant.dev:matrix.org", "@assistant.com/x",
        "- ```\n  @assistant\n  ```", "1. ~~~\n   @assistant\n   ~~~",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_calls_nobody(text: str) -> None:
    assert called(text, {"assistant"}) == []


def test_two_are_called_in_their_order_and_the_longest_name_is_meant() -> None:
    assert called("@c.d. @a @c.d @b", {"a", "c.d", "c"}) == ["c.d", "a"]
    assert called("@a_ @a-", {"a_", "a"}) == ["a_", "a"]


@pytest.mark.parametrize(
    "part", ["<", "[", "![", "a.", "@a.", "[](", "`", "``` ", "> ", "~", "(", "[a](", "@", "://", "a://", "- "]
)
def test_a_text_that_is_made_for_it_costs_no_more_than_another(part: str) -> None:
    """A few steps a character; where it were quadratic, 20,000 characters would take seconds."""
    text = part * (20_000 // len(part)) + "@a"
    began = time.process_time()
    called(text, {"assistant"})
    assert time.process_time() - began < 2


# Words that are searched for


def shown(text: str) -> list[str]:
    return ["".join(word.letters) for word in words(text)]


@pytest.mark.parametrize(
    ("text", "cut", "held"),
    [
        ("The quick-brown fox_1, fox!", ["the", "quick", "brown", "fox", "1"], {"the", "quick", "brown", "fox", "1"}),
        ("東京タワー v2", ["東京タワー", "v2"], {"東京", "京タ", "タワ", "ワー", "v2"}),
        ("水 ー", ["水", "ー"], {"水", "ー"}),
        ("ข้าวน้ำ", ["ข้าวน้ำ".replace("\u0e33", "\u0e4d\u0e32")], {"ข้า", "าว", "วน้\u0e4d", "น้\u0e4dา"}),
        ("हिन्दी दी", ["हिन्दी", "दी"], {"हिन्दी", "दी"}),
        ("e\u0301a É", ["éa", "é"], {"éa", "é"}),
        ("ｱﾊﾟｰﾄ", ["アパート"], {"アパ", "パー", "ート"}),
        ("a❤️b 1️⃣ 👍", ["a", "b", "1\u20e3"], {"a", "b", "1\u20e3"}),
        ("می\u200cخواهم soft\u00adly", ["میخواهم", "softly"], {"میخواهم", "softly"}),
        ("ﬁne Ⅻ ½", ["fine", "xii", "1", "2"], {"fine", "xii", "1", "2"}),
        ("w" * 100, ["w" * 100], {"w" * 64}),
        ("", [], set()), ("?! ❤️ \u0301", [], set()),
    ],
)  # fmt: skip
def test_words_are_cut_where_readers_see_them_end(text: str, cut: list[str], held: set[str]) -> None:
    assert shown(text) == cut and terms(text) == held


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("tea TEA steal Größe", "tea GRÖSSE", ["tea", "TEA", "Größe"]), ("tea", "tea cup", None), ("steal", "tea", None),
        ("我在東京, 東京!", "東京", ["東京", "東京"]), ("東の京", "東京", None), ("東京", "東", None), ("東 京", "東", ["東"]),
        ("京京京", "京京", ["京京", "京京"]), ("ข้าวข้าว", "ข้าว", ["ข้าว", "ข้าว"]), ("ข่าว", "ข้าว", None), ("10℃", "c", ["℃"]),
        ("ﬁne", "fine", ["ﬁne"]), ("x ﷺ", "x", ["x"]), ("東京abc", "abc 東京", ["東京", "abc"]), ("a\u2028tea", "tea", ["tea"]),
    ],
)  # fmt: skip
def test_where_words_stand(text: str, query: str, marked: list[str] | None) -> None:
    found = places(text, words(query))
    assert (None if found is None else [text[start : start + length] for start, length in found]) == marked


@given(st.text(max_size=40), st.text(max_size=12))
def test_what_stands_in_a_text_is_found_by_its_terms(text: str, query: str) -> None:
    """The index leaves out nothing that the reader would find, and each place is one of the text."""
    asked = words(query)
    found = places(text, asked)
    if found is not None and asked:
        assert {term for word in asked for term in word.terms} <= terms(text)
        assert all(start >= 0 and length > 0 and start + length <= len(text) for start, length in found)
    own = words(text)
    assert places(text, own) is not None, "each of its own words stands in it"


def test_words_of_a_text_that_is_made_for_it_cost_no_more_than_others() -> None:
    def cost(text: str, query: str) -> float:
        began = time.perf_counter()
        terms(text)
        places(text, words(query))
        return time.perf_counter() - began

    usual = max(cost("東京タワー" * 1_600, "京タ") for _ in range(3))
    for text, query in (
        ("京" * 8_000, "京京京京"), ("a\u0301" * 4_000, "a\u0301"), ("\u0e01\u0e49" * 4_000, "\u0e01\u0e49\u0e01\u0e49"), ("ﷺ" * 8_000, "ﷺ"),
        ("x" + "\u0301" * 7_999, "x"), ("漢" * 8_000, " ".join("漢" * n for n in range(2, 22))), ("x ü" * 2_600, "x ü"), ("\u200d" * 8_000, "x"), ("각" * 8_000, "각각"),
    ):  # fmt: skip
        assert min(cost(text, query) for _ in range(3)) < 25 * usual, text[:4]  # one letter may be eighteen


def test_a_message_has_a_bound_of_places_and_all_words_are_looked_for_all_the_same() -> None:
    found = places("tea " * 1_000 + "cup", words("tea cup"), most=50)
    assert found is not None and len(found) == 50
    assert places("tea " * 1_000, words("tea cup"), most=50) is None
    runs = places("漢" * 8_000, words(" ".join("漢" * n for n in range(2, 22))))
    assert runs is not None and len(runs) == 200
    assert all(len(term) <= 64 for term in terms("漢" + "\u0301" * 500 + "字" + "w" * 99))


def test_a_time_is_utc_with_milliseconds() -> None:
    assert rfc3339(START) == "2026-01-01T00:00:00.000Z"
    assert rfc3339(datetime(2026, 1, 1, 2, 0, 0, 123999, timezone(timedelta(hours=2)))) == "2026-01-01T00:00:00.123Z"
    assert rfc3339_or_none(None) is None and rfc3339_or_none(START) == rfc3339(START)
