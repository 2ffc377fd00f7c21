"""A socket's coming and going: who it is, its welcome, its place among the user's other sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.application.hub.hub import Hub
from app.application.hub.sessions import Session
from app.application.identity import Identity
from app.application.ports.errors import Unavailable
from app.application.ports.fan_out import FanOut, OpenSockets
from app.application.ports.people import Account, Accounts, Bearer
from app.application.ports.socket import Close, Sink
from app.application.signals import Note, pack_note, user_channel
from app.domain.errors import Code, ParleyError

HELLO_WAITS_S = 10.0
"""Shorter than a socket may be silent: nothing is read of one that waits."""


class Sockets:
    """per_user: how many a user may have open; one more closes the oldest, on whatever gateway it is."""

    def __init__(
        self,
        hub: Hub,
        identity: Identity,
        accounts: Accounts,
        open_sockets: OpenSockets,
        fan_out: FanOut,
        new_id: Callable[[], str],
        per_user: int,
    ) -> None:
        self._hub = hub
        self._identity = identity
        self._accounts = accounts
        self._open_sockets = open_sockets
        self._fan_out = fan_out
        self._new_id = new_id
        self._per_user = per_user

    async def signed_in(self, bearer: Bearer, sink: Sink) -> tuple[Session, Account]:
        """A session for this socket, not welcomed yet. Raises ParleyError, Transient, and Unavailable where too many wait,
        or for too long."""
        try:
            async with asyncio.timeout(HELLO_WAITS_S), self._hub.hellos.turn(bearer.user_id):
                account = await self._accounts.of_session(bearer.session_id, bearer.user_id)
        except TimeoutError:
            raise Unavailable("too many come in at once") from None
        if account is None:
            raise ParleyError(Code.UNAUTHENTICATED, "the session has ended")
        return Session(self._new_id(), bearer.user_id, bearer.session_id, sink, bearer.scopes), account

    async def welcome(self, session: Session, account: Account, resume: dict[str, int], epoch: str) -> bool:
        """Give it its chats, and what it missed: chat id → last seq applied, in the client's epoch. False where it was
        closed instead. Raises Transient."""
        await self._hub.open(session, account, resume, epoch)
        if not await self.still_alive(session):
            return False
        oldest = await self._open_sockets.opened(session.user_id, session.id, self._per_user)
        if oldest:
            self._hub.sessions.evict(session.user_id, oldest)
            await self._fan_out.publish([(user_channel(session.user_id), pack_note(Note("evicted", oldest)))])
        return True

    async def refresh(self, session: Session, token: str) -> Bearer:
        """A newer token of the same user; from here on the end of its session is told to this socket. Raises
        ParleyError, Transient."""
        bearer = await self._identity.bearer(token)
        if bearer.user_id != session.user_id:
            raise ParleyError(Code.UNAUTHENTICATED, "this token is another user's")
        session.auth_session_id, session.scopes = bearer.session_id, bearer.scopes
        if not await self.still_alive(session):
            raise ParleyError(Code.UNAUTHENTICATED, "the session has ended")
        return bearer

    async def still_alive(self, session: Session) -> bool:
        """Its end may have been told before anybody listened here; then the socket is closed. Raises Transient."""
        if await self._identity.session_alive(session.auth_session_id):
            return True
        session.sink.close(Close.UNAUTHENTICATED, "the session has ended")
        return False

    def gone(self, session: Session) -> None:
        self._hub.drop(session)
        self._open_sockets.closed(session.user_id, session.id)
