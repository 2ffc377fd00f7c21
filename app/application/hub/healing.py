"""What a lost publish would not have told: one poll finds it, for all of this process."""

from __future__ import annotations

import asyncio

from app.application.background import Background
from app.application.hub.delivering import Delivering
from app.application.hub.feeds import Feeds
from app.application.hub.membership import Memberships
from app.application.hub.outcomes import Outcomes
from app.application.hub.sessions import LOOK_UP_AFTER_S, Sessions
from app.application.ports.errors import Transient
from app.application.ports.socket import Close
from app.application.ports.store import Heal, Healing

POLL_S = 2.0
_HEAD_GRACE_S = 0.2


class Healer:
    """epoch: of the database's life, as last read."""

    def __init__(
        self,
        sessions: Sessions,
        feeds: Feeds,
        delivering: Delivering,
        memberships: Memberships,
        outcomes: Outcomes,
        heal: Heal,
        background: Background,
    ) -> None:
        self._sessions = sessions
        self._feeds = feeds
        self._delivering = delivering
        self._memberships = memberships
        self._outcomes = outcomes
        self._heal = heal
        self._background = background
        self._poll_now = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.epoch = ""
        self.repairs = 0

    async def start(self) -> None:
        """Raises Transient."""
        self.epoch = await self._heal.epoch()

    def poll_soon(self) -> None:
        self._poll_now.set()

    async def run(self) -> None:
        """Poll for ever; callers that wait too long are looked up."""
        clock = asyncio.get_running_loop().time
        next_poll = clock()
        while True:
            if clock() >= next_poll or self._poll_now.is_set():
                self._poll_now.clear()
                next_poll = clock() + POLL_S
                try:
                    healing = await self._heal.poll()
                    if healing is not None:
                        await self.apply(healing)
                except Exception as error:  # the next poll finds it, from where the last one stood
                    self._outcomes.doubt = True
                    if not isinstance(error, Transient):
                        self._background.trouble("poll", error)
            if self._looking is None or self._looking.done():
                self._looking = self._background.create_task(self._look_up())
            try:
                async with asyncio.timeout(max(0.1, min(LOOK_UP_AFTER_S / 2, next_poll - clock()))):
                    await self._poll_now.wait()
            except TimeoutError:
                pass

    async def _look_up(self) -> None:
        try:
            await self._outcomes.look_up()
        except Transient:
            self._outcomes.doubt = True

    async def apply(self, healing: Healing) -> None:
        if healing.too_late or healing.epoch != self.epoch:
            self.epoch = healing.epoch
            for session in self._sessions.all():
                session.sink.close(Close.RESTART, "resume")
            return
        behind = [
            feed for chat_id, head in healing.heads.items() if (feed := self._feeds.get(chat_id)) and head > feed.tail
        ]
        if behind:
            await asyncio.sleep(_HEAD_GRACE_S)
        for feed in behind:
            if healing.heads[feed.chat_id] > feed.tail:
                self.repairs += 1
                self._outcomes.doubt = True
                self._delivering.know(feed, healing.heads[feed.chat_id])
        for user_id in healing.users:
            if user_id in self._sessions:
                self._memberships.hint_all(user_id)
        for refusal in healing.refused:
            if refusal.actor_id in self._sessions:
                self._outcomes.tell_rejected((refusal.chat_id, refusal.actor_id, refusal.id), refusal.outcome)
        if healing.revoked:
            self._sessions.revoke(healing.revoked)
