"""A bridge: lines of standard input go into a chat, what others say there comes out as JSON lines. For other systems to
hang on.

    tail -f app.log | .venv/bin/python -m examples.bridge NAME CHAT_ID [URL] | other-program

It starts where it stopped: the last seq that it gave out is kept in the file that BRIDGE_STATE names (else CHAT_ID.seq),
so nothing is left out; what was given out just before a crash may come again, with the same seq.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from examples.bot import sign_in
from parley_client import Client, Event, Problem, Rest


class Bridge:
    def __init__(self, rest: Rest, chat_id: str) -> None:
        self._rest = rest
        self._chat_id = chat_id
        self._place = Path(os.environ.get("BRIDGE_STATE", f"{chat_id}.seq"))
        self._seq = int(self._place.read_text()) if self._place.exists() else 0
        self.live: asyncio.Queue[Event] = asyncio.Queue()

    def _give(self, event: Event) -> None:
        if event["chat_id"] != self._chat_id or event["seq"] <= self._seq:
            return
        message: Any = event.get("message")  # none of what was said before we came, in a chat that hides that
        is_said = (
            event["type"] in ("message.created", "message.completed") and event["actor_id"] != self._rest.user["id"]
        )
        if message and is_said and message["body"] is not None and message["status"] != "pending":
            # Of an answer its end; its beginning has no text yet.
            said = {"seq": event["seq"], "sender_id": message["sender_id"], "body": message["body"]}
            print(json.dumps(said), flush=True)
        self._seq = event["seq"]
        self._place.write_text(str(self._seq))

    async def carry_out(self) -> None:
        """What was said while the bridge was away, then what is said now: in this order, one after the other."""
        while True:
            page = await self._rest.get(f"/v1/chats/{self._chat_id}/timeline?after={self._seq}&limit=500")
            for event in page["items"]:
                self._give(event)
            if not page["has_more"]:
                break
        while True:
            self._give(await self.live.get())


async def main(name: str, chat_id: str, url: str) -> None:
    rest = Rest(url)
    await sign_in(rest, name, os.environ.get("BOT_PASSWORD", "a long password"))
    try:
        await rest.get(f"/v1/chats/{chat_id}")
    except Problem as problem:
        sys.exit(f"{name} ({rest.user['id']}) is not in this chat: {problem}")
    bridge = Bridge(rest, chat_id)
    async with Client(rest, on_event=bridge.live.put_nowait) as client:
        out = asyncio.create_task(bridge.carry_out())
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip():
                await client.send(chat_id, line.rstrip("\n"))
        await client.wait_for(lambda: not client.unfinished)
        out.cancel()
    await rest.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "http://127.0.0.1:8000"))
