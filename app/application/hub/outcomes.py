"""Who asked for something is told how it ended, also where the announcement was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import monotonic

from app.application.bounded import Bounded
from app.application.hub.admission import Admission
from app.application.hub.sessions import LOOK_UP_AFTER_S, Asked, Key, Session, Sessions
from app.application.ports.errors import Transient
from app.application.ports.history import History
from app.application.ports.socket import Codec
from app.application.signals import Told
from app.domain.errors import Code, ParleyError, unavailable
from app.domain.state import Outcome

WAITS_S = 30.0
_TOLD_S = 60.0
_TOLD_MAX = 100_000


class Outcomes:
    """doubt: announcements may have been lost since the last look-up."""

    def __init__(self, sessions: Sessions, history: History, codec: Codec, on_rejected: Callable[[str], None]) -> None:
        self._sessions = sessions
        self._history = history
        self._codec = codec
        self._on_rejected = on_rejected
        self._waiters: dict[Key, list[asyncio.Future[tuple[Outcome, bool]]]] = {}
        self._told: Bounded[Key, float] = Bounded(_TOLD_MAX)
        self._asked: dict[int, Session] = {}
        self._looked_up: dict[int, Session] = {}
        """By tag, in order of time, whose requests have no end yet: all, and those that are looked up without any doubt."""
        self.doubt = False
        self._crowded = False
        self._admission = Admission(monotonic)

    def take_on(self) -> None:
        """Asked before one more is asked for. Raises ParleyError `unavailable`."""
        if not self._admission.takes(len(self._asked) + len(self._waiters)):
            self._crowded = True  # what is long done, and wasn't heard of, is looked up
            raise unavailable("more is asked for than gets done")

    def ask(self, session: Session, tag: int, key: Key, ref: str, is_send: bool) -> None:
        """Remember who asked, so that the outcome can repeat its ref."""
        now = asyncio.get_running_loop().time()
        session.asked[tag] = Asked(key, ref, is_send, now, now + LOOK_UP_AFTER_S)
        self._asked[tag] = session
        if not is_send:
            self._looked_up[tag] = session

    def over(self, tag: int) -> Asked | None:
        """Its end is known."""
        session = self._asked.pop(tag, None)
        self._looked_up.pop(tag, None)
        return session.asked.pop(tag, None) if session is not None else None

    def ended(self, tag: int) -> Asked | None:
        """The same, where it was told: it got done."""
        asked = self.over(tag)
        if asked is not None:
            self._admission.ended()
        return asked

    def drop(self, session: Session) -> None:
        for tag in list(session.asked):
            self.over(tag)

    def expect(self, key: Key) -> asyncio.Future[tuple[Outcome, bool]]:
        """For callers that wait: (outcome, whether it is a repeat). Give it up with `forget`."""
        future: asyncio.Future[tuple[Outcome, bool]] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, []).append(future)
        return future

    def forget(self, key: Key, future: asyncio.Future[tuple[Outcome, bool]]) -> None:
        waiting = self._waiters.get(key, [])
        if future in waiting:
            waiting.remove(future)
        if not waiting:
            self._waiters.pop(key, None)

    def hear(self, told: Told) -> None:
        for place, future in enumerate(self._waiters.get(told.key, ())):
            if not future.done():  # several calls with one id at once: one of them did it
                future.set_result((told.outcome, told.repeat or place > 0))
                self._admission.ended()
        if told.outcome.code is not None and not told.repeat:
            return self.tell_rejected(told.key, told.outcome, told.tag)
        for session in self._sessions.of(told.key[1]):
            if told.tag in session.asked:
                self._answer(session, told.tag, told.outcome, told.outcome.seq is not None and not told.repeat)

    def _answer(self, session: Session, tag: int, outcome: Outcome, event_follows: bool) -> None:
        asked = self.ended(tag)
        if asked is None:
            return
        if outcome.code is not None:
            session.refused(tag)
            session.sink.send(self._codec.rejected(asked.ref, asked.key, outcome))
        elif not event_follows:
            session.sink.send(self._codec.committed(asked.ref, asked.key, outcome))

    def tell_rejected(self, key: Key, outcome: Outcome, tag: int = 0) -> None:
        """To who asked, each time; to the sender's other sessions once. tag: which request of ours it was, 0 where that
        isn't known."""
        now = asyncio.get_running_loop().time()
        first = now - self._told.get(key, -_TOLD_S) >= _TOLD_S
        if first:
            self._told[key] = now
        if (first or tag) and (key[1] in self._sessions or key in self._waiters):
            self._on_rejected(key[1])
        for future in self._waiters.get(key, ()):
            if not future.done():
                future.set_result((outcome, False))
                self._admission.ended()
        for session in self._sessions.of(key[1]):
            asking = [tag] if tag in session.asked else [] if tag else session.asked_for(key)
            for each in asking:
                self._answer(session, each, outcome, event_follows=False)
            if first and not asking and session.opened:
                session.sink.send(self._codec.rejected(None, key, outcome))

    async def look_up(self) -> None:
        """Outcomes that nobody told: of what waits, one question for all, soon and then ever less often; after half a
        minute it is at an end. A message's outcome is its event: it is looked up only in doubt."""
        now = asyncio.get_running_loop().time()
        for key in [key for key, at in self._told.items() if now - at >= _TOLD_S]:
            del self._told[key]
        doubt, self.doubt = self.doubt, False
        if doubt:
            self._admission.blind()
        doubt, self._crowded = doubt or self._crowded, False
        for tag, session in list(self._older_than(WAITS_S, now)):
            asked = self.over(tag)
            if asked is not None and not asked.is_send:
                unknown = ParleyError(Code.OUTCOME_UNKNOWN, "nobody told how it ended")
                session.sink.send(self._codec.error(asked.ref, unknown))
        waiting: list[tuple[Session, int, Asked]] = []
        for tag, session in list(self._older_than(LOOK_UP_AFTER_S, now) if doubt else self._looked_up.items()):
            asked = session.asked.get(tag)
            if asked is not None and (asked.is_send or now >= asked.look_at):
                asked.look_at = now + 2 * (now - asked.at)
                waiting.append((session, tag, asked))
        if not waiting:
            return
        try:
            found = await self._history.outcomes([asked.key for _, _, asked in waiting])
        except Transient:
            self.doubt = doubt
            raise
        for session, tag, asked in waiting:
            outcome = found.get(asked.key)
            if outcome is not None and tag in session.asked:
                self._answer(session, tag, outcome, event_follows=False)

    def _older_than(self, age_s: float, now: float) -> Iterator[tuple[int, Session]]:
        """Only as far as they are: they stand in order of time."""
        for tag, session in self._asked.items():
            asked = session.asked.get(tag)  # of a session with very many the oldest may be forgotten
            if asked is not None and now - asked.at < age_s:
                return
            yield tag, session
