"""Any OpenAI-compatible API, by Chat Completions with streaming."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
import msgspec
import openai

from app.application.ports.held import Keep
from app.application.ports.model import Delta, Finish, ModelFailed, Prompt
from app.domain.values import Usage

CONNECT_S = 10.0
READ_S = 60.0
_COUNT_MAX = 2**53
_EVENT_BYTES_MAX = 1024 * 1024


class OpenAIModel:
    """Implements Model. read_s: how long the server may be silent, before the first token and between tokens."""

    def __init__(self, *, api_key: str, base_url: str | None, model: str, read_s: float = READ_S) -> None:
        self._model = model
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,  # retries are counted by the caller, who knows whether anything was said
            timeout=httpx2.Timeout(read_s, connect=CONNECT_S),
        )

    async def start(self, keep: Keep) -> None:
        """The client connects at its first call."""

    async def stream(self, prompt: Prompt) -> AsyncIterator[Delta | Finish]:
        messages: list[Any] = []
        if prompt.instructions:
            messages.append({"role": "system", "content": prompt.instructions})
        messages += [{"role": turn.role, "content": turn.text} for turn in prompt.turns]
        finished, usage = False, None
        asked = self._client.chat.completions.with_streaming_response.create(
            model=prompt.model or self._model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        try:
            async with asked as response, aclosing(_events(response.iter_bytes())) as events:
                async for event in events:
                    if event == b"[DONE]":
                        break
                    chunk = msgspec.json.decode(event, type=dict[str, Any])
                    if chunk.get("error"):
                        raise ValueError("an error in the stream")
                    if chunk.get("usage") is not None:
                        usage = _usage(chunk["usage"]) or usage
                    for choice in (chunk.get("choices") or ())[:1]:
                        if text := _text((choice.get("delta") or {}).get("content")):
                            yield Delta(text)
                        finished = finished or bool(choice.get("finish_reason"))  # whatever a server calls it
        except openai.APIStatusError as error:
            raise _refused(error) from error
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise ModelFailed("timeout", "the model's server fell silent", retry=True) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise ModelFailed(
                "unavailable", "the model's server can't be reached or cut the stream", retry=True
            ) from error
        except (openai.OpenAIError, msgspec.MsgspecError, ValueError, TypeError, AttributeError) as error:
            raise ModelFailed("garbage", "the model's server sent what can't be read", retry=True) from error
        if not finished:
            raise ModelFailed("cut", "the stream ended before the model was done", retry=True)
        yield Finish(usage)

    async def close(self) -> None:
        await self._client.close()


async def _events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The data of each server-sent event (HTML Living Standard, 9.2). The client library's own stream makes a model of each,
    which takes four times as long as all else that is done for a token."""
    rest, data = b"", list[bytes]()
    async for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > _EVENT_BYTES_MAX:
            raise ValueError("an event without an end")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []
    if rest.startswith(b"data:"):
        data.append(rest[5:].strip())
    if data:  # some servers end with it
        yield b"\n".join(data)


def _text(content: Any) -> str:
    """Of a piece: a text, or parts of one."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _usage(told: Any) -> Usage | None:
    """What a server counted, where both are counts: some tell null, -1, NaN or halves."""
    if not isinstance(told, dict):
        return None
    counts: list[Any] = [told.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if all(type(count) is int and 0 <= count <= _COUNT_MAX for count in counts):
        return Usage(*counts)
    return None


def _refused(error: openai.APIStatusError) -> ModelFailed:
    status = error.status_code
    retry_after = error.response.headers.get("retry-after", "")
    wait_s = min(float(retry_after), 30.0) if retry_after.replace(".", "", 1).isdigit() else None
    if status == 429:
        return ModelFailed("rate_limited", "the model's server is busy", retry=True, retry_after_s=wait_s)
    if status >= 500:
        return ModelFailed("unavailable", "the model's server failed", retry=True, retry_after_s=wait_s)
    return ModelFailed("refused", f"the model's server refused the request ({status})")
