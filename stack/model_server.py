"""A scripted model server that speaks the OpenAI API on loopback: python -m stack.model_server --port 9000

What it does is told by the question. `script: {"words": 40, "every_ms": 20}` streams forty words; also "fail": 429 (with
"times": how often, "retry_after": seconds), "end": "cut" (mid-stream), "no_finish", "stall", "garbage", "raw": what is sent as the stream, piece by piece, "stamp": true (the first word is when it
was said, Unix seconds). Without a script it repeats the question. GET /log: each request with its end: "done", or "closed" when the caller went away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

app = FastAPI(title="scripted model server")
_log: list[dict[str, Any]] = []
_failed: dict[str, int] = {}


def _script(question: str) -> dict[str, Any]:
    _, found, text = question.partition("script:")
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
    entry = {"at": time.time(), "model": body["model"], "messages": body["messages"], "words": 0, "end": "open"}
    _log.append(entry)
    failed = _failed.setdefault(question, 0)
    if "fail" in script and failed < script.get("times", 10**9):
        _failed[question] += 1
        entry["end"] = str(script["fail"])
        headers = {"Retry-After": str(script["retry_after"])} if "retry_after" in script else {}
        return JSONResponse({"error": {"message": "scripted"}}, status_code=script["fail"], headers=headers)
    return StreamingResponse(_stream(script, entry, body["model"]), media_type="text/event-stream")


def _chunk(model: str, delta: dict[str, Any], finish: str | None = None, usage: dict[str, Any] | None = None) -> str:
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "scripted", "object": "chat.completion.chunk", "created": 0, "model": model, "choices": choices}
    if usage:
        body["usage"] = usage
    return f"data: {json.dumps(body)}\n\n"


async def _stream(script: dict[str, Any], entry: dict[str, Any], model: str) -> AsyncIterator[str]:
    words = script.get("text", "").split() or [f"word{n}" for n in range(script.get("words", 10))]
    end = script.get("end", "finish")
    try:
        for piece in script.get("raw", ()):
            yield piece
            await asyncio.sleep(0.01)
        if "raw" in script:
            entry["end"] = "done"
            return
        yield _chunk(model, {"role": "assistant", "content": ""})
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
        if end == "finish":
            yield _chunk(model, {}, "stop")
            usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7} | script.get("usage", {})
            yield _chunk(model, {}, usage=usage)
        yield "data: [DONE]\n\n"
        entry["end"] = "done"
    finally:
        if entry["end"] == "open":
            entry["end"] = "closed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    port = parser.parse_args().port
    print(f"scripted model server is at http://127.0.0.1:{port}/v1", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical")


if __name__ == "__main__":
    main()
