"""Invitations by link, into the service and into chats."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime

from app.application.authorize import ADMINISTER, Pep, Reader, asked_of_service, permit_of_service
from app.application.chats import Chats
from app.application.clock import utc_now
from app.application.identity import INVITE
from app.application.ports.history import History, Membership
from app.application.ports.invitations import Invitation
from app.application.ports.invitations import Invitations as Kept
from app.application.ports.people import Accounts, Bearer
from app.application.submit import Done, Submitter
from app.domain.errors import Code, ParleyError
from app.domain.members import AddMember
from app.domain.values import Role

INVITATIONS_MAX = 100
"""Of one maker."""
_TOLD = (Code.BANNED, Code.ARCHIVED, Code.CONFLICT, Code.RATE_LIMITED, Code.UNAVAILABLE)
"""What is said of the chat to who comes by an invitation; all else is that it isn't good any more."""


class Invitations:
    """Each raises ParleyError."""

    def __init__(
        self,
        kept: Kept,
        accounts: Accounts,
        pep: Pep,
        reader: Reader,
        submitter: Submitter,
        history: History,
        chats: Chats,
        new_id: Callable[[], str],
    ) -> None:
        self._kept = kept
        self._accounts = accounts
        self._pep = pep
        self._reader = reader
        self._submitter = submitter
        self._history = history
        self._chats = chats
        self._new_id = new_id

    async def create(
        self, bearer: Bearer, chat_id: str | None, uses: int | None, expires_at: datetime | None
    ) -> Invitation:
        """Into a chat by who may add members to it; into the service by whom the policies let."""
        if expires_at is not None and expires_at <= utc_now():
            raise ParleyError(Code.INVALID, "expires_at: a time to come")
        if chat_id is None:
            await permit_of_service(self._pep, self._accounts, bearer.user_id, INVITE)
        else:
            await self._reader.permit(bearer.user_id, chat_id, "member.add", new_role=Role.MEMBER)
        code = secrets.token_urlsafe(18)
        invitation = Invitation(code, chat_id, bearer.user_id, utc_now(), expires_at, uses)
        made = await self._kept.add(invitation, INVITATIONS_MAX)
        if made is None:
            raise ParleyError(Code.CONFLICT, f"at most {INVITATIONS_MAX} invitations: delete one first")
        return made

    async def all(self, bearer: Bearer, before: tuple[datetime, str] | None, limit: int) -> list[Invitation]:
        """One's own; operators see all."""
        return await self._kept.of(await self._whose(bearer), before, limit)

    async def end(self, bearer: Bearer, code: str) -> None:
        if not await self._kept.end(code, await self._whose(bearer)):
            raise _not_good()

    async def _whose(self, bearer: Bearer) -> str | None:
        may = await asked_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        return None if may.allowed else bearer.user_id

    async def accept(self, bearer: Bearer, code: str) -> Done[Membership]:
        """Come into the chat, as whom its maker adds. Raises StillOpen."""
        taken = await self._kept.take(code, bearer.user_id)
        if taken is None:
            raise _not_good()
        invitation, counts = taken
        try:
            if invitation.chat_id is None:
                raise ParleyError(Code.CONFLICT, "this is an invitation into the service, where you are")
            done = await self._come(bearer, invitation, invitation.chat_id)
        except ParleyError as error:
            if counts:
                await self._kept.give_back(code, bearer.user_id)
            if error.code not in _TOLD:
                raise _not_good() from error
            raise
        return done

    async def _come(self, bearer: Bearer, invitation: Invitation, chat_id: str) -> Done[Membership]:
        action = AddMember(bearer.user_id, Role.MEMBER, invited=True)
        done = await self._submitter.run(invitation.made_by, chat_id, action, self._new_id())
        await self._history.refuse(chat_id, bearer.user_id, False)
        return Done(await self._chats.one(bearer.user_id, chat_id), done.seq, done.seq is not None)


def _not_good() -> ParleyError:
    return ParleyError(Code.NOT_FOUND, "this invitation is not good any more")
