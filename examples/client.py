"""A client: two people in a chat. .venv/bin/python -m examples.client [URL]

What is sent is kept and sent again until it is over, with the same id: killing the service in between loses and doubles
nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import sys

from parley_client import Client, Event, Rest


async def main(url: str) -> None:
    ann, ben = Rest(url), Rest(url)
    for person, name in ((ann, "Ann"), (ben, "Ben")):
        await person.register(f"{name.lower()}-{secrets.token_hex(4)}", "a long password", name)
    heard = asyncio.Event()

    def show(event: Event) -> None:
        if event["type"] == "message.created":
            print(f"{event['seq']}: {event['message']['body']}")
        elif event["type"] == "message.pinned":
            print(f"{event['seq']}: pinned")
            heard.set()

    async with Client(ann) as at_ann, Client(ben, on_event=show):
        chat = await ann.post("/v1/chats", {"kind": "group", "title": "tea", "member_ids": [ben.user["id"]]})
        sent = await at_ann.send(chat["id"], "hello, Ben")
        await at_ann.command("message.pin", chat["id"], message_id=sent["message"]["id"])
        await asyncio.wait_for(heard.wait(), 10)
    for person in (ann, ben):
        await person.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"))
