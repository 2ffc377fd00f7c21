"""What was decided of late, so that changed rules can be asked the same: each distinct question with its newest command."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from app.application.background import Trouble, survived
from app.application.bounded import Bounded
from app.domain.command import Command
from app.domain.policy import Answer, Ask, Question, facts_of

FLUSH_S = 5.0
KEPT_MAX = 100_000
_MOST = 10_000
"""Between two flushes."""


@dataclass(frozen=True, slots=True)
class Decision:
    """facts: all that the policies were told. The command is the newest that asked it. count: how many did."""

    action: str
    facts: dict[str, Any]
    allowed: bool
    policies: tuple[str, ...]
    command: tuple[str, str, str]
    """(chat, actor, id)"""
    type: str
    at: datetime
    count: int


class DecisionLog(Protocol):
    """Each raises Transient. At most KEPT_MAX are kept, the newest."""

    async def note(self, decisions: Sequence[Decision]) -> None:
        """Counts are added to those that there are."""
        ...

    async def last(self, limit: int) -> list[Decision]:
        """Newest first."""
        ...


class Decisions:
    """Stands between the rules and the PEP."""

    def __init__(self, ask: Ask, log: DecisionLog, trouble: Trouble) -> None:
        self._ask = ask
        self._log = log
        self._trouble = trouble
        self._command: Command | None = None
        self._seen: Bounded[Question, tuple[Command, Answer, int]] = Bounded(_MOST)

    def begin(self, command: Command) -> None:
        """What is asked from now on is asked for this one."""
        self._command = command

    def ask(self, asked: Question) -> Answer:
        answer = self._ask(asked)
        if self._command is not None:
            _, _, count = self._seen.get(asked, (None, None, 0))
            self._seen[asked] = (self._command, answer, count + 1)
        return answer

    async def run(self, now: Any) -> None:
        """now: the store's time."""
        while True:
            await asyncio.sleep(FLUSH_S)
            with survived("decisions", self._trouble):
                await self.flush(now())

    async def flush(self, at: datetime) -> None:
        seen, self._seen = self._seen, Bounded(_MOST)
        if seen:
            await self._log.note(
                [
                    Decision(
                        asked.action,
                        facts_of(asked),
                        answer.allowed,
                        answer.policies,
                        command.key,
                        command.type,
                        at,
                        count,
                    )
                    for asked, (command, answer, count) in seen.items()
                ]
            )
