"""Who looks for quiet groups, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from app.application.ambient import Ambient
from app.application.ports.errors import Transient
from app.application.ports.jobs import Quiet
from app.domain.command import Command
from app.domain.replies import SpeakUp
from tests.unit.virtual_time import run


class Store:
    """Implements what is used of Jobs and CommandBus."""

    def __init__(self) -> None:
        self.found = [[Quiet("c", "a", "m", 7)], Transient("down"), [Quiet("c", "a", "m", 7), Quiet("c", "a", "m", 8)]]
        self.commands: list[Command] = []

    async def quiet(self, quiet_s: float) -> list[Quiet]:
        assert quiet_s == 20
        found: Any = self.found.pop(0) if self.found else []
        if isinstance(found, Exception):
            raise found
        return list(found)

    async def submit(self, command: Command) -> None:
        self.commands.append(command)


def test_what_is_quiet_is_told_to_the_worker_and_the_same_silence_by_the_same_id() -> None:
    async def go() -> None:
        store: Any = Store()
        looking = asyncio.create_task(Ambient(store, store, 20, every_s=2).run())
        await asyncio.sleep(7)
        looking.cancel()
        assert [command.action for command in store.commands] == [SpeakUp("m", 7), SpeakUp("m", 7), SpeakUp("m", 8)]
        assert {(command.chat_id, command.actor_id) for command in store.commands} == {("c", "a")}
        first, again, other = [command.id for command in store.commands]
        assert first == again != other

    run(go())
