"""The one function that delivers: live events, backfills, resumes and syncs all pass it.

With a cursor for each (session, chat): a seq that doesn't follow it is never sent, and a slice that removes the session's
user ends the chat for the session at that event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from app.application.hub.feeds import Feed, Feeds
from app.application.hub.place import give
from app.application.hub.ranges import Ranges
from app.application.hub.sessions import Session
from app.application.ports.errors import Transient
from app.application.signals import Slice

RETRY_S = 0.2


class Delivering:
    """on_gap: the session fell behind in this chat. on_removed: this user was just told of their own removal from it.
    about: as the codec's."""

    def __init__(
        self,
        feeds: Feeds,
        ranges: Ranges,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        on_gap: Callable[[Session, str], None],
        on_removed: Callable[[str, str], None],
        about: Callable[[str], tuple[int, str, str]],
    ) -> None:
        self._feeds = feeds
        self._ranges = ranges
        self._spawn = spawn
        self._on_gap = on_gap
        self._on_removed = on_removed
        self._about = about
        self.backfills = 0

    def deliver(self, session: Session, part: Slice, whole: str | None = None) -> None:
        """Give a session what of the slice is for it. whole: the slice's lines, joined already."""
        chat_id = part.chat_id
        cursor = session.cursors.get(chat_id)
        if cursor is None:
            return
        given = give(part, cursor, session.user_id)
        if given.gap:
            return self._on_gap(session, chat_id)
        if not given.lines:
            return
        lines = self._seen(session, chat_id, given.lines)
        session.sink.send(whole if whole is not None and lines is part.lines else "\n".join(lines))
        session.cursors[chat_id] = given.cursor
        for message_id in part.done:
            session.replies.pop(message_id, None)
            session.shown.pop(message_id, None)
            if feed := self._feeds.get(chat_id):
                feed.end(message_id)
        if given.removed:
            self.leave(session, chat_id)
            self._on_removed(session.user_id, chat_id)

    def _seen(self, session: Session, chat_id: str, lines: Sequence[str]) -> Sequence[str]:
        """As this person sees them."""
        floor = session.floors.get(chat_id)
        if floor is None:
            return lines
        about = [self._about(line) for line in lines]
        for message_seq, reply_id, _ in about:
            if reply_id:
                session.shown[reply_id] = message_seq
        if all(message_seq >= floor for message_seq, _, _ in about):
            return lines
        return [line if one[0] >= floor else one[2] for line, one in zip(lines, about, strict=True)]

    def pass_on(self, feed: Feed, part: Slice) -> None:
        """New events of a chat, to all who hear it."""
        feed.tail = max(feed.tail, part.last)
        feed.known = max(feed.known, feed.tail)
        for message_id in part.done:
            feed.end(message_id)
        whole = "\n".join(part.lines)
        for session in list(feed.sessions):
            if feed.chat_id not in session.behind:
                self.deliver(session, part, whole)

    def know(self, feed: Feed, head: int) -> None:
        """The chat reaches to `head`; what is missing is read once for all."""
        feed.known = max(feed.known, head)
        if feed.known > feed.tail and not feed.backfilling:
            feed.backfilling = True
            self._spawn(self._backfill(feed))

    async def _backfill(self, feed: Feed) -> None:
        self.backfills += 1
        try:
            while feed.tail < feed.known and self._feeds.get(feed.chat_id) is feed:
                try:
                    parts = await self._ranges.read(feed.chat_id, feed.tail)
                except Transient:
                    await asyncio.sleep(RETRY_S)
                    continue
                if not parts:
                    feed.known = feed.tail
                for part in parts:
                    if part.last > feed.tail:
                        self.pass_on(feed, part)
        finally:
            feed.backfilling = False

    def register(self, session: Session, feed: Feed, cursor: int, sees_from: int) -> None:
        """From here on the session hears the chat, with what follows the cursor; of messages before sees_from nothing."""
        self.see_from(session, feed.chat_id, sees_from)
        alone = not feed.sessions
        session.cursors[feed.chat_id] = cursor
        feed.sessions[session] = None
        if alone:
            feed.tail = max(feed.tail, cursor)
        else:  # the others may still wait for what the newcomer has read already
            self.know(feed, cursor)
        if max(feed.tail, feed.known) > cursor:
            self._on_gap(session, feed.chat_id)

    def see_from(self, session: Session, chat_id: str, sees_from: int) -> None:
        """Of messages before that seq this session is told nothing; 0: of all."""
        if sees_from:
            session.floors[chat_id] = sees_from
        else:
            session.floors.pop(chat_id, None)

    def leave(self, session: Session, chat_id: str) -> None:
        """The chat is over for this session."""
        session.floors.pop(chat_id, None)
        if session.cursors.pop(chat_id, None) is not None:
            feed = self._feeds.get(chat_id)
            if feed is not None:
                feed.sessions.pop(session, None)
                self._feeds.unhear(chat_id)
