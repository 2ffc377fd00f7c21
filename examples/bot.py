"""A bot: answers messages that hold @NAME, in every chat that it is added to, until Ctrl-C.

    .venv/bin/python -m examples.bot NAME [URL]

It answers a message once, also where it is cut off in between: the answer's id follows from the message's. What is asked
while it doesn't run stays unanswered: it begins with what is said from then on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import uuid

from parley_client import Client, Event, Problem, Rest


async def sign_in(rest: Rest, name: str, password: str) -> None:
    try:
        await rest.register(name, password, name.title())
    except Problem as problem:
        if problem.code != "conflict":
            raise
        await rest.sign_in(name, password)


async def main(name: str, url: str) -> None:
    rest = Rest(url)
    await sign_in(rest, name, os.environ.get("BOT_PASSWORD", "a long password"))

    def answer(event: Event) -> None:
        if event["type"] != "message.created" or event["actor_id"] == rest.user["id"]:
            return
        body, chat_id = event["message"]["body"] or "", event["chat_id"]
        if f"@{name}" in body:
            id_ = str(uuid.uuid5(uuid.UUID(event["message"]["id"]), "answer"))
            words = f"{len(body.split()) - 1} words, {len(body)} characters"
            client.send(chat_id, words, reply_to=event["message"]["id"], id_=id_)

    client = Client(rest, on_event=answer)
    async with client:
        print(f"{name} ({rest.user['id']}) listens", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8000"))
    except KeyboardInterrupt:
        pass
