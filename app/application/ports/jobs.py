"""Assistants' replies as jobs: the row is the queue, the attempt is the fence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.application.ports.model import Place, Prompt, Turn
from app.domain.ids import ASSISTANT_ID
from app.domain.state import Spent
from app.domain.values import Usage


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed reply: attempt is the fence for all that its holder does. trace: of the command that asked. assistant_id,
    provider: who writes it, and whom it comes from, "" for the default."""

    chat_id: str
    message_id: str
    question_id: str
    attempt: int
    stop_requested: bool = False
    trace: str = ""
    asked_at: datetime | None = None
    assistant_id: str = ASSISTANT_ID
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of an attempt, as its holder saw it.

    end: complete, stopped, or the failure's code. said: what the provider said of a failure, cleaned. calls: of the model.
    first_token_ms: after the attempt began; None where nothing was said. context: the messages that were sent, in order.
    usage: estimated where nobody counted it. cost: of it, None without a price. summary_id: of the summary that was sent, ""
    for none.
    """

    end: str
    said: str
    calls: int
    first_token_ms: int | None
    provider: str
    model: str
    parameters: Mapping[str, float]
    context: tuple[Place, ...]
    usage: Usage | None
    cost: float | None = None
    summary_id: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said from one seq through another, in a model's words."""

    id: str
    from_seq: int
    to_seq: int
    body: str


@dataclass(frozen=True, slots=True)
class Part:
    """What no summary covers up to the question, at most 200 turns, oldest first. before: the summary that it goes on from.
    local_only, agreed: as a prompt has them. has_line: of an assistant's own chat. full: there may be more behind it."""

    turns: tuple[Turn, ...]
    before: Summary | None
    local_only: bool
    agreed: bool
    has_line: bool
    full: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """written: None while it is being written, and for ever where its holder died."""

    attempt: int
    started_at: datetime
    ended_at: datetime | None
    written: Written | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an answer came about. attempts: in order; none of replies that were written before this was kept. policies: ids of
    those that let it be asked. summary: that was sent the last time, as long as it is kept. remarks: to its question."""

    assistant_id: str
    version: int
    attempts: tuple[Attempt, ...]
    policies: tuple[str, ...]
    summary: Summary | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DayOfUse:
    """day: as YYYY-MM-DD, in UTC. replies: asked for, however they ended. cost: of those with a price; None for none."""

    day: str
    assistant_id: str
    replies: int
    input_tokens: int
    output_tokens: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for in the hour and the day (UTC) of `now`, and their own quotas by name."""

    now: datetime
    spent: Spent
    quotas: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Quiet:
    """A group where this assistant might speak by itself. message_id: the newest message, asker_id's. head: the chat's."""

    chat_id: str
    assistant_id: str
    message_id: str
    asker_id: str
    head: int


class Provenances(Protocol):
    """How answers came about, and what they took. Each raises Transient."""

    async def used(self, user_id: str | None, since: datetime, until: datetime) -> list[DayOfUse]:
        """By this person, or by all: what was asked from `since` on, before `until`; newest day first."""
        ...

    async def asked(self, user_id: str) -> Asked:
        """As quotas count it."""
        ...

    async def of(self, chat_id: str, message_id: str) -> Provenance | None:
        """None for what is no reply."""
        ...


class Jobs(Protocol):
    """Leases are judged by the store's clock. Each raises Transient."""

    async def claim(self, holder: str, most: int, lease_s: float, room: Mapping[str, int] | None = None) -> list[Job]:
        """Take at most `most` unfinished replies whose lease is over, in turns by who asked: each one's first before
        anybody's second, those that are being written counted; else oldest first. Each attempt is one higher than
        before. No reply is given to two. room: how many more of a provider, of those that have a bound."""
        ...

    async def renew(self, holder: str, job: Job, lease_s: float, progressed: bool) -> str:
        """ "held", "stop" where a stop was asked, "lost" where the attempt is no longer its holder's,
        "busy" where the row could not be had just now."""
        ...

    async def release(self, job: Job) -> None:
        """Give an unfinished reply back at once; of a superseded attempt nothing is changed."""
        ...

    async def prompt(self, job: Job, turns_max: int) -> Prompt | None:
        """The question and at most so many turns with it, as they are now; by the assistant as it was when it was asked. None
        where that one is no more."""
        ...

    async def part(self, job: Job) -> Part | None:
        """What may be summed up for later answers; None where that isn't done: in forks, and where it is switched off."""
        ...

    async def sum_up(self, job: Job, part: Part, count: int, body: str) -> bool:
        """Keep the summary of the part's first turns, and of what came before them; not where any of it changed meanwhile."""
        ...

    async def note(self, job: Job, written: Written) -> None:
        """Keep what became of this attempt, beside its end."""
        ...

    async def also_took(self, job: Job, usage: Usage, cost: float | None) -> None:
        """What was asked of the model beside this attempt's answer."""
        ...

    async def quiet(self, quiet_s: float, after: tuple[str, str] = ("", "")) -> list[Quiet]:
        """At most 200, by chat and assistant, behind that one: groups with an ambient assistant where a person spoke last, and
        nothing happened for so long; and not for more than ten minutes longer."""
        ...

    async def stuck(self, no_progress_s: float) -> list[Job]:
        """At most 100 unfinished replies that made no progress for so long, in no order."""
        ...
