"""Who asked for something is told how it ended, once, also where the announcement was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.application.bounded import Bounded
from app.application.hub.sessions import Key, Session, Sessions
from app.application.ports.history import History
from app.application.ports.socket import Codec
from app.application.signals import Told
from app.domain.state import Outcome

LOOK_UP_AFTER_S = 1.0
_TOLD_S = 60.0
_TOLD_MAX = 100_000
_LOOK_BACK_S = 30.0


class Outcomes:
    """doubt: announcements may have been lost since the last look-up."""

    def __init__(self, sessions: Sessions, history: History, codec: Codec, on_rejected: Callable[[str], None]) -> None:
        self._sessions = sessions
        self._history = history
        self._codec = codec
        self._on_rejected = on_rejected
        self._waiters: dict[Key, list[asyncio.Future[tuple[Outcome, bool]]]] = {}
        self._told: Bounded[Key, float] = Bounded(_TOLD_MAX)
        self.doubt = False

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
        if told.outcome.code is not None and not told.repeat:
            return self.tell_rejected(told.key, told.outcome, told.tag)
        for session in self._sessions.of(told.key[1]):
            if told.tag in session.asked:
                self._answer(session, told.tag, told.outcome, told.outcome.seq is not None and not told.repeat)

    def _answer(self, session: Session, tag: int, outcome: Outcome, event_follows: bool) -> None:
        asked = session.asked.pop(tag)
        if outcome.code is not None:
            session.refused(tag)
            session.sink.send(self._codec.rejected(asked.ref, asked.key, outcome))
        elif not event_follows:
            session.sink.send(self._codec.committed(asked.ref, asked.key, outcome))

    def tell_rejected(self, key: Key, outcome: Outcome, tag: int = 0) -> None:
        """To all sessions of the sender, once; with its ref to the one that asked."""
        now = asyncio.get_running_loop().time()
        if now - self._told.get(key, -_TOLD_S) < _TOLD_S:
            return
        self._told[key] = now
        if key[1] in self._sessions or key in self._waiters:
            self._on_rejected(key[1])
        for future in self._waiters.get(key, ()):
            if not future.done():
                future.set_result((outcome, False))
        for session in self._sessions.of(key[1]):
            known = tag if tag in session.asked else next(iter(session.asked_for(key)), 0) if not tag else 0
            asked = session.asked.pop(known, None)
            session.refused(known)
            if not session.opened:
                continue
            session.sink.send(self._codec.rejected(asked.ref if asked else None, key, outcome))

    async def look_up(self) -> None:
        """Outcomes that nobody told: after a second of waiting, ask the database."""
        now = asyncio.get_running_loop().time()
        for key in [key for key, at in self._told.items() if now - at >= _TOLD_S]:
            del self._told[key]
        doubt, self.doubt = self.doubt, False
        late = now - LOOK_UP_AFTER_S
        waiting = [
            (session, tag, asked)
            for session in self._sessions.all()
            for tag, asked in session.asked.items()
            if asked.at < late and ((doubt and asked.at > late - _LOOK_BACK_S) or not asked.is_send)
        ]
        for session, tag, asked in waiting:
            outcome = await self._history.outcome(*asked.key)
            if outcome is not None and tag in session.asked:
                self._answer(session, tag, outcome, event_follows=False)
