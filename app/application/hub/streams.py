"""Replies as they are written: deltas in order to who has all before them, the text so far to who has not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from app.application.hub.feeds import Feed, Feeds
from app.application.hub.sessions import Session
from app.application.ports.fan_out import LiveText, LiveTexts
from app.application.ports.socket import Codec
from app.application.ports.store import Timeline
from app.application.signals import DeltaSignal


class Streams:
    def __init__(
        self,
        feeds: Feeds,
        live: LiveTexts,
        timeline: Timeline,
        codec: Codec,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._feeds = feeds
        self._live = live
        self._timeline = timeline
        self._codec = codec
        self._spawn = spawn

    def hear(self, feed: Feed, delta: DeltaSignal) -> None:
        if delta.message_id in feed.ended:
            return
        frame: str | None = None
        for session in list(feed.sessions):
            if feed.chat_id in session.behind or not self.shows(session, feed, delta.message_id):
                continue
            at = session.replies.get(delta.message_id, (0, 0))
            if delta.attempt < at[0] or (delta.attempt == at[0] and delta.index < at[1]):
                continue
            fresh = delta.attempt > at[0]
            if delta.index != (0 if fresh else at[1]):
                self._snapshot(feed, delta.message_id)
                continue
            if frame is None:
                frame = self._codec.delta(feed.chat_id, delta.message_id, delta.attempt, delta.index, delta.text)
            session.replies[delta.message_id] = (delta.attempt, delta.index + 1)
            session.sink.send(frame)

    def shows(self, session: Session, feed: Feed, message_id: str) -> bool:
        """Who doesn't see what was before them isn't told either how an answer from then is written. Where it isn't known from
        when it is, that is read, and it is told from then on."""
        floor = session.floors.get(feed.chat_id)
        if floor is None:
            return True
        if message_id not in session.shown and feed.chat_id not in session.looking:
            session.looking.add(feed.chat_id)
            self._spawn(self._look(session, feed.chat_id))
        return session.shown.get(message_id, -1) >= floor

    async def _look(self, session: Session, chat_id: str) -> None:
        try:
            await self.show_open(session, [chat_id])
        finally:
            session.looking.discard(chat_id)

    def _snapshot(self, feed: Feed, message_id: str) -> None:
        if message_id not in feed.snapshots:
            feed.snapshots.add(message_id)
            self._spawn(self._fetch_snapshot(feed, message_id))

    async def _fetch_snapshot(self, feed: Feed, message_id: str) -> None:
        try:
            text = await self._live.get((feed.chat_id, message_id))
        finally:
            feed.snapshots.discard(message_id)
        if text is not None:
            for session in list(feed.sessions):
                self._give_snapshot(session, feed, message_id, text)

    def _give_snapshot(self, session: Session, feed: Feed, message_id: str, text: LiveText) -> None:
        if feed.chat_id in session.behind or not self.shows(session, feed, message_id):
            return
        if message_id in feed.ended or (text.attempt, text.next_index) <= session.replies.get(message_id, (0, 0)):
            return
        session.replies[message_id] = (text.attempt, text.next_index)
        session.sink.send(self._codec.snapshot(feed.chat_id, message_id, text.attempt, text.next_index, text.text))

    async def show_open(self, session: Session, chat_ids: list[str]) -> None:
        """Who comes in the middle of an answer gets its text so far, unasked."""
        for chat_id, message_id, seq, claimed in await self._timeline.open_replies(chat_ids):
            if chat_id in session.floors:
                session.shown[message_id] = seq
            if not claimed:
                continue
            text = await self._live.get((chat_id, message_id))
            feed = self._feeds.get(chat_id)
            if text is not None and feed is not None and session in feed.sessions:
                self._give_snapshot(session, feed, message_id, text)
