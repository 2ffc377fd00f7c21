"""The gateway's verb: a command from a socket, or from a caller that waits, goes onto the bus, and its end comes back.

Between reading a request and queueing its command nothing is awaited, so nothing overtakes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.application.hub.hub import Hub
from app.application.hub.sessions import Session
from app.application.ports.bus import CommandBus
from app.application.ports.errors import OutcomeUnknown, Transient, Unavailable
from app.application.ports.history import History
from app.application.ports.limits import Limiter
from app.application.ports.socket import Codec
from app.domain.command import Action, Command
from app.domain.decide import cost_of
from app.domain.errors import Code, ParleyError, rate_limited, unavailable
from app.domain.members import STRANGERS_MAX
from app.domain.messages import SendMessage
from app.domain.replies import SteerReply
from app.domain.scopes import Scopes
from app.domain.state import Outcome
from app.domain.text import check_body

OUTCOME_WAIT_S = 10.0
LOOK_UP_S = 1.0
_LOOK_AT_LEAST_S = 0.2
ADD_AGAIN_MS = 3_600_000 // STRANGERS_MAX
"""Who may not be added by strangers any more may be again, one by one, within the hour."""

T = TypeVar("T")


class StillOpen(Exception):
    """The outcome is not known in time: the caller repeats with the same id."""

    def __init__(self, command_id: str) -> None:
        super().__init__(command_id)
        self.command_id = command_id


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What a command left. value: the resource after it. seq: of its event, None where it has none. made: this call did
    it; else it was there already."""

    value: T
    seq: int | None
    made: bool


class Submitter:
    def __init__(
        self,
        bus: CommandBus,
        hub: Hub,
        history: History,
        codec: Codec,
        limiter: Limiter,
        new_id: Callable[[], str],
        body_max: int,
    ) -> None:
        """body_max: of a message's text, in code points."""
        self._bus = bus
        self._hub = hub
        self._history = history
        self._codec = codec
        self._limiter = limiter
        self._new_id = new_id
        self._body_max = body_max
        self._tags = itertools.count(1)

    def _check(self, who: str, action: Action) -> None:
        """Raises ParleyError for a text that is none, and for one command too many, of this user or of all."""
        body = getattr(action, "body", None)
        if body is not None:
            check_body(body, self._body_max, "text" if isinstance(action, SteerReply) else "body")
        cost = cost_of(action)
        retry_after_ms = self._limiter.command(who, cost.chats, cost.members)
        if retry_after_ms is not None:
            raise rate_limited("too many commands", retry_after_ms)
        self._hub.outcomes.take_on()

    # From a socket

    def send(
        self, session: Session, ref: str, chat_id: str, id_: str | None, action: Action, settled: Callable[[], None]
    ) -> None:
        """Queue it now; `accepted` or `error` goes to the session when it is known. id_: None for one that we draw.
        settled: called then."""
        try:
            self._check(session.counted, action)
        except ParleyError as error:
            session.sink.send(self._codec.error(ref, error))
            return settled()
        tag, is_send = next(self._tags), type(action) is SendMessage
        origin = self._hub.process_id
        id_ = id_ or self._new_id()
        command = Command(
            chat_id, session.user_id, id_, action, origin, not is_send, tag, scopes=session.scopes
        )  # fmt: skip
        self._hub.outcomes.ask(session, tag, command.key, ref, is_send)
        future = self._bus.submit(command)
        future.add_done_callback(lambda done: self._accepted(session, command, ref, done, settled))

    def _accepted(
        self, session: Session, command: Command, ref: str, done: asyncio.Future[None], settled: Callable[[], None]
    ) -> None:
        settled()
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            if command.tag not in session.over:
                session.sink.send(self._codec.accepted(ref, command))
            return
        self._hub.outcomes.over(command.tag)
        session.sink.send(self._codec.error(ref, _unaccepted(error)))

    # From a caller that waits

    async def run(
        self,
        user_id: str,
        chat_id: str,
        action: Action,
        id_: str | None = None,
        scopes: Scopes = None,
        counted: str = "",
    ) -> Done[None]:
        """Do it, and wait for its outcome. scopes: of the key that asks. counted: whose limits it counts against, the user's by
        default. Raises ParleyError where nothing was accepted, and for a refusal; StillOpen
        where the outcome is not known in 10 s."""
        self._check(counted or user_id, action)
        id_ = id_ or self._new_id()
        command = Command(chat_id, user_id, id_, action, self._hub.process_id, wait=True, scopes=scopes)
        told = self._hub.outcomes.expect(command.key)
        deadline = asyncio.get_running_loop().time() + OUTCOME_WAIT_S
        try:
            try:
                async with asyncio.timeout_at(deadline):  # in one process it is safe once it is decided
                    await asyncio.shield(self._bus.submit(command))
            except Unavailable as error:
                raise _unaccepted(error) from error
            except (OutcomeUnknown, TimeoutError):
                pass
            outcome, repeat = await self._outcome(command, told, deadline)
        finally:
            self._hub.outcomes.forget(command.key, told)
        if outcome.code is not None:
            wait_ms = ADD_AGAIN_MS if outcome.code == Code.RATE_LIMITED else None
            raise ParleyError(outcome.code, outcome.reason, retry_after_ms=wait_ms, policies=outcome.policies)
        return Done(None, outcome.seq, not repeat)

    async def _outcome(
        self, command: Command, told: asyncio.Future[tuple[Outcome, bool]], deadline: float
    ) -> tuple[Outcome, bool]:
        """Told by the worker; what was lost on the way is looked up. (outcome, whether it is a repeat)"""
        clock = asyncio.get_running_loop().time
        while (left := deadline - clock()) > 0:
            try:
                async with asyncio.timeout(min(LOOK_UP_S, left)):
                    return await asyncio.shield(told)
            except TimeoutError:
                pass
            try:
                async with asyncio.timeout(max(_LOOK_AT_LEAST_S, deadline - clock())):
                    outcome = (await self._history.outcomes([command.key])).get(command.key)
            except (Transient, TimeoutError):
                continue
            if outcome is not None:
                return outcome, False
        raise StillOpen(command.id)


def _unaccepted(error: BaseException) -> ParleyError:
    if isinstance(error, OutcomeUnknown):
        return ParleyError(Code.OUTCOME_UNKNOWN, str(error))
    return unavailable(str(error), getattr(error, "away_s", 0.0))
