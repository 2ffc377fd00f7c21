"""Who asked for something is told how it ended, once, also where the announcement was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

from app.application.ports import Codec, History
from app.application.sessions import Key, Session, Sessions
from app.application.signals import Told
from app.domain.state import Outcome

LOOK_UP_AFTER_S = 1.0
_TOLD_S = 60.0
_LOOK_BACK_S = 30.0


class Outcomes:
    """doubt: announcements may have been lost since the last look-up."""

    def __init__(self, sessions: Sessions, history: History, codec: Codec, on_rejected: Callable[[str], None]) -> None:
        self._sessions = sessions
        self._history = history
        self._codec = codec
        self._on_rejected = on_rejected
        self._waiters: dict[Key, list[asyncio.Future[tuple[Outcome, bool]]]] = {}
        self._told: dict[Key, float] = {}
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
            session.sink.send(self._rejected_frame(asked.key, outcome, asked.ref))
        elif not event_follows:
            frame: dict[str, object] = {"type": "committed", "ref": asked.ref, "chat_id": asked.key[0]}
            frame[_id_name(outcome)] = asked.key[2]
            if outcome.seq is not None:
                frame["seq"] = outcome.seq
            session.sink.send(self._codec.frame(frame))

    def _rejected_frame(self, key: Key, outcome: Outcome, ref: str | None) -> str:
        frame: dict[str, object] = {"type": "rejected"}
        if ref is not None:
            frame["ref"] = ref
        frame |= {
            "chat_id": key[0],
            _id_name(outcome): key[2],
            "code": outcome.code,
            "reason": outcome.reason,
            "policies": list(outcome.policies),
        }
        return self._codec.frame(frame)

    def tell_rejected(self, key: Key, outcome: Outcome, tag: int = 0) -> None:
        """To all sessions of the sender, once; with its ref to the one that asked."""
        now = monotonic()
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
            session.sink.send(self._rejected_frame(key, outcome, asked.ref if asked else None))

    async def look_up(self) -> None:
        """Outcomes that nobody told: after a second of waiting, ask the database."""
        now = monotonic()
        self._told = {key: at for key, at in self._told.items() if now - at < _TOLD_S}
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


def _id_name(outcome: Outcome) -> str:
    return "client_message_id" if outcome.type == "message.send" else "command_id"
