"""What an OpenAI-compatible server streams, in whatever form it comes, read into our few words: text, thinking, an end."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec

from app.adapters.assistant.failures import failure_of, one_line
from app.application.ports.model import Alive, Delta, Finish, ModelFailed, Piece, Thinking
from app.domain.values import Usage

BYTES_MAX = 1024 * 1024
"""Of one event, or of an answer that comes whole."""
_COUNT_MAX = 2**53
_MODEL_MAX = 200
_ALIVE = Alive()

FINISHES = {
    **dict.fromkeys(
        ("stop", "stopped", "stop_sequence", "end_turn", "eos", "eos_token", "end_of_text", "complete", "completed", "done",
         "finish", "finished", "end", "normal"),
        "complete",
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_length", "model_length", "limit",
         "token_limit", "model_context_window_exceeded", "error_limit"),
        "length",
    ),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "contentfilter", "filtered", "safety", "image_safety", "recitation",
         "blocklist", "prohibited_content", "spii", "language", "error_toxic", "sensitive", "guardrail_intervened"),
        "filtered",
    ),
    **dict.fromkeys(("refusal", "refused"), "refused"),
    **dict.fromkeys(
        ("tool_calls", "tool_call", "tool_use", "tool", "function_call", "malformed_function_call", "unexpected_tool_call"),
        "empty",
    ),
    **dict.fromkeys(("error", "insufficient_system_resource", "network_error", "engine_overloaded"), "unavailable"),
}  # fmt: skip
"""What finish reasons mean, by their spelling (in small letters, `-` and blanks as `_`). `complete`, or a failure's code; what
isn't here doesn't say that the answer is whole: `cut`."""


@dataclass(frozen=True, slots=True)
class Event:
    """name: "" for an ordinary one. data: its lines, joined; empty for what only shows that the server is there."""

    name: str
    data: bytes


_NOTHING = Event("", b"")
_FIELD = re.compile(rb"(data|event|error|id|retry)(:\x20?|$)")


async def events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[Event, None]:
    """Of a stream of server-sent events (HTML Living Standard, 9.2), of JSON by lines, or of one JSON. The client library's own
    stream makes a model of each, which takes four times as long as all else that is done for a token.

    Raises ModelFailed for a page of the web, and for what has no end."""
    rest, name, data, bare, size = b"", "", list[bytes](), list[bytes](), 0
    first = True
    async for piece in pieces:
        if first:
            piece, first = piece.removeprefix(codecs.BOM_UTF8), not piece
        *lines, rest = (rest + piece).split(b"\n")
        if not lines:
            yield _NOTHING
        for line in lines:
            size = size + len(line) + 1 if data or bare else len(line)
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:") and not bare:
                data.append(line[5:].removeprefix(b" "))
            elif not line and not bare:
                if data:
                    yield Event(name, b"\n".join(data))
                    data = []
                else:
                    yield _NOTHING
                name = ""
            elif not bare and (field := _FIELD.match(line)):
                value = line[field.end() :]
                if field[1] == b"event":
                    name = value.decode("utf-8", "replace").strip()
                elif field[1] == b"error":
                    yield Event("error", value)
            elif bare or line.lstrip()[:1] in (b"{", b"[", b"<"):
                if not bare and _is_json(line):  # JSON by lines; else all of them are one
                    yield Event("", line)
                else:
                    bare.append(line)
            else:
                yield _NOTHING
        if size + len(rest) > BYTES_MAX:
            raise ModelFailed("bad_answer", retry=True)
    rest = rest.removesuffix(b"\r")
    if rest.startswith(b"data:") and not bare:
        data.append(rest[5:].strip())
    elif bare or rest.lstrip()[:1] in (b"{", b"[", b"<"):
        bare.append(rest)
    if data:  # some servers end with it
        yield Event(name, b"\n".join(data))
    if whole := b"\n".join(bare).strip():
        yield Event("", whole)


def _decoded(data: bytes) -> Any:
    """Raises ValueError, RecursionError."""
    try:
        return msgspec.json.decode(data)
    except msgspec.MsgspecError:
        return json.loads(data)  # takes NaN, and halves of a character


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


class Thoughts:
    """Parts text that begins with <think>…</think> from the answer behind it, wherever the pieces are cut."""

    _OPEN, _CLOSE = ("<think>", "<thinking>"), ("</think>", "</thinking>")

    def __init__(self) -> None:
        self._held = ""
        self._state = "before"

    def part(self, text: str) -> tuple[str, str]:
        """(what was thought, what was said)."""
        if self._state == "said":
            return "", text
        self._held += text
        if self._state == "before":
            begun = self._held.lstrip()
            tag = next((tag for tag in self._OPEN if begun.startswith(tag)), None)
            if tag is None:
                if any(tag.startswith(begun) for tag in self._OPEN):
                    return "", ""
                self._state, held, self._held = "said", self._held, ""
                return "", held
            self._state, self._held = "thinking", begun[len(tag) :]
        if self._state == "thinking":
            ends = [(at, tag) for tag in self._CLOSE if (at := self._held.find(tag)) >= 0]
            if not ends:
                keep = next(
                    (
                        n
                        for n in range(min(len(self._held), len(self._CLOSE[1]) - 1), 0, -1)
                        if self._may_close(self._held[-n:])
                    ),
                    0,
                )
                thought, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
                return thought, ""
            at, tag = min(ends)
            thought, self._held, self._state = self._held[:at], self._held[at + len(tag) :], "behind"
        else:
            thought = ""
        said, self._held = self._held.lstrip(), ""
        if said:
            self._state = "said"
        return thought, said

    def rest(self) -> tuple[str, str]:
        """What was held back in case that it was a mark."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "thinking" else ("", held)

    def _may_close(self, tail: str) -> bool:
        return any(tag.startswith(tail) for tag in self._CLOSE)


