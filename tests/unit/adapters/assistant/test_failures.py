"""What providers say, read into our codes; and what of it is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.assistant.failures import SAID_MAX, cleaned, failure_of, refused_option, retry_after_s
from app.application.ports.model import REASONS


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0), ({"retry-after": "0.5"}, 0.5), ({"retry-after": "-3"}, 0.0), ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None), ({"retry-after": "soon"}, None), ({"retry-after": ""}, None), ({}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5), ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "Fri, 27 Nov 2026 08:00:30 GMT", "date": "Fri, 27 Nov 2026 08:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 27 Nov 2026 07:00:00 GMT", "date": "Fri, 27 Nov 2026 08:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 99 Nov 2026 07:00:00 GMT"}, None),
    ],
)  # fmt: skip
def test_when_to_come_again_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


@pytest.mark.parametrize(
    ("status", "payload", "code", "context"),
    [
        (400, {"error": {"message": "maximum context length is 8,192 tokens, you requested 9000"}}, "context", 8192),
        (400, {"error": {"message": "exceeds the available context size", "n_ctx": 4096}}, "context", 4096),
        (400, {"error": {"message": "The input token count (20500) exceeds the maximum number of tokens allowed (8192)."}}, "context", 8192),
        (429, {"error": {"message": "You exceeded your current quota. Please retry in 34s", "status": "RESOURCE_EXHAUSTED"}}, "rate_limited", None),
        (429, {"error": {"message": "You exceeded your current quota, check your plan", "code": "insufficient_quota"}}, "quota", None),
        (429, {"error": {"message": "Request too large for gpt-4 on tokens per min"}}, "context", None),
        (400, {"message": "prompt is too long: 209999 tokens > 200000 maximum"}, "context", None),
        (429, {"error": {"message": "Resource has been exhausted", "status": "RESOURCE_EXHAUSTED"}}, "rate_limited", None),
        (404, {"error": {"message": "model \"x\" not found, try pulling it first"}}, "not_found", None),
        (400, {"error": {"message": "The model `x` has been decommissioned and is no longer supported"}}, "not_found", None),
        (403, {"error": {"message": "Your credit balance is too low"}}, "quota", None),
        (418, {"error": "teapot"}, "refused", None),
        (500, "<html>boom</html>", "unavailable", None),
        (200, {"error": {"code": 429, "message": "slow down"}}, "rate_limited", None),
        (200, {"error": {"code": "402", "message": "pay"}}, "quota", None),
        (599, None, "unavailable", None),
    ],
)  # fmt: skip
def test_what_a_refusal_means(status: int, payload: object, code: str, context: int | None) -> None:
    failure = failure_of(status, payload)
    assert (failure.code, failure.context_tokens) == (code, context) and failure.reason


def test_a_model_that_loads_is_known_by_its_words() -> None:
    for words in ("Loading model", "Model is starting", "model mistral is currently loading", "not ready yet"):
        assert failure_of(503, {"error": {"message": words}}).loading
    assert not failure_of(503, {"error": {"message": "overloaded, try reloading later"}}).loading
    assert not failure_of(400, {"error": {"message": "Loading model"}}).loading


def test_who_asks_to_be_left_alone_for_long_is() -> None:
    failure = failure_of(429, None, {"retry-after": "5400"})
    assert not failure.retry and failure.reason == "the model's provider asks to be left alone for 90 minutes"
    assert failure_of(429, None, {"retry-after": "60"}).retry and failure_of(503, None).retry


@pytest.mark.parametrize(
    ("said", "option"),
    [
        ("Unrecognized request argument supplied: stream_options", "stream_options"),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'",
            "max_tokens",
        ),
        ("'temperature' does not support 0.2 with this model", "temperature"),
        ("System role not supported", "system"),
        ("Developer instruction is not enabled for models/gemma-3-27b-it", "system"),
        ("'messages[0].role' does not support 'system' with this model.", "system"),
        ("Only user and assistant roles are supported!", "system"),
        ("This model's maximum context length is 4096 tokens, max_tokens is 500", None),
        ("max_tokens is too large: 500. This model supports at most 300 completion tokens", None),
        ("something else is wrong", None),
    ],
)
def test_which_option_a_refusal_is_about(said: str, option: str | None) -> None:
    sent = frozenset({"stream_options", "max_tokens", "temperature", "system"})
    assert refused_option(400, {"error": {"message": said}}, sent) == option
    assert refused_option(400, {"error": {"message": said}}, frozenset()) is None, "what wasn't sent wasn't refused"
    assert refused_option(429, {"error": {"message": said}}, sent) is None


def test_what_was_said_is_shown_without_keys_without_controls_and_short() -> None:
    assert cleaned("Incorrect API key provided: sk-proj-abcd****wxyz.\x00\n Look\u202e here") == (
        "Incorrect API key provided: … Look here"
    )
    assert cleaned("Bearer abcdefgh12345 is bad; http://user:pass@host/x") == "… is bad; http://…@host/x"
    assert len(cleaned("x " * 1_000)) == SAID_MAX
    assert cleaned("model gpt-4o-mini-realtime-preview-2024-12-17 does not exist") == (
        "model gpt-4o-mini-realtime-preview-2024-12-17 does not exist"
    )
    assert cleaned("key 0123456789abcdef0123456789abcdef is wrong") == "key … is wrong"
    far = failure_of(429, None, {"retry-after": "1e300"})
    assert far.reason == "the model's provider asks to be left alone for days" and not far.retry


payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "errors", "message", "detail", "code", "type", "innererror", "n_ctx"]), inner
        )
    ),
    max_leaves=10,
)


@given(
    st.integers(200, 599),
    payloads,
    st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), st.text()),
)
def test_whatever_is_said_is_one_of_our_codes(status: int, payload: object, headers: dict[str, str]) -> None:
    failure = failure_of(status, payload, headers)
    assert failure.code in REASONS and len(failure.said) <= SAID_MAX
    assert refused_option(status, payload, frozenset({"system"})) in (None, "system")
