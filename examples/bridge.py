"""A bridge: lines of standard input go into a chat, what is said there comes out as JSON lines. For other systems to hang on.

tail -f app.log | .venv/bin/python examples/bridge.py NAME CHAT_ID [URL] | other-program

It starts where it stopped: the last seq that it gave out is kept beside it in CHAT_ID.seq, so nothing is given out twice
and nothing is left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from examples.bot import sign_in
from parley_client import Client, Event, Rest


async def main(name: str, chat_id: str, url: str) -> None:
    rest, place = Rest(url), Path(f"{chat_id}.seq")
    await sign_in(rest, name, os.environ.get("BOT_PASSWORD", "a long password"))
    seq = int(place.read_text()) if place.exists() else 0

    def give(event: Event) -> None:
        nonlocal seq
        if event["chat_id"] != chat_id or event["seq"] <= seq:
            return
        if event["type"] == "message.created" and event["actor_id"] != rest.user["id"]:
            message = event["message"]
            print(
                json.dumps({"seq": event["seq"], "sender_id": message["sender_id"], "body": message["body"]}),
                flush=True,
            )
        seq = event["seq"]
        place.write_text(str(seq))

    async with Client(rest, on_event=give) as client:
        head = client.chats[chat_id].cursor or 0
        while seq < head:  # what was said while the bridge was away
            page = await rest.get(f"/v1/chats/{chat_id}/timeline?after={seq}&limit=500")
            for event in page["items"]:
                give(event)
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip():
                await client.send(chat_id, line.rstrip("\n"))
        await client.wait_for(lambda: not client.unfinished)
    await rest.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "http://127.0.0.1:8000"))
