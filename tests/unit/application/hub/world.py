"""A hub on a store of dictionaries, in virtual time, with a fan-out that may lose what it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from typing import Any

from app.adapters.fan_out.in_process import InProcessFanOut, InProcessLiveTexts
from app.application.announce import Announcer
from app.application.background import Background
from app.application.hub.hub import Hub
from app.application.hub.sessions import Session
from app.domain.command import Command
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, USERS, MemoryStore, Sink, account
from tests.unit.virtual_time import run

ANNA, BEN, CARL = USERS[:3]
CHAT, OTHER = CHATS


class World:
    """A store, a hub and what tells the one of the other. lossy: what is announced is lost."""

    def __init__(self) -> None:
        self.store = MemoryStore(10)
        self.fan_out = InProcessFanOut()
        self.live = InProcessLiveTexts(self.fan_out)
        self.troubles: list[BaseException] = []
        self.background = Background(lambda what, error: self.troubles.append(error))
        self.rejected: list[str] = []
        self.hub = Hub(
            process_id="here", fan_out=self.fan_out, timeline=self.store, history=self.store, heal=self.store,  # type: ignore[arg-type]
            live=self.live, codec=CODEC, background=self.background, on_rejected=self.rejected.append,
        )  # fmt: skip
        self.fan_out.listen(self.hub.handle, self.hub.reset)
        self.announcer = Announcer(self.fan_out, self.live, CODEC.event, CODEC.assistant_silent, CODEC.reply_queued)
        self.lossy = False
        self._ids = itertools.count()

    def id(self) -> str:
        return f"id-{next(self._ids)}"

    async def do(self, *commands: tuple[str, str, Any]) -> list[Any]:
        """Decide as one batch, and announce it unless it is lost."""
        made = [Command(chat, actor, self.id(), action, "here", False, 7) for chat, actor, action in commands]
        results = self.store.batch(made)
        if not self.lossy:
            await self.announcer.announce(self.store.decided)
        return results

    async def open(self, user: str, resume: dict[str, int] | None = None, epoch: str = "epoch") -> tuple[Session, Sink]:
        sink = Sink()
        session = Session(self.id(), user, f"auth-{user}", sink)
        await self.hub.open(session, account(user), resume or {}, epoch)
        return session, sink

    async def settle(self, seconds: float = 0.5) -> None:
        await asyncio.sleep(seconds)


def with_world(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def wrapped() -> None:
        async def go() -> None:
            world = World()
            await world.hub.start()
            polling = asyncio.create_task(world.hub.run())
            await world.do((CHAT, ANNA, c.CreateChat("group", "tea", (BEN,))))
            try:
                await test(world)
                await world.settle()
                assert world.troubles == []
            finally:
                polling.cancel()
                await world.background.close()

        run(go())

    wrapped.__name__ = test.__name__
    wrapped.__doc__ = test.__doc__
    return wrapped


def frames(sink: Sink, type_: str = "") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in sink.lines]
    return [frame for frame in found if not type_ or frame["type"] == type_]


def seqs(sink: Sink, chat_id: str = CHAT) -> list[int]:
    return [f["seq"] for f in frames(sink) if "seq" in f and f.get("chat_id") == chat_id and "at" in f]


def say(text: str, chat_id: str = CHAT, actor: str = ANNA) -> tuple[str, str, Any]:
    return chat_id, actor, c.SendMessage(text)
