from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.adapters.assistant.demo import DemoModel, sentences_asked
from app.adapters.assistant.openai import OpenAIModel
from app.application.ports.model import Alive, Delta, Finish, ModelFailed, Prompt, Thinking, Turn
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
    model = OpenAIModel(api_key="k", base_url=f"{server.url}/v1", model="m", silence_s=1.0)
    yield model
    await model.close()


def ask(text: str) -> Prompt:
    return Prompt((Turn("user", text),), None, "be brief")


async def collect(model: Any, prompt: Prompt) -> tuple[str, Finish]:
    text, ends = "", []
    async for piece in model.stream(prompt):
        if isinstance(piece, Delta):
            text += piece.text
        elif isinstance(piece, Finish):
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
        ('{"fail": 401}', "unauthorized", False),
        ('{"words": 2, "end": "cut"}', "unavailable", True),
        ('{"words": 2, "end": "no_finish"}', "cut", True),
        ('{"words": 2, "end": "garbage"}', "bad_answer", True),
        ('{"words": 2, "end": "stall"}', "timeout", False),
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
    async for piece in stream:
        if isinstance(piece, Delta):
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


async def test_what_a_model_refused_is_left_out_from_then_on_for_that_model_alone(server: ModelServer) -> None:
    model = OpenAIModel(api_key="k", base_url=f"{server.url}/v1", model="m", temperature=0.5, max_tokens=9)
    script = 'script: {"refuse": ["temperature", "system"], "words": 1}'
    for name in ("strict", "strict", "other"):
        text, _ = await collect(model, Prompt((Turn("user", script),), name, "be brief"))
        assert text == "word0 "
    await model.close()
    async with httpx2.AsyncClient() as http:
        log = [entry for entry in (await http.get(f"{server.url}/log")).json() if entry["model"] in ("strict", "other")]
    assert [(entry["model"], entry["end"]) for entry in log] == [
        ("strict", "400"), ("strict", "400"), ("strict", "done"), ("strict", "done"),
        ("other", "400"), ("other", "400"), ("other", "done"),
    ]  # fmt: skip
    asked = log[3]
    assert "temperature" not in asked["options"] and asked["messages"] == [
        {"role": "user", "content": f"be brief\n\n{script}"}
    ]


async def test_a_stream_that_only_lives_says_so(model: OpenAIModel) -> None:
    pieces = [
        piece async for piece in model.stream(ask('script: {"words": 1, "first_ms": 1500, "pings": true, "think": 2}'))
    ]
    assert any(isinstance(piece, Alive) for piece in pieces)
    assert [piece.text for piece in pieces if isinstance(piece, Thinking)] == ["thought0 thought1"]
