"""python -m tests.local_model: Parley with a real model, the smallest there is, on this machine. Fails where one of what it shows
isn't so: an answer streams and is counted, the chat is named, a stop ends the work, a chat that outgrew the model's context is
asked with less of it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from stack.parley import ROOT
from stack.processes import Child, free_port, wait_until
from tests.world import People, new_id, start_embedded, stop_embedded


async def tell(url: str) -> None:
    world = start_embedded({"OPENAI_BASE_URL": url, "ASSISTANT_MODEL": "smollm2", "ASSISTANT_MAX_TOKENS": "300"})
    people = People(world)
    try:
        anna = await people.make("anna")
        socket = await anna.socket()
        chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])

        async def ask(body: str, stop_after: int = 0) -> tuple[dict[str, Any], int, float]:
            """The end, how many deltas came, and seconds until the first."""
            began, deltas, first = time.monotonic(), 0, 0.0
            sent = await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": body})
            while True:
                frame = await socket.until(lambda f: f["type"] in ("reply.delta", "message.completed"), 300)
                if frame["type"] == "message.completed":
                    assert frame["message"]["reply_to"] == sent["id"]
                    return frame["message"], deltas, first
                deltas, first = deltas + 1, first or time.monotonic() - began
                if deltas == stop_after:
                    await anna.rest.post(f"/v1/chats/{chat_id}/messages/{frame['message_id']}/stop")

        end, deltas, first = await ask("What is the capital of France? Answer in one sentence.")
        print(f"first word after {first:.2f} s, {deltas} deltas, {end.get('usage')}\n  {end['body']}")
        assert end["status"] == "complete" and deltas > 1 and end["usage"]["completion_tokens"] > 1
        named = await socket.until(lambda f: f["type"] == "chat.updated", 60)
        print(f"the chat is called: {named['chat']['title']}")
        end, deltas, _ = await ask("Write a very long story about tea.", stop_after=3)
        print(f"stopped after {deltas} deltas: {end['status']}, {len(end['body'])} characters")
        assert end["status"] == "stopped"
        end, _, first = await ask("Say hello.")
        print(f"and the next answer begins after {first:.2f} s: {end['status']}")
        for _ in range(4):
            end, _, _ = await ask("tea " * 1_900 + "\nSay yes.", stop_after=1)
        end, _, first = await ask("Is tea hot? Answer in one sentence.")
        path = f"/v1/chats/{chat_id}/messages/{end['id']}/provenance"
        [attempt] = (origin := await anna.rest.get(path))["attempts"]
        sent = len(origin["context"])
        print(
            f"in a chat that outgrew it: {end['status']} after {attempt['calls']} calls, with {sent} messages\n  {end['body']}"
        )
        assert end["status"] in ("complete", "failed") and attempt["calls"] == 2, "less was sent once more"
        assert end["status"] == "complete" or end["failure"]["code"] == "length"
    finally:
        await people.close()
        stop_embedded(world)


def main() -> None:
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="parley-m-", dir="/tmp"))
    model = Child(
        "model", [sys.executable, "-m", "stack.local_model", "--port", str(port)], folder / "model.log", {}, ROOT
    )
    model.start()
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_up(url), "the model", 120)
        asyncio.run(tell(f"{url}/v1"))
    finally:
        model.stop()


def _is_up(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


if __name__ == "__main__":
    main()
