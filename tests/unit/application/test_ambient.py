"""Who looks for quiet groups, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from app.application.ambient import Ambient
from app.application.ports.errors import Transient
from app.application.ports.jobs import Quiet
from app.domain.command import Command
from app.domain.ids import derived_id
from app.domain.replies import SpeakUp
from tests.unit.virtual_time import run


class Store:
    """Implements what is used of Jobs and CommandBus."""

    def __init__(self) -> None:
        self.found = [
            [Quiet("c", "a", "m", "u", 7)],
            Transient("down"),
            [Quiet("c", "a", "m", "u", 7), Quiet("c", "a", "m", "u", 8)],
        ]
        self.commands: list[Command] = []

    async def quiet(self, quiet_s: float, after: tuple[str, str]) -> list[Quiet]:
        assert quiet_s == 20
        if after[0]:
            assert after == ("c", "a")
            return []
        found: Any = self.found.pop(0) if self.found else []
        if isinstance(found, Exception):
            raise found
        return list(found)

    async def submit(self, command: Command) -> None:
        self.commands.append(command)


def test_what_is_quiet_is_told_to_the_worker_once_for_each_silence() -> None:
    async def go() -> None:
        store: Any = Store()
        looking = asyncio.create_task(Ambient(store, store, 20, every_s=2).run())
        await asyncio.sleep(7)
        looking.cancel()
        assert [command.action for command in store.commands] == [SpeakUp("m", 7, "u"), SpeakUp("m", 8, "u")]
        assert {(command.chat_id, command.actor_id) for command in store.commands} == {("c", "a")}
        first, other = [command.id for command in store.commands]
        assert first == derived_id("speak", "c", "a", "m", "7") != other, "by every worker alike"

    run(go())
