"""The shell of the hub: it hears the fan-out, and hands what it hears to the part that knows what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from app.application.background import Background
from app.application.hub.catching_up import CatchingUp
from app.application.hub.delivering import Delivering
from app.application.hub.feeds import Feed, Feeds
from app.application.hub.healing import Healer
from app.application.hub.membership import Memberships
from app.application.hub.opening import Opening
from app.application.hub.outcomes import Outcomes
from app.application.hub.ranges import Ranges
from app.application.hub.sessions import CatchUp, Session, Sessions
from app.application.hub.streams import Streams
from app.application.ports.errors import Transient
from app.application.ports.fan_out import FanOut, LiveTexts
from app.application.ports.history import History
from app.application.ports.people import Account
from app.application.ports.socket import Codec
from app.application.ports.store import Heal, Timeline
from app.application.signals import (
    DeltaSignal,
    Frame,
    Head,
    Note,
    Signal,
    Slice,
    process_channel,
    unpack,
    unpack_told,
    user_channel,
)
from app.application.turns import Turns


class Hub:
    def __init__(
        self,
        *,
        process_id: str,
        fan_out: FanOut,
        timeline: Timeline,
        history: History,
        heal: Heal,
        live: LiveTexts,
        codec: Codec,
        background: Background,
        on_rejected: Callable[[str], None] = lambda user_id: None,
        watch: Callable[[Slice], AbstractContextManager[object]] = lambda part: nullcontext(),
    ) -> None:
        """on_rejected: told whose command was rejected. watch: entered around the delivery of a live slice."""
        self.process_id = process_id
        self._fan_out = fan_out
        self._codec = codec
        self._background = background
        self._watch = watch
        self.sessions = Sessions()
        self._feeds = Feeds(fan_out, self._spawn)
        self._ranges = Ranges(timeline, codec, background)
        self._streams = Streams(self._feeds, live, timeline, codec, self._spawn)
        self._delivering = Delivering(
            self._feeds,
            self._ranges,
            self._spawn,
            on_gap=lambda session, chat_id: self._catching_up.ask(session, CatchUp(chat_id)),
            on_removed=lambda user_id, chat_id: self._memberships.hint(user_id, [chat_id]),
            about=codec.about,
        )
        self._catching_up = CatchingUp(
            self._feeds, self._ranges, self._delivering, self._streams, timeline, codec, self._spawn,
            background.trouble,
        )  # fmt: skip
        self._memberships = Memberships(
            self.sessions, self._feeds, self._delivering, self._catching_up, self._streams, timeline, history, codec,
            self._spawn,
        )  # fmt: skip
        self._opening = Opening(
            self.sessions, self._feeds, self._delivering, self._catching_up, self._memberships, self._streams,
            timeline, history, codec, self._spawn,
        )  # fmt: skip
        self.outcomes = Outcomes(self.sessions, history, codec, on_rejected)
        self._healer = Healer(
            self.sessions, self._feeds, self._delivering, self._memberships, self.outcomes, heal, background
        )

    @property
    def hellos(self) -> Turns:
        """Turns to read what a hello needs."""
        return self._opening.turns

    @property
    def counts(self) -> dict[str, int]:
        """What was healed since the start."""
        return {
            "backfills": self._delivering.backfills,
            "poll_repairs": self._healer.repairs,
            "resets": self._catching_up.resets,
        }

    async def start(self) -> None:
        """Raises Transient."""
        await self._healer.start()
        await self._fan_out.subscribe([process_channel(self.process_id)])

    async def run(self) -> None:
        await self._healer.run()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._background.create_task(self._tolerate(work))

    async def _tolerate(self, work: Coroutine[Any, Any, None]) -> None:
        """What may pass is healed by the next gap or poll; it must not end the process."""
        try:
            await work
        except Transient:
            self._healer.poll_soon()

    # A session's life

    async def open(self, session: Session, account: Account, resume: dict[str, int], resume_epoch: str) -> None:
        """Welcome it, and catch up what it names: chat id → last seq applied. Raises Transient."""
        await self._opening.open(session, account, self._healer.epoch, resume, resume_epoch)

    def sync(self, session: Session, ref: str, chats: dict[str, int]) -> None:
        for chat_id, after in chats.items():
            self._catching_up.ask(session, CatchUp(chat_id, after, (ref,)))

    def drop(self, session: Session) -> None:
        """The socket is gone."""
        session.closed = True
        self.outcomes.drop(session)
        for chat_id in list(session.cursors):
            self._delivering.leave(session, chat_id)
        session.behind.clear()
        if self.sessions.remove(session):
            self._spawn(self._unsubscribe_user(session.user_id))

    async def _unsubscribe_user(self, user_id: str) -> None:
        if user_id not in self.sessions:
            await self._fan_out.unsubscribe([user_channel(user_id)])

    async def close_all(self, code: int, reason: str, slices: int, pause_s: float, retry_after_ms: int) -> None:
        """Draining: tell all, then close them a slice at a time, so that they don't all reconnect at once."""
        sessions = self.sessions.all()
        for session in sessions:
            session.sink.send(self._codec.draining(retry_after_ms))
        size = max(1, len(sessions) // slices)
        for start in range(0, len(sessions), size):
            for session in sessions[start : start + size]:
                session.sink.close(code, reason)
            await asyncio.sleep(pause_s)

    # What comes from the fan-out

    def reset(self) -> None:
        """The fan-out's connection was lost: anything may have been missed."""
        self.outcomes.doubt = True
        self._healer.poll_soon()

    def handle(self, channel: str, payload: bytes) -> None:
        kind, _, id_ = channel.partition(":")
        signal = unpack(id_, payload)
        if signal is None:
            return
        if kind == "chat":
            feed = self._feeds.get(id_)
            if feed is not None:
                self._on_chat(feed, signal)
        elif kind == "user":
            self._on_user(id_, signal)
        elif kind == "process" and isinstance(signal, Note) and signal.kind == "outcomes":
            for data in signal.data:
                self.outcomes.hear(unpack_told(data))

    def _on_chat(self, feed: Feed, signal: Signal) -> None:
        if isinstance(signal, Slice):
            for tag in signal.asked.get(self.process_id, ()):
                self.outcomes.ended(tag)
        match signal:
            case Slice() if signal.first <= feed.tail + 1 <= signal.last:
                with self._watch(signal):
                    self._delivering.pass_on(feed, signal)
            case Slice():  # a gap before it, which is read first; an old one is passed over
                self._delivering.know(feed, signal.last)
            case Head(head):
                self._delivering.know(feed, head)
            case DeltaSignal():
                self._streams.hear(feed, signal)
            case Frame(text, but_user):
                for session in list(feed.sessions):
                    if session.user_id != but_user and self._tells(session, feed, text):
                        session.sink.send(text)

    def _tells(self, session: Session, feed: Feed, text: str) -> bool:
        """Of an answer from before somebody came they aren't told either that it is thought about."""
        reply_id = self._codec.reply_of(text) if feed.chat_id in session.floors else ""
        return not reply_id or self._streams.shows(session, feed, reply_id)

    def _on_user(self, user_id: str, signal: Signal) -> None:
        match signal:
            case Frame(text, _):
                for session in self.sessions.of(user_id):
                    if session.opened:
                        session.sink.send(text)
            case Note("chat", chat_id):
                self._memberships.hint(user_id, [chat_id])
            case Note("rejected", data):
                told = unpack_told(data)
                self.outcomes.tell_rejected(told.key, told.outcome, told.tag if told.origin == self.process_id else 0)
            case Note("revoked", auth_session_id):
                self.sessions.revoke({auth_session_id})
            case Note("evicted", session_ids):
                self.sessions.evict(user_id, session_ids)
