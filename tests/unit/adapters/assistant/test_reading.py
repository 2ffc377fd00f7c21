"""Streams are read the same wherever they are cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.adapters.assistant import reading
from app.adapters.assistant.reading import Event, Reading, Thoughts, events, read_usage
from app.application.ports.model import Delta, ModelFailed, Thinking
from app.domain.values import Usage


async def _pieces(cut: list[bytes]) -> AsyncIterator[bytes]:
    for piece in cut:
        yield piece


def read(cut: list[bytes]) -> list[Event]:
    async def go() -> list[Event]:
        return [event async for event in events(_pieces(cut)) if event.data]

    return asyncio.run(go())


STREAM = (
    "\ufeff: a comment\r\n\r\ndata: {\"a\": \"ü字\"}\r\n\r\nevent: error\ndata: one\ndata:two\nid: 5\n\n"
    'error: {"code": 1}\n{"by": "line"}\ndata: [DONE]'
).encode()  # fmt: skip


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_are_the_same_wherever_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read([STREAM[one:other] for one, other in pairwise(edges)]) == [
        Event("", '{"a": "ü字"}'.encode()),
        Event("error", b"one\ntwo"),
        Event("error", b'{"code": 1}'),
        Event("", b'{"by": "line"}'),
        Event("", b"[DONE]"),
    ]


def test_what_has_no_end_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BYTES_MAX", 10_000)
    for endless in (b"data: " + b"x" * 10_000, b"data: x\n" * 10_000, b"{\n" * 10_000):
        with pytest.raises(ModelFailed) as caught:
            read([endless[n : n + 1_000] for n in range(0, len(endless), 1_000)])
        assert caught.value.code == "bad_answer"


TAGGED = [
    ("<think>a</think>b", "a", "b"),
    ("  <think>a < b </think>\n\n c</think>", "a < b ", "c</think>"),
    ("<thinking>a</thinking>", "a", ""),
    ("<think>never closed </thin", "never closed </thin", ""),
    ("<thin", "", "<thin"),
    ("a <think>b</think>", "", "a <think>b</think>"),
    ("<b>a</b>", "", "<b>a</b>"),
    ("", "", ""),
]


@given(st.sampled_from(TAGGED), st.lists(st.integers(0, 40), max_size=8))
def test_thoughts_are_parted_from_the_answer_wherever_the_text_is_cut(
    case: tuple[str, str, str], cuts: list[int]
) -> None:
    text, thought, said = case
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    thoughts = Thoughts()
    parts = [thoughts.part(text[one:other]) for one, other in pairwise(edges)] + [thoughts.rest()]
    assert ("".join(part[0] for part in parts), "".join(part[1] for part in parts)) == (thought, said)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "delta", "message", "content", "usage", "error", "finish_reason", "text", "type", "refusal",
                         "tool_calls", "reasoning", "index", "code", "prompt_tokens", "thinking", "detail"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(json_values, max_size=4), st.sampled_from(["", "error", "ping"]))
def test_nothing_of_a_providers_form_raises_anything_but_a_failure_with_a_code(said: list[object], name: str) -> None:
    answer = Reading()
    try:
        for one in said:
            for piece in answer.take(Event(name, json.dumps(one).encode())):
                assert not isinstance(piece, (Delta, Thinking)) or piece.text
        _, failure = answer.end()
        assert failure is None or failure.reason
    except ModelFailed as failed:
        assert failed.code and failed.reason


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ((3, 4), Usage(3, 4)), ((0, 0), Usage(0, 0)), ((None, 4), None), ((-1, 4), None), ((3, float("nan")), None),
        ((5.5, 4), None), ((3, "4"), None), ((True, 4), None), ((3, 2**70), None),
    ],
)  # fmt: skip
def test_what_a_server_counts_is_a_count_or_nothing(told: tuple[object, object], usage: Usage | None) -> None:
    assert read_usage({"prompt_tokens": told[0], "completion_tokens": told[1]}) == usage
    assert read_usage({}) is None and read_usage([1, 2]) is None
