"""A scripted model server that speaks the OpenAI API on loopback: python -m stack.model_server --port 9000

What it does is told by the question: `script: {"words": 40, "every_ms": 20}` streams forty words. Without a script it repeats
the question. GET /log: each request with its end: "done", or "closed" when the caller went away.

| in a script | what happens |
|---|---|
| "words": n, "text": "…", "every_ms": 5 | what is said, and how fast; "stamp": true: the first word is when it was said (Unix seconds) |
| "first_ms": n | so long nothing is said first; "pings": true: but a comment each 50 ms |
| "think": n, "think_as": "reasoning_content" | so many words of thinking first; also "reasoning", or "tag": as <think>…</think> in the text |
| "finish": "stop" | the finish reason; null: none. "done": false: no [DONE]. "usage": {…}: laid over what is counted |
| "open_s": n | the stream stays open so long behind the finish reason |
| "end": "cut", "stall", "garbage", "no_finish" | in the middle of the stream: the connection closes, nothing more comes, what is no JSON; or no finish reason |
| "chunks": […] | these objects as events, in place of all that |
| "raw": ["…"] | these pieces as the stream, byte by byte as they stand (["x", 9]: nine x); "type": its content type |
| "fail": 429, "times": n, "retry_after": s | that status, so often (always); Retry-After |
| "respond": {"status", "json" or "text", "headers"}, "times": n | that answer |
| "loading": n | so often 503, as servers say while a model loads |
| "refuse": ["stream_options", "max_tokens", "temperature", "system"] | 400 to a request that has one of them, as servers say it |
| "context": n | 400 to what has more tokens (4 bytes each), as servers say it |
| "alternate": true | 400 unless user and assistant alternate, beginning with user |
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

app = FastAPI(title="scripted model server")
_log: list[dict[str, Any]] = []
_times: dict[str, int] = {}
_REFUSALS = {
    "stream_options": "Unrecognized request argument supplied: stream_options",
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "max_completion_tokens": "Unsupported parameter: 'max_completion_tokens'",
    "temperature": "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported.",
    "system": "System role not supported",
}


def _script(question: str) -> dict[str, Any]:
    _, found, text = question.rpartition("script:")
    if found:
        try:
            script, _ = json.JSONDecoder().raw_decode(text.strip())
            return dict(script)
        except ValueError:
            pass
    return {"text": f"You said: {question}"}


@app.get("/log")
async def log() -> list[dict[str, Any]]:
    return _log


@app.post("/v1/chat/completions")
async def complete(request: Request) -> Response:
    body = await request.json()
    question = next((m["content"] for m in reversed(body["messages"]) if m["role"] == "user"), "")
    script = _script(question)
    options = sorted(set(body) - {"model", "messages"})
    entry = {
        "at": time.time(), "model": body["model"], "messages": body["messages"], "options": options, "words": 0, "end": "open",
    }  # fmt: skip
    _log.append(entry)
    if (calls := getattr(app.state, "calls", None)) is not None:
        await asyncio.to_thread(_note, calls, question)
    answer = _refusal(script, body) or _failure(script, question)
    if answer is not None:
        entry["end"] = str(answer.status_code)
        return answer
    media_type = script.get("type", "text/event-stream")
    return StreamingResponse(_stream(script, entry, body["model"]), media_type=media_type)


def _note(calls: Path, question: str) -> None:
    with open(calls, "a") as file:
        file.write(json.dumps(question) + "\n")


def _error(status: int, message: str, **more: Any) -> Response:
    return JSONResponse({"error": {"message": message, **more}}, status_code=status)


def _refusal(script: dict[str, Any], body: dict[str, Any]) -> Response | None:
    """Of a server that doesn't take what was asked, whoever asks."""
    roles = [message["role"] for message in body["messages"]]
    for option in script.get("refuse", ()):
        if option in body or (option == "system" and "system" in roles):
            return _error(400, _REFUSALS[option], type="invalid_request_error", param=option)
    turns = [role for role in roles if role != "system"]
    if script.get("alternate") and turns != (["user", "assistant"] * len(turns))[: len(turns)]:
        return _error(400, "Conversation roles must alternate user/assistant/user/assistant/...")
    tokens = sum(len(message["content"].encode()) for message in body["messages"]) // 4
    if tokens > script.get("context", tokens):
        said = f"This model's maximum context length is {script['context']} tokens. However, you requested {tokens} tokens."
        return _error(400, said, type="invalid_request_error", code="context_length_exceeded")
    return None


