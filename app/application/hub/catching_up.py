"""Who is behind in a chat is given what was missed, from the database, and then is live again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from app.application.background import Trouble
from app.application.hub.delivering import RETRY_S, Delivering
from app.application.hub.feeds import Feeds
from app.application.hub.ranges import Ranges
from app.application.hub.sessions import CatchUp, Session
from app.application.hub.streams import Streams
from app.application.ports.errors import Transient
from app.application.ports.socket import Codec
from app.application.ports.store import Timeline

MISSED_EVENTS_MAX = 500
MISSED_BYTES_MAX = 1024 * 1024


class CatchingUp:
    def __init__(
        self,
        feeds: Feeds,
        ranges: Ranges,
        delivering: Delivering,
        streams: Streams,
        timeline: Timeline,
        codec: Codec,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        trouble: Trouble,
    ) -> None:
        self._feeds = feeds
        self._ranges = ranges
        self._delivering = delivering
        self._streams = streams
        self._timeline = timeline
        self._codec = codec
        self._spawn = spawn
        self._trouble = trouble
        self.resets = 0

    def ask(self, session: Session, item: CatchUp) -> None:
        """Queue a catch-up; while it waits or runs, the chat is not live for this session."""
        waiting = session.behind.get(item.chat_id)
        if waiting is not None and not item.refs:
            return
        if waiting is not None and waiting.refs:  # both are answered by what the longer one gives
            wrong = waiting.wrong_epoch or item.wrong_epoch
            item = CatchUp(item.chat_id, min(waiting.after, item.after), waiting.refs + item.refs, wrong)
        session.behind[item.chat_id] = item
        if not session.catching:
            session.catching = True
            self._spawn(self._all(session))

    async def _all(self, session: Session) -> None:
        """One chat after another, at the pace of the reader, so that a long absence doesn't overrun the outbox."""
        try:
            while session.behind and not session.closed:
                item = next(iter(session.behind.values()))
                try:
                    await self._one(session, item)
                except Transient:
                    await asyncio.sleep(RETRY_S)
                except Exception as error:
                    self._give_up(session, item)
                    self._trouble("catch up", error)
        finally:
            session.catching = False

    async def _one(self, session: Session, item: CatchUp) -> None:
        chat_id = item.chat_id
        if item.refs and not await self._answer_named(session, item):
            return
        while session.behind.get(chat_id) is item and not session.closed:
            feed, cursor = self._feeds.get(chat_id), session.cursors.get(chat_id)
            if feed is None or cursor is None:
                return self._gone(session, item)
            if cursor >= max(feed.tail, feed.known):
                return self._synced(session, item, cursor)
            parts = await self._ranges.read(chat_id, cursor, session.user_id)
            if session.behind.get(chat_id) is not item:
                return
            if not parts:
                # Known, but not to be read: only a restore can do that; the poll will see the epoch.
                return self._synced(session, item, cursor)
            for part in parts:
                self._delivering.deliver(session, part)
                await session.sink.drained()

    async def _answer_named(self, session: Session, item: CatchUp) -> bool:
        """Set the cursor where the missed events begin. False where the chat's one end was told instead."""
        chat_id = item.chat_id
        joined = (await self._timeline.joined(session.user_id, [chat_id])).get(chat_id)
        if joined is None:
            self._delivering.leave(session, chat_id)
            self._gone(session, item)
            return False
        joined_seq, head, sees_from = joined
        self._delivering.see_from(session, chat_id, sees_from)
        if chat_id not in session.cursors:
            await self._feeds.hear([chat_id])
            if session.closed or session.behind.get(chat_id) is not item or chat_id in session.cursors:
                self._feeds.unhear(chat_id)
                return False
            self._delivering.register(session, self._feeds[chat_id], head, sees_from)
        code = await self._reset_code(session, item, joined_seq, head)
        if session.behind.get(chat_id) is not item or session.closed:
            return False
        feed = self._feeds.get(chat_id)
        if feed is None or chat_id not in session.cursors:
            self._gone(session, item)
            return False
        feed.known = max(feed.known, head)
        if code is None:
            session.cursors[chat_id] = item.after
            return True
        self._reset(session, item, head, code)
        session.behind[chat_id] = CatchUp(chat_id)
        return False

    async def _reset_code(self, session: Session, item: CatchUp, joined_seq: int, head: int) -> str | None:
        if item.wrong_epoch:
            return "epoch"
        if item.after > head:
            return "ahead"
        if item.after < session.floors.get(item.chat_id, 0) - 1:
            return "rejoined"
        if item.after < joined_seq - 1 and await self._timeline.removed_after(
            session.user_id, item.chat_id, item.after
        ):
            return "rejoined"
        if head - item.after > MISSED_EVENTS_MAX:
            return "too_far"
        size, after = 0, item.after
        while after < head and size <= MISSED_BYTES_MAX:
            parts = await self._ranges.read(item.chat_id, after, session.user_id)
            if not parts:
                break
            size += sum(len(line.encode()) + 1 for part in parts for line in part.lines)
            after = parts[-1].last
        return "too_far" if size > MISSED_BYTES_MAX else None

    # The item's one end; from here on the chat is live (nothing was awaited since the last look)

    def _synced(self, session: Session, item: CatchUp, head: int) -> None:
        self._over(session, item)
        for ref in item.refs:
            session.sink.send(self._codec.synced(item.chat_id, ref, head))
        if not session.closed:
            self._spawn(self._streams.show_open(session, [item.chat_id]))

    def _gone(self, session: Session, item: CatchUp) -> None:
        self._over(session, item)
        for ref in item.refs:
            session.sink.send(self._codec.gone(item.chat_id, ref))

    def _give_up(self, session: Session, item: CatchUp) -> None:
        """What was missed can't be given, for a defect of ours or of a row: the chat goes on from its head."""
        feed, cursor = self._feeds.get(item.chat_id), session.cursors.get(item.chat_id)
        if feed is None or cursor is None:
            return self._gone(session, item)
        self._over(session, item)
        self._reset(session, item, max(feed.tail, feed.known, cursor), "too_far")
        self._spawn(self._read_floor(session, item.chat_id))

    async def _read_floor(self, session: Session, chat_id: str) -> None:
        """What was passed over may have been one's own going and coming."""
        joined = (await self._timeline.joined(session.user_id, [chat_id])).get(chat_id)
        if joined is not None and chat_id in session.cursors:
            self._delivering.see_from(session, chat_id, joined.sees_from)

    def _reset(self, session: Session, item: CatchUp, head: int, code: str) -> None:
        """The chat goes on from head for this session; told to whoever named it, else to the session."""
        self.resets += 1
        session.cursors[item.chat_id] = head
        for ref in item.refs or (None,):
            session.sink.send(self._codec.reset(item.chat_id, ref, head, code))

    def _over(self, session: Session, item: CatchUp) -> None:
        if session.behind.get(item.chat_id) is item:
            del session.behind[item.chat_id]
