"""Any OpenAI-compatible API, by Chat Completions with streaming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec
import openai

from app.adapters.assistant.failures import failure_of, refused_option
from app.adapters.assistant.reading import Reading, events
from app.application.bounded import Bounded
from app.application.ports.held import Keep
from app.application.ports.model import Call, ModelFailed, Piece, Prompt

CONNECT_S = 5.0
SILENCE_S = 170.0
TAIL_S = 3.0
"""What may still be counted is waited for so long behind the finish reason."""
_REMEMBERED_MAX = 1_000
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
}
"""By their names in a request: what provenance calls them."""


class _Refused(Exception):
    """The request's option that the model won't have."""

    def __init__(self, option: str) -> None:
        super().__init__(option)
        self.option = option


class OpenAIModel:
    """Implements Model. silence_s: how long the server may be silent, before the first byte and between bytes. done_ends:
    whether `[DONE]` without a finish reason ends an answer as whole. max_tokens, temperature: what is asked for where the
    assistant says nothing else, unless the model refuses it."""

    def __init__(
        self,
        *,
        api_key: str,
        base_url: str | None,
        model: str,
        silence_s: float = SILENCE_S,
        done_ends: bool = False,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> None:
        self._model = model
        self._key = api_key if len(api_key) > 4 else ""
        self._done_ends = done_ends
        told = {"temperature": temperature, "max_output_tokens": max_tokens}
        self._parameters: dict[str, float] = {name: value for name, value in told.items() if value is not None}
        self._without: Bounded[str, frozenset[str]] = Bounded(_REMEMBERED_MAX)
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # retries are counted by the caller, who knows whether anything was said
            timeout=httpx2.Timeout(silence_s, connect=CONNECT_S),
        )

    async def start(self, keep: Keep) -> None:
        """The client connects at its first call."""

    async def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        """What a model refuses of a request is left out then, and from then on: as many calls more as there are options."""
        model = prompt.model or self._model
        while True:
            try:
                async with aclosing(self._asked(prompt, model)) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        yield piece
                return
            except _Refused as refused:
                self._without[model] = self._without.get(model, frozenset()) | {refused.option}

    async def close(self) -> None:
        await self._client.close()

    async def _asked(self, prompt: Prompt, model: str) -> AsyncIterator[Piece]:
        reading = Reading(self._done_ends)
        request, sent = self._request(prompt, model)
        yield Call({ours: request[name] for name, ours in _PARAMETERS.items() if name in request})
        try:
            async with aclosing(self._heard(request, sent, reading)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
        except ModelFailed as failed:
            failed.said = failed.said.replace(self._key, "…") if self._key else failed.said
            if not reading.finished:
                raise
        pieces_left, failure = reading.end()
        for piece in pieces_left:
            yield piece
        if failure is not None:
            raise failure

    async def _heard(self, request: dict[str, Any], sent: frozenset[str], reading: Reading) -> AsyncIterator[Piece]:
        """What comes, until it is over; behind a finish reason not for long."""
        try:
            async with (
                self._client.chat.completions.with_streaming_response.create(**request) as response,
                aclosing(events(response.iter_bytes())) as stream,
            ):
                async for event in stream:
                    for piece in reading.take(event):
                        yield piece
                    if reading.finished or reading.over:
                        break
                while not reading.over:
                    async with asyncio.timeout(TAIL_S):
                        last = await anext(stream, None)
                    if last is None:
                        return
                    for piece in reading.take(last):
                        yield piece
        except TimeoutError:
            return  # nothing more behind the finish reason
        except openai.APIStatusError as error:
            payload = _payload(error.response)
            if (option := refused_option(error.status_code, payload, sent)) is not None:
                raise _Refused(option) from error
            raise failure_of(error.status_code, payload, error.response.headers) from error
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            connecting = isinstance(error.__cause__ or error, httpx2.ConnectTimeout)
            code = "unavailable" if connecting else "timeout"
            raise ModelFailed(code, retry=connecting, usage=reading.usage, model=reading.model) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise ModelFailed(
                "unavailable", said=type(error).__name__, retry=True, usage=reading.usage, model=reading.model
            ) from error
        except (openai.OpenAIError, httpx2.InvalidURL, ValueError, TypeError) as error:
            raise ModelFailed("bad_answer", said=type(error).__name__, retry=True, usage=reading.usage) from error

    def _request(self, prompt: Prompt, model: str) -> tuple[dict[str, Any], frozenset[str]]:
        """The request, and which options are in it."""
        without = self._without.get(model, frozenset())
        messages: list[Any] = [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
        if prompt.instructions and "system" in without:
            first = messages[0]
            messages[0] = first | {"content": f"{prompt.instructions}\n\n{first['content']}"}
        elif prompt.instructions:
            messages.insert(0, {"role": "system", "content": prompt.instructions})
        options: dict[str, Any] = {"stream_options": {"include_usage": True}}
        said = self._parameters | dict(prompt.parameters)
        for name in ("temperature", "top_p"):
            if name in said:
                options[name] = said[name]
        if "max_output_tokens" in said:
            length = "max_completion_tokens" if "max_tokens" in without else "max_tokens"
            options[length] = int(said["max_output_tokens"])
        options = {name: value for name, value in options.items() if name not in without}
        sent = frozenset(options) | ({"system"} if prompt.instructions and "system" not in without else frozenset())
        return {"model": model, "messages": messages, "stream": True, **options}, sent


def _payload(response: httpx2.Response) -> Any:
    try:
        text = response.text
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return text
    except (httpx2.StreamError, httpx2.HTTPError):
        return ""
