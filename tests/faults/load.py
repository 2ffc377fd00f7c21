"""Somebody who talks and somebody who listens, while an operator does things; judged in the end."""

from __future__ import annotations

import asyncio

from parley_client import Client
from tests.faults.checker import Logs, Sent, check
from tests.world import People, new_id


class Load:
    """Somebody who talks without a pause, and somebody who listens on the other gateway."""

    def __init__(self, chat_id: str, talker: Client, listener: Client) -> None:
        self.chat_id, self.talker, self.listener = chat_id, talker, listener
        self.sent = Sent(chat_id, talker.rest.user["id"])
        self._task = asyncio.create_task(self._talk())
        self._stop = False

    @classmethod
    async def start(cls, people: People) -> Load:
        anna, bert = await people.make(), await people.make()
        chat_id = await people.group(anna, bert)
        urls = people.world.urls
        return cls(chat_id, await anna.client(0, urls=urls), await bert.client(1, urls=urls[::-1]))

    async def _talk(self) -> None:
        while not self._stop:
            id_ = new_id()
            self.sent.ids.append(id_)
            self.talker.send(self.chat_id, "words", id_=id_).add_done_callback(
                lambda done, i=id_: self.sent.ends.__setitem__(i, "rejected" if done.exception() else "committed")  # type: ignore[misc]
            )
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._stop = True
        await self._task
        await self.talker.wait_for(lambda: not self.talker.unfinished)

    async def end(self, database_url: str, within_s: float = 30) -> None:
        self._stop = True
        await self._task
        await self.talker.wait_for(lambda: not self.talker.unfinished, within_s)
        head = self.talker.chats[self.chat_id].cursor
        await self.listener.wait_for(lambda: self.listener.chats[self.chat_id].cursor == head, 5)
        logs = Logs([self.sent], {c.rest.user["id"]: c for c in (self.talker, self.listener)})
        assert "rejected" not in self.sent.ends.values()
        assert [v for v in await check(database_url, logs) if "I5" not in v] == []
