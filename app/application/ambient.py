"""Assistants that take part in a group by themselves: when people spoke, and have been silent for a while since."""

from __future__ import annotations

import asyncio

from app.application.background import Trouble, survived
from app.application.ports.bus import CommandBus
from app.application.ports.jobs import Jobs
from app.domain.command import Command
from app.domain.ids import derived_id
from app.domain.replies import SpeakUp

EVERY_S = 2.0


class Ambient:
    """Every worker looks; the policies decide, where the chat is written, and one answer changes what the others ask about."""

    def __init__(
        self,
        jobs: Jobs,
        bus: CommandBus,
        quiet_s: float,
        every_s: float = EVERY_S,
        trouble: Trouble = lambda what, error: None,
    ) -> None:
        self._jobs, self._bus, self._quiet_s, self._every_s, self._trouble = jobs, bus, quiet_s, every_s, trouble

    async def run(self) -> None:
        while True:
            with survived("ambient", self._trouble):
                for one in await self._jobs.quiet(self._quiet_s):
                    id_ = derived_id("speak", one.chat_id, one.assistant_id, one.message_id, str(one.head))
                    action = SpeakUp(one.message_id, one.head)
                    await self._bus.submit(Command(one.chat_id, one.assistant_id, id_, action))
            await asyncio.sleep(self._every_s)
