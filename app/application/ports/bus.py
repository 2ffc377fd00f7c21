"""The command bus: how a command gets from a door to the worker that decides it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from app.application.ports.held import Held
from app.domain.command import Command


class CommandBus(Held, Protocol):
    """Started, it keeps its connection up, for ever."""

    def submit(self, command: Command) -> asyncio.Future[None]:
        """Queue a command for its lane. Synchronous, so that nothing overtakes between reading and queueing.

        The future ends with None once the command is safe (accepted), with Unavailable where it surely isn't, with
        OutcomeUnknown where that can't be told. Commands of one chat are decided in the order of submit, but for
        those that ended with an error. Bounded: past the bound the future ends with Unavailable at once.
        """
        ...

    def why_not(self) -> str | None:
        """In words, why a command submitted now has no chance; None where it has one. Never waits."""
        ...


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What was ours, and can't be read: reason in words, body as it came."""

    reason: str
    body: bytes


@dataclass(slots=True, eq=False)
class Delivery:
    """Commands that came together, at most 500 of one lane. seen: how often they had been delivered before. dead: what
    came with them and can't be read."""

    lane: int
    commands: list[Command]
    seen: int = 0
    dead: list[DeadLetter] = field(default_factory=list)


Process = Callable[[Sequence[Delivery]], Awaitable[Sequence[Delivery]]]
"""Decides a batch, in order. Returns when all of it is committed and announced, but for the deliveries that it returns:
those are of a newer version, and left for who knows it. Raises only when cancelled."""


class CommandSource(Held, Protocol):
    """The other end of the bus: what was submitted, by lanes, each of which one worker at a time decides."""

    async def consume(self, process: Process) -> None:
        """Give `process` one batch after the other, in order within a lane; what it returned from is acked. For ever,
        until `drain`. A delivery that `process` leaves goes back with its lane, which we stay off for 5 s."""
        ...

    def why_not(self) -> str | None:
        """In words, why no deliveries can come; None where they can. Never waits."""
        ...

    def assign(self, mine: set[int]) -> None:
        """The lanes that this worker should hold, of all that live."""
        ...

    def active(self) -> set[int]:
        """The lanes of which this worker decides, as far as it knows."""
        ...

    async def drain(self) -> None:
        """Finish the batch under way, however long that takes, then give all lanes back. Never raises."""
        ...


class Workers(Protocol):
    """Which workers live, so that they share the lanes. Each raises Transient."""

    async def beat(self, worker_id: str) -> list[str]:
        """Say that this worker lives, to be said every second; ids of all that do, sorted, this one too. One that said
        nothing for 4 s, by the store's clock, is dead."""
        ...

    async def leave(self, worker_id: str) -> None:
        """It lives no more, as of now."""
        ...
