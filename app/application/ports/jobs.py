"""Assistants' replies as jobs: the row is the queue, the attempt is the fence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.application.ports.model import Prompt


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed reply: attempt is the fence for all that its holder does. trace: of the command that asked."""

    chat_id: str
    message_id: str
    question_id: str
    attempt: int
    stop_requested: bool = False
    trace: str = ""
    asked_at: datetime | None = None


class Jobs(Protocol):
    """Leases are judged by the store's clock. Each raises Transient."""

    async def claim(self, holder: str, most: int, lease_s: float) -> list[Job]:
        """Take at most `most` unfinished replies whose lease is over, in turns by who asked: each one's first before
        anybody's second, those that are being written counted; else oldest first. Each attempt is one higher than
        before. No reply is given to two."""
        ...

    async def renew(self, holder: str, job: Job, lease_s: float, progressed: bool) -> str:
        """ "held", "stop" where a stop was asked, "lost" where the attempt is no longer its holder's,
        "busy" where the row could not be had just now."""
        ...

    async def release(self, job: Job) -> None:
        """Give an unfinished reply back at once; of a superseded attempt nothing is changed."""
        ...

    async def prompt(self, job: Job, turns_max: int) -> Prompt:
        """The question and at most so many turns with it, as they are now."""
        ...

    async def stuck(self, no_progress_s: float) -> list[Job]:
        """At most 100 unfinished replies that made no progress for so long, in no order."""
        ...