class Reading:
    """One answer as it comes. done_ends: whether the stream's own end, without a finish reason, means that it is whole."""

    def __init__(self, done_ends: bool = False) -> None:
        self.usage: Usage | None = None
        self.model = ""
        self.over = False
        self._done_ends = done_ends
        self._thoughts = Thoughts()
        self._finish: str | None = None
        self._visible = self._refused = self._called = False

    @property
    def finished(self) -> bool:
        """The model said how it ended; what comes behind that is only counted."""
        return self._finish is not None

    def take(self, event: Event) -> list[Piece]:
        """Raises ModelFailed."""
        data = event.data
        if not data:
            return [_ALIVE]
        if data.strip() == b"[DONE]":
            self.over = True
            return [_ALIVE]
        try:
            chunk = _decoded(data)
        except (ValueError, RecursionError) as error:
            if event.name == "error":
                raise self._failed(failure_of(200, data.decode("utf-8", "replace"))) from error
            page = data[:1] == b"<"
            reason = "the model's provider sent a web page: is the address the API's?" if page else ""
            raise self._failed(ModelFailed("bad_answer", reason, retry=not page)) from error
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            raise self._failed(ModelFailed("bad_answer", retry=True))
        if not self.model and isinstance(chunk.get("model"), str):
            self.model = one_line(chunk["model"])[:_MODEL_MAX]
        if chunk.get("usage") is not None:
            self.usage = read_usage(chunk["usage"]) or self.usage
        if event.name == "error" or _is_error(chunk):
            raise self._failed(failure_of(200, chunk))
        choices = chunk.get("choices")
        if choices is None or choices == []:
            return [_ALIVE]
        choice = choices[0] if isinstance(choices, list) else None
        if not isinstance(choice, dict):
            raise self._failed(ModelFailed("bad_answer", retry=True))
        if choice.get("error"):
            raise self._failed(failure_of(200, choice))
        return self._choice(choice) or [_ALIVE]

    def _choice(self, choice: dict[str, Any]) -> list[Piece]:
        if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"].strip():
            self._finish = choice["finish_reason"]
        delta = next((choice[name] for name in ("delta", "message") if choice.get(name) is not None), None)
        if delta is None:
            delta = {"content": choice.get("text")}
        elif isinstance(delta, str):
            delta = {"content": delta}
        elif not isinstance(delta, dict):
            raise self._failed(ModelFailed("bad_answer", retry=True))
        thought, said = self._parts(delta.get("content"))
        for name in ("reasoning_content", "reasoning", "thinking"):
            if alone := self._text(delta.get(name)):
                thought = alone + thought
                break
        if refusal := self._text(delta.get("refusal")):
            self._refused, said = True, said + refusal
        self._called = self._called or bool(delta.get("tool_calls") or delta.get("function_call"))
        return self._pieces(thought, said)

    def _pieces(self, thought: str, said: str) -> list[Piece]:
        pieces: list[Piece] = []
        if thought:
            pieces.append(Thinking(thought))
        if said:
            self._visible = self._visible or bool(said.strip())
            pieces.append(Delta(said))
        return pieces

    def _parts(self, content: Any) -> tuple[str, str]:
        """(thought, said) of a content: a text, a number, or parts."""
        if isinstance(content, str):
            return self._thoughts.part(content)
        if content is None:
            return "", ""
        if isinstance(content, (int, float)) and not isinstance(content, bool):
            return self._thoughts.part(str(content))
        thought = said = ""
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, dict):
                if part.get("type") in ("thinking", "reasoning"):
                    thought += self._text(part)
                    continue
                if part.get("type") == "refusal":
                    self._refused = True
                part = self._text(part)
            elif not isinstance(part, str):
                raise self._failed(ModelFailed("bad_answer", retry=True))
            more_thought, more_said = self._thoughts.part(part)
            thought, said = thought + more_thought, said + more_said
        return thought, said

    def _text(self, told: Any) -> str:
        """Of a text, or of an object or a list that holds one."""
        if isinstance(told, str):
            return told
        if isinstance(told, list):
            return "".join(self._text(part) for part in told)
        if isinstance(told, dict):
            for inner in ("text", "content", "thinking", "summary", "refusal"):
                if told.get(inner) is not None:
                    return self._text(told[inner])
        return ""

    def end(self) -> tuple[list[Piece], ModelFailed | None]:
        """The last pieces, a Finish among them; or why the answer isn't whole."""
        pieces = self._pieces(*self._thoughts.rest())
        code = "cut"
        if self._finish is not None:
            spelling = (
                re.sub(r"[\s\-]+", "_", self._finish.strip().lower()).rpartition(".")[2].removeprefix("finish_reason_")
            )
            code = FINISHES.get(spelling, "cut")
        elif self.over and self._done_ends:
            code = "complete"
        if code == "complete" and self._refused:
            code = "refused"
        if code == "complete" and not self._visible:
            code = "empty"
        if code == "complete":
            return [*pieces, Finish(self.usage, self.model)], None
        reason = "the model declined to answer" if code == "refused" else ""
        if code == "empty" and self._called:
            reason = "the model asked for a tool, and there is none here"
        return pieces, self._failed(ModelFailed(code, reason, retry=code in ("cut", "unavailable")))

    def _failed(self, error: ModelFailed) -> ModelFailed:
        error.usage, error.model = error.usage or self.usage, self.model
        return error


def _is_error(chunk: dict[str, Any]) -> bool:
    """Of an object within a stream, or in its place: what is said of a failure, by no choice."""
    if chunk.get("error"):
        return True
    if chunk.get("choices") is not None:
        return False
    if chunk.get("object") == "error" or chunk.get("type") == "error":
        return True
    told = chunk.get("detail") or chunk.get("message")
    return bool(told) and "usage" not in chunk and "id" not in chunk


def read_usage(told: Any) -> Usage | None:
    """What a server counted, where both are counts: some tell null, -1, NaN or halves."""
    if not isinstance(told, dict):
        return None
    counts: list[Any] = [told.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if all(type(count) is int and 0 <= count <= _COUNT_MAX for count in counts):
        return Usage(*counts)
    return None
