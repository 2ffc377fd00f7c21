"""How a session begins: subscribe, then read heads, then welcome, then catch up what it names."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from app.application.hub.catching_up import CatchingUp
from app.application.hub.delivering import Delivering
from app.application.hub.feeds import Feeds
from app.application.hub.membership import WELCOME_UNREAD_MAX, Memberships
from app.application.hub.sessions import CatchUp, Session, Sessions
from app.application.hub.streams import Streams
from app.application.ports.history import History, Membership
from app.application.ports.people import Account
from app.application.ports.socket import Codec
from app.application.ports.store import Joined, Timeline
from app.application.signals import user_channel
from app.application.turns import Turns

WELCOME_CHATS = 200
HELLOS_AT_ONCE = 60
"""What they read at the same time they read together: a statement of each kind at a time, whoever comes."""
ALONE_AT_ONCE = 6
"""Of those who name chats beyond their latest, which each reads for itself; the rest of the database's connections is for who
is there already."""
HELLOS_WAITING_MAX, HELLOS_WAITING_EACH = 5_000, 40
"""What some seconds serve; one more is told to try again."""


class Opening:
    def __init__(
        self,
        sessions: Sessions,
        feeds: Feeds,
        delivering: Delivering,
        catching_up: CatchingUp,
        memberships: Memberships,
        streams: Streams,
        timeline: Timeline,
        history: History,
        codec: Codec,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.turns = Turns(HELLOS_AT_ONCE, HELLOS_WAITING_MAX, HELLOS_WAITING_EACH)
        """To read what a hello needs, from user to user: a crowd that comes back at once waits here, not for the database."""
        self._alone = Turns(ALONE_AT_ONCE, HELLOS_AT_ONCE, HELLOS_AT_ONCE)
        self._sessions = sessions
        self._feeds = feeds
        self._delivering = delivering
        self._catching_up = catching_up
        self._memberships = memberships
        self._streams = streams
        self._timeline = timeline
        self._history = history
        self._codec = codec
        self._spawn = spawn

    async def open(
        self, session: Session, account: Account, epoch: str, resume: dict[str, int], resume_epoch: str
    ) -> None:
        """epoch: ours, now. resume: chat id → last seq applied, in the client's epoch. Raises Transient."""
        self._sessions.add(session)
        async with self.turns.turn(session.user_id, urgent=True):
            mine = await self._timeline.joined(session.user_id, None)
        await self._feeds.hear(mine, also=[user_channel(session.user_id)])
        registered = False
        try:
            async with self.turns.turn(session.user_id, urgent=True):
                listed = await self._listed(session.user_id, [chat_id for chat_id in resume if chat_id in mine])
                # Fewer than were asked for are all there are, with their heads.
                joined = (
                    await self._timeline.joined(session.user_id, None)
                    if len(listed) >= WELCOME_CHATS
                    else {m.chat.id: Joined(m.member.joined_seq, m.chat.head, m.member.sees_from) for m in listed}
                )
            # What was joined since is not heard yet: it isn't shown, but joined, behind the welcome.
            session.recheck |= (joined.keys() | {membership.chat.id for membership in listed}) - mine.keys()
            listed = [membership for membership in listed if membership.chat.id in mine]
            heads = {chat_id: place.head for chat_id, place in joined.items() if chat_id in mine}
            heads |= {membership.chat.id: membership.chat.head for membership in listed}
            floors = {m.chat.id: m.member.sees_from for m in listed}
            floors |= {chat_id: place.sees_from for chat_id, place in joined.items()}
            if session.closed:
                return
            more = len(heads) > len(listed)
            session.sink.send(self._codec.welcome(session.id, account, epoch, listed, more))
            self._begin(session, mine, heads, floors)
            registered = True
        finally:
            if not registered:
                for chat_id in mine:
                    self._feeds.unhear(chat_id)
        for chat_id, after in resume.items():
            self._catching_up.ask(session, CatchUp(chat_id, after, (None,), resume_epoch != epoch))
        session.opened = True
        if session.recheck:
            self._memberships.hint(session.user_id, list(session.recheck))
        if heads:
            self._spawn(self._streams.show_open(session, list(heads)))

    async def _listed(self, user_id: str, named: list[str]) -> list[Membership]:
        """The latest chats, and all that are named."""
        listed = await self._history.memberships(
            user_id, archived=None, before=None, limit=WELCOME_CHATS, unread_max=WELCOME_UNREAD_MAX
        )
        shown = {membership.chat.id for membership in listed}
        missing = [chat_id for chat_id in named if chat_id not in shown]
        if missing:
            async with self._alone.turn(user_id):
                listed += await self._history.memberships(
                    user_id,
                    archived=None,
                    before=None,
                    limit=len(missing),
                    unread_max=WELCOME_UNREAD_MAX,
                    chat_ids=missing,
                )
        return listed

    def _begin(self, session: Session, mine: dict[str, Joined], heads: dict[str, int], floors: dict[str, int]) -> None:
        """Each chat is live from its head on. mine: the chats whose channels are heard for this session."""
        for chat_id, head in heads.items():
            self._delivering.register(session, self._feeds[chat_id], head, floors[chat_id])
        for chat_id in mine.keys() - heads.keys():
            self._feeds.unhear(chat_id)
