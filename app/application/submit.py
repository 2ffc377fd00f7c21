"""The gateway's verb: a command from a socket or a REST caller goes onto the bus, and its end comes back.

Between reading a request and queueing its command nothing is awaited, so nothing overtakes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Protocol

from app.application.deliver import Hub
from app.application.ports import Codec, CommandBus, History, OutcomeUnknown, Transient, Unavailable
from app.application.sessions import Session
from app.domain.commands import AddMember, Command, CreateChat, SendMessage
from app.domain.errors import Code, ParleyError
from app.domain.state import Outcome

OUTCOME_WAIT_S = 10.0
LOOK_UP_S = 1.0
UNAVAILABLE_RETRY_MS = 1_000


class Limiter(Protocol):
    """Counts what users do. Each call counts, and answers how many milliseconds to wait where it was too much."""

    def request(self, user_id: str) -> int | None: ...

    def remaining(self, user_id: str) -> tuple[int, int, int]:
        """(most at once, left of it, seconds until it is whole again)."""
        ...

    def rejected(self, user_id: str) -> None: ...

    def command(self, user_id: str, new_chats: int, new_members: int) -> int | None:
        """Also too much: a user whose commands were rejected again and again."""
        ...


class Submitter:
    def __init__(self, bus: CommandBus, hub: Hub, history: History, codec: Codec, limiter: Limiter) -> None:
        self._bus = bus
        self._hub = hub
        self._history = history
        self._codec = codec
        self._limiter = limiter
        self._tags = itertools.count(1)

    def _too_much(self, command: Command) -> int | None:
        chats, members = 0, 0
        if isinstance(command.action, CreateChat):
            chats, members = 1, len(command.action.member_ids)
        elif isinstance(command.action, AddMember):
            members = 1
        return self._limiter.command(command.actor_id, chats, members)

    # From a socket

    def send(self, session: Session, command: Command, ref: str, settled: Callable[[], None]) -> None:
        """Queue it now; `accepted` or `error` goes to the session when it is known. settled: called then."""
        retry_after_ms = self._too_much(command)
        if retry_after_ms is not None:
            session.sink.send(self._error(ref, Code.RATE_LIMITED, "too many commands", retry_after_ms))
            return settled()
        tag = next(self._tags)
        session.expect(tag, command.key, ref, type(command.action) is SendMessage)
        future = self._bus.submit(replace(command, tag=tag))
        future.add_done_callback(lambda done: self._accepted(session, command, ref, tag, done, settled))

    def _accepted(
        self,
        session: Session,
        command: Command,
        ref: str,
        tag: int,
        done: asyncio.Future[None],
        settled: Callable[[], None],
    ) -> None:
        settled()
        if done.cancelled():
            return
        error = done.exception()
        if error is None and tag in session.over:
            return
        if error is None:
            name = "client_message_id" if type(command.action) is SendMessage else "command_id"
            session.sink.send(self._codec.frame({"type": "accepted", "ref": ref, name: command.id}))
            return
        session.asked.pop(tag, None)
        if isinstance(error, OutcomeUnknown):
            session.sink.send(self._error(ref, Code.OUTCOME_UNKNOWN, str(error)))
        else:
            session.sink.send(self._error(ref, Code.UNAVAILABLE, str(error), UNAVAILABLE_RETRY_MS))

    def _error(self, ref: str, code: Code, reason: str, retry_after_ms: int | None = None) -> str:
        frame: dict[str, object] = {"type": "error", "ref": ref, "code": code, "reason": reason}
        if retry_after_ms is not None:
            frame["retry_after_ms"] = retry_after_ms
        return self._codec.frame(frame)

    # From a REST caller

    async def run(self, command: Command) -> tuple[Outcome, bool] | None:
        """(outcome, repeat), or None where it is not known in time. Raises ParleyError where nothing was accepted,
        and for a refusal."""
        retry_after_ms = self._too_much(command)
        if retry_after_ms is not None:
            raise ParleyError(Code.RATE_LIMITED, "too many commands", retry_after_ms=retry_after_ms)
        told = self._hub.outcomes.expect(command.key)
        try:
            try:
                await self._bus.submit(command)
            except Unavailable as error:
                raise ParleyError(Code.UNAVAILABLE, str(error), retry_after_ms=UNAVAILABLE_RETRY_MS) from error
            except OutcomeUnknown:
                pass
            found = await self._await_outcome(command, told)
        finally:
            self._hub.outcomes.forget(command.key, told)
        if found is not None and found[0].code is not None:
            raise ParleyError(found[0].code, found[0].reason, policies=found[0].policies)
        return found

    async def _await_outcome(
        self, command: Command, told: asyncio.Future[tuple[Outcome, bool]]
    ) -> tuple[Outcome, bool] | None:
        """Told by the worker; what was lost on the way is looked up."""
        deadline = monotonic() + OUTCOME_WAIT_S
        while (left := deadline - monotonic()) > 0:
            try:
                async with asyncio.timeout(min(LOOK_UP_S, left)):
                    return await asyncio.shield(told)
            except TimeoutError:
                pass
            try:
                outcome = await self._history.outcome(*command.key)
            except Transient:
                continue
            if outcome is not None:
                return outcome, False
        return None
