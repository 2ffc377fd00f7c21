"""A bot in ten lines: says what it hears backwards. PARLEY_KEY=parley_… .venv/bin/python -m examples.ten_lines [URL]"""

import asyncio
import os
import sys

from parley_client import Client, Event, Rest


async def main(url: str) -> None:
    async with Rest(url, access_token=os.environ["PARLEY_KEY"]) as rest:
        rest.user = await rest.get("/v1/me")

        def heard(event: Event) -> None:
            if event["type"] == "message.created" and event["actor_id"] != rest.user["id"]:
                client.send(event["chat_id"], (event["message"]["body"] or "")[::-1])

        async with Client(rest, on_event=heard) as client:
            print(f"@{rest.user['username']} listens", flush=True)
            await asyncio.Event().wait()


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"))
