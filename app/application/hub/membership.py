"""Who is in which chat: a hint says that it changed, and then it is read, never believed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from app.application.hub.catching_up import CatchingUp
from app.application.hub.delivering import RETRY_S, Delivering
from app.application.hub.feeds import Feeds
from app.application.hub.sessions import CatchUp, Session, Sessions
from app.application.hub.streams import Streams
from app.application.ports.errors import Transient
from app.application.ports.history import History
from app.application.ports.socket import Codec
from app.application.ports.store import Joined, Timeline

WELCOME_UNREAD_MAX = 100


class Memberships:
    def __init__(
        self,
        sessions: Sessions,
        feeds: Feeds,
        delivering: Delivering,
        catching_up: CatchingUp,
        streams: Streams,
        timeline: Timeline,
        history: History,
        codec: Codec,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._sessions = sessions
        self._feeds = feeds
        self._delivering = delivering
        self._catching_up = catching_up
        self._streams = streams
        self._timeline = timeline
        self._history = history
        self._codec = codec
        self._spawn = spawn

    def hint(self, user_id: str, chat_ids: Sequence[str]) -> None:
        """This user's membership in these chats may have changed."""
        self._spawn(self.check(user_id, chat_ids))

    def hint_all(self, user_id: str) -> None:
        self._spawn(self._check_all(user_id))

    async def check(self, user_id: str, chat_ids: Sequence[str]) -> None:
        joined = await self._joined(user_id, chat_ids)
        for session in self._sessions.of(user_id):
            if not session.opened:
                session.recheck.update(chat_ids)
                continue
            for chat_id in chat_ids:
                membership = joined.get(chat_id)
                cursor = session.cursors.get(chat_id)
                if membership is None:
                    if cursor is not None:
                        self._catching_up.ask(session, CatchUp(chat_id))
                        self._delivering.know(self._feeds[chat_id], cursor + 1)
                elif cursor is None:
                    self._spawn(self._join(session, chat_id))
                elif cursor < membership[1]:
                    self._delivering.know(self._feeds[chat_id], membership[1])

    async def _check_all(self, user_id: str) -> None:
        joined = await self._joined(user_id, None)
        known = {chat_id for session in self._sessions.of(user_id) for chat_id in session.cursors}
        await self.check(user_id, sorted(joined.keys() | known))

    async def _joined(self, user_id: str, chat_ids: Sequence[str] | None) -> dict[str, Joined]:
        """A hint comes once, so its reading is repeated until it is had or nobody is here to care."""
        while user_id in self._sessions:
            try:
                return await self._timeline.joined(user_id, chat_ids)
            except Transient:
                await asyncio.sleep(RETRY_S)
        return {}

    async def _join(self, session: Session, chat_id: str) -> None:
        """The chat begins for this session, with the event that brought the user in."""
        if chat_id in session.joining or chat_id in session.cursors:
            return
        session.joining.add(chat_id)
        try:
            await self._feeds.hear([chat_id])
            joined = (await self._timeline.joined(session.user_id, [chat_id])).get(chat_id)
            found = await self._history.memberships(
                session.user_id, archived=None, before=None, limit=1, unread_max=WELCOME_UNREAD_MAX, chat_ids=[chat_id]
            )
        except Transient:
            self._feeds.unhear(chat_id)
            await asyncio.sleep(RETRY_S)
            if not session.closed:
                self.hint(session.user_id, [chat_id])
            return
        finally:
            session.joining.discard(chat_id)
        feed = self._feeds.get(chat_id)
        if joined is None or not found or feed is None or session.closed or chat_id in session.cursors:
            return self._feeds.unhear(chat_id)
        joined_seq, head, sees_from = joined
        session.sink.send(self._codec.chat_joined(found[0], joined_seq - 1))
        self._delivering.register(session, feed, joined_seq - 1, sees_from)
        self._delivering.know(feed, head)
        self._spawn(self._streams.show_open(session, [chat_id]))