def _failure(script: dict[str, Any], question: str) -> Response | None:
    """What is told so often, and then no more."""
    key = question.rpartition("script:")[2]
    times = script.get("loading") or script.get("times", 10**9)
    if not {"fail", "respond", "loading"} & set(script) or _times.get(key, 0) >= times:
        return None
    _times[key] = _times.get(key, 0) + 1
    if "loading" in script:
        return _error(503, "Loading model", type="unavailable_error", code=503)
    if "fail" in script:
        answer = _error(script["fail"], "scripted")
        if "retry_after" in script:
            answer.headers["Retry-After"] = str(script["retry_after"])
        return answer
    told = script["respond"]
    content = told["text"] if "text" in told else json.dumps(told.get("json"))
    return Response(
        content, told.get("status", 200), told.get("headers"), "application/json" if "json" in told else "text/html"
    )


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None, usage: dict[str, Any] | None = None) -> str:
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "scripted", "object": "chat.completion.chunk", "created": 0, "model": model, "choices": choices}
    if usage:
        body["usage"] = usage
    return f"data: {json.dumps(body)}\n\n"


async def _stream(script: dict[str, Any], entry: dict[str, Any], model: str) -> AsyncIterator[str]:
    words = script.get("text", "").split() or [f"word{n}" for n in range(script.get("words", 10))]
    end = script.get("end", "finish")
    finish = script.get("finish", "stop" if end == "finish" else None)
    try:
        if "raw" in script or "chunks" in script:
            for piece in script.get("raw") or [f"data: {json.dumps(chunk)}\n\n" for chunk in script.get("chunks", ())]:
                yield piece if isinstance(piece, str) else piece[0] * piece[1]
                await asyncio.sleep(0.01)
            entry["end"] = "done"
            return
        until = time.monotonic() + script.get("first_ms", 0) / 1000
        while (left := until - time.monotonic()) > 0:
            if script.get("pings"):
                yield ": ping\n\n"
            await asyncio.sleep(min(left, 0.05))
        yield _chunk(model, {"role": "assistant", "content": ""})
        thoughts = " ".join(f"thought{n}" for n in range(script.get("think", 0)))
        if thoughts:
            name = script.get("think_as", "reasoning_content")
            yield _chunk(model, {"content": f"<think>{thoughts}</think>\n\n"} if name == "tag" else {name: thoughts})
        if script.get("stamp"):
            words[0] = f"{time.time():.6f}"
        for word in words:
            yield _chunk(model, {"content": f"{word} "})
            entry["words"] += 1
            await asyncio.sleep(script.get("every_ms", 5) / 1000)
        if end == "stall":
            await asyncio.sleep(3600)
        if end == "garbage":
            yield "data: {this is no JSON\n\n"
        if end == "cut":
            entry["end"] = "cut"
            raise ConnectionResetError("scripted")
        if finish is not None:
            yield _chunk(model, {}, finish)
            usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7} | script.get("usage", {})
            yield _chunk(model, {}, usage=usage)
        await asyncio.sleep(script.get("open_s", 0))
        if script.get("done", True):
            yield "data: [DONE]\n\n"
        entry["end"] = "done"
    finally:
        if entry["end"] == "open":
            entry["end"] = "closed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--calls", type=Path, help="a file to which each question is appended: it outlives the server")
    given = parser.parse_args()
    app.state.calls, port = given.calls, given.port
    print(f"scripted model server is at http://127.0.0.1:{port}/v1", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical")


if __name__ == "__main__":
    main()
