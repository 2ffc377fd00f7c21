from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.adapters.assistant.demo import DemoModel, sentences_asked
from app.adapters.assistant.openai import OpenAIModel
from app.adapters.assistant.openai import _usage as counted
from app.application.ports.model import Delta, Finish, ModelFailed, Prompt, Turn
from app.domain.values import Usage
from stack.pace import within
from tests.world import ModelServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("model")
    server = ModelServer(folder)
    server.start()
    yield server
    server.child.stop()


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[OpenAIModel]:
    model = OpenAIModel(api_key="k", base_url=f"{server.url}/v1", model="m", read_s=1.0)
    yield model
    await model.close()


def ask(text: str) -> Prompt:
    return Prompt((Turn("user", text),), None, "be brief")


async def collect(model: Any, prompt: Prompt) -> tuple[str, Finish]:
    text, ends = "", []
    async for piece in model.stream(prompt):
        if isinstance(piece, Delta):
            text += piece.text
        else:
            ends.append(piece)
    [end] = ends
    return text, end


async def test_an_answer_streams_and_finishes_with_its_usage(model: OpenAIModel) -> None:
    text, end = await collect(model, ask('script: {"words": 5}'))
    assert text == "word0 word1 word2 word3 word4 " and end.usage and end.usage.completion_tokens == 5


async def test_the_demo_keeps_the_same_contract_and_says_what_it_is() -> None:
    text, end = await collect(DemoModel(10_000), ask("three sentences, please"))
    assert text.count(".") >= 3 and "demo assistant" in text and end.usage
    assert [sentences_asked(q) for q in ("forty sentences", "12 sentences", "hi", "9999 sentences")] == [40, 12, 2, 2]


@pytest.mark.parametrize(
    ("script", "code", "retry"),
    [
        ('{"fail": 429, "retry_after": 2}', "rate_limited", True),
        ('{"fail": 500}', "unavailable", True),
        ('{"fail": 401}', "refused", False),
        ('{"words": 2, "end": "cut"}', "unavailable", True),
        ('{"words": 2, "end": "no_finish"}', "cut", True),
        ('{"words": 2, "end": "garbage"}', "garbage", True),
        ('{"words": 2, "end": "stall"}', "timeout", True),
    ],
)
async def test_what_goes_wrong_upstream_has_a_name(model: OpenAIModel, script: str, code: str, retry: bool) -> None:
    with pytest.raises(ModelFailed) as caught:
        await collect(model, ask(f"script: {script}"))
    assert (caught.value.code, caught.value.retry) == (code, retry)
    if "retry_after" in script:
        assert caught.value.retry_after_s == 2


async def test_closing_the_stream_ends_the_request_upstream(model: OpenAIModel, server: ModelServer) -> None:
    stream = model.stream(ask('script: {"words": 1000, "every_ms": 10}'))
    async for _ in stream:
        break
    await stream.aclose()  # type: ignore[attr-defined]
    async with httpx2.AsyncClient() as http, within(5):
        while (await http.get(f"{server.url}/log")).json()[-1]["end"] != "closed":
            await asyncio.sleep(0.05)


async def test_no_server_is_unavailable() -> None:
    model = OpenAIModel(api_key="k", base_url="http://127.0.0.1:1/v1", model="m")
    with pytest.raises(ModelFailed) as caught:
        await collect(model, ask("hi"))
    assert caught.value.code == "unavailable"
    await model.close()


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ((3, 4), Usage(3, 4)), ((0, 0), Usage(0, 0)), ((None, 4), None), ((-1, 4), None), ((3, float("nan")), None),
        ((5.5, 4), None), ((3, "4"), None), ((True, 4), None), ((3, 2**70), None),
    ],
)  # fmt: skip
def test_what_a_server_counts_is_a_count_or_nothing(told: Any, usage: Usage | None) -> None:
    assert counted({"prompt_tokens": told[0], "completion_tokens": told[1]}) == usage
    assert counted({}) is None and counted([1, 2]) is None


def said(content: Any, **more: Any) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': content}, **more}]})}\n\n"


END = said(None, finish_reason="stop") + "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ([said("one "), said("two"), END], "one two"),
        (list(said("cut anywhere ü") + END), "cut anywhere ü"),  # a character a piece
        ([(said("with CR ") + said("LF") + END).replace("\n", "\r\n")], "with CR LF"),
        ([": a comment\n\n", "event: message\nid: 1\nretry: 5\n", said("and fields"), END], "and fields"),
        (['data: {"choices": [{"delta":\ndata: {"content": "of two lines"}}]}\n\n', END], "of two lines"),
        (["data:" + said("no blank")[6:], END], "no blank"),
        (['data: {"choices": null}\n\n', 'data: {}\n\n', 'data: {"choices": []}\n\n', said("x"), END], "x"),
        (['data: {"choices": [{"delta": null}]}\n\n', 'data: {"choices": [{}]}\n\n', said("x"), END], "x"),
        ([said([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]), said(5), END], "in parts"),
        ([said("x"), said("", finish_reason="whatever it calls it")], "x"),
        ([said("x"), 'data: {"usage": [], "choices": []}\n\n', END.rstrip("\n")], "x"),
        ([said("x"), END, "data: {no JSON behind the end\n\n"], "x"),
    ],
)  # fmt: skip
async def test_a_stream_is_read_in_whatever_form_it_comes(model: OpenAIModel, raw: list[str], text: str) -> None:
    found, _ = await collect(model, ask(f"script: {json.dumps({'raw': raw})}"))
    assert found == text


@pytest.mark.parametrize(
    "raw",
    [
        [said("x"), 'data: {"error": {"message": "no"}}\n\n', END],
        [said("x"), "data: [1, 2]\n\n", END],
        [said("x"), 'data: {"choices": [1]}\n\n', END],
        [said("x"), 'data: {"choices": 5}\n\n', END],
        [said("x"), "data: " + "x" * 1_100_000],
    ],
)
async def test_what_cannot_be_read_is_garbage(model: OpenAIModel, raw: list[str]) -> None:
    with pytest.raises(ModelFailed) as caught:
        await collect(model, ask(f"script: {json.dumps({'raw': raw})}"))
    assert (caught.value.code, caught.value.retry) == ("garbage", True)


@pytest.mark.parametrize(
    "raw", [["<html>not a stream</html>"], ['{"choices": [{"message": {"content": "whole"}}]}'], []]
)
async def test_what_is_no_stream_is_cut(model: OpenAIModel, raw: list[str]) -> None:
    with pytest.raises(ModelFailed) as caught:
        await collect(model, ask(f"script: {json.dumps({'raw': raw})}"))
    assert caught.value.code == "cut"
