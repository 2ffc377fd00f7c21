"""Assistants that take part in a group by themselves: when people spoke, and have been silent for a while since."""

from __future__ import annotations

import asyncio

from app.application.background import Trouble, survived
from app.application.bounded import Bounded
from app.application.ports.bus import CommandBus
from app.application.ports.jobs import Jobs, Quiet
from app.domain.command import Command
from app.domain.ids import derived_id
from app.domain.replies import SpeakUp

EVERY_S = 2.0
_ASKED_MAX = 10_000


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
        self._asked: Bounded[str, None] = Bounded(_ASKED_MAX)

    async def run(self) -> None:
        while True:
            with survived("ambient", self._trouble):
                after = ("", "")
                while found := await self._jobs.quiet(self._quiet_s, after):
                    for one in found:
                        with survived("ambient", self._trouble):
                            await self._speak(one)
                    after = (found[-1].chat_id, found[-1].assistant_id)
            await asyncio.sleep(self._every_s)

    async def _speak(self, one: Quiet) -> None:
        """Once for each silence: what the rules say no to isn't asked again before something happens."""
        id_ = derived_id("speak", one.chat_id, one.assistant_id, one.message_id, str(one.head))
        if id_ not in self._asked:
            action = SpeakUp(one.message_id, one.head, one.asker_id)
            await self._bus.submit(Command(one.chat_id, one.assistant_id, id_, action))
            self._asked[id_] = None
