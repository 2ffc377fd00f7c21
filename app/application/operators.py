"""What operators do: find people, disable them, make operators of them; act in chats that aren't theirs, and deal with what
is reported. Each act is written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from app.application.authorize import ADMINISTER, Pep, Reader, permit_of_service
from app.application.identity import Identity
from app.application.ports.history import History
from app.application.ports.people import Account, Accounts, AuditEntry, Bearer, LastOperator
from app.application.ports.reports import Report, Reports
from app.application.submit import Done, Submitter
from app.domain.errors import Code, ParleyError, not_found
from app.domain.moderation import Act, Moderate
from app.domain.values import Member, Message, UserKind


class Operators:
    def __init__(
        self,
        accounts: Accounts,
        identity: Identity,
        pep: Pep,
        submitter: Submitter,
        reader: Reader,
        history: History,
        reports: Reports,
        new_id: Callable[[], str],
    ) -> None:
        self._submitter = submitter
        self._reader = reader
        self._history = history
        self._reports = reports
        self._new_id = new_id
        self._accounts = accounts
        self._identity = identity
        self._pep = pep

    async def permit(self, bearer: Bearer) -> None:
        await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)

    async def users(self, bearer: Bearer, prefix: str, after_name: str, limit: int) -> list[Account]:
        await self.permit(bearer)
        return await self._accounts.page(prefix, after_name, limit)

    async def change(
        self,
        bearer: Bearer,
        user_id: str,
        disabled: bool | None,
        role: str | None,
        quotas: Mapping[str, int | None] | None,
    ) -> Account:
        """Disabling ends all sessions at once. quotas: of answers, by name; None as the settings say."""
        await self.permit(bearer)
        account = await self._accounts.by_id(user_id)
        if account is None:
            raise ParleyError(Code.NOT_FOUND, "no such person")
        if account.kind == UserKind.ASSISTANT:
            raise ParleyError(Code.CONFLICT, "an assistant is no person")
        if account.kind == UserKind.BOT and role == "operator":
            raise ParleyError(Code.CONFLICT, "only people are operators")
        try:
            ended = await self._accounts.administer(bearer.user_id, user_id, disabled, role, quotas)
        except LastOperator:
            raise ParleyError(Code.CONFLICT, "the last operator stays one: make another first") from None
        await self._identity.tell_ended(user_id, ended)
        if disabled:
            await self._identity.end_bots(user_id)
        changed = await self._accounts.by_id(user_id)
        assert changed is not None
        return changed

    async def audit(self, bearer: Bearer, before_id: str | None, limit: int) -> list[AuditEntry]:
        await self.permit(bearer)
        return await self._accounts.audit(before_id, limit)

    # In chats that aren't theirs

    async def moderate(
        self,
        bearer: Bearer,
        chat_id: str,
        act: Act,
        target_id: str,
        reason: str,
        until: datetime | None,
        id_: str | None,
    ) -> Done[None]:
        """The policies are asked once more where it is decided. Raises ParleyError, StillOpen."""
        await self.permit(bearer)
        if until is not None and act not in (Act.MUTE, Act.BAN):
            raise ParleyError(Code.INVALID, "until: only of a mute or a ban")
        return await self._submitter.run(bearer.user_id, chat_id, Moderate(act, target_id, reason, until), id_)

    async def make_owner(
        self, bearer: Bearer, chat_id: str, user_id: str, reason: str, id_: str | None
    ) -> Done[Member]:
        done = await self.moderate(bearer, chat_id, Act.OWNER, user_id, reason, None, id_)
        member = await self._history.member(chat_id, user_id)
        if member is None:
            raise not_found()
        return Done(member, done.seq, done.made)

    async def delete(
        self, bearer: Bearer, chat_id: str, message_id: str, reason: str, id_: str | None
    ) -> Done[Message]:
        done = await self.moderate(bearer, chat_id, Act.DELETE, message_id, reason, None, id_)
        message = await self._history.message(chat_id, message_id)
        if message is None:
            raise not_found()
        return Done(message, done.seq, done.made)

    async def message(self, bearer: Bearer, message_id: str) -> Message:
        """Of whatever chat; that it was read is written down."""
        await self.permit(bearer)
        message = await self._history.anywhere(message_id)
        if message is None:
            raise not_found()
        await self._reports.seen(bearer.user_id, message_id, message.chat_id)
        return message

    # Reports

    async def report(self, user_id: str, chat_id: str, message_id: str, reason: str) -> tuple[Report, bool]:
        """By who may read the chat. (the person's first report of this message, whether it is this one)"""
        _, me = await self._reader.permit(user_id, chat_id, "message.report")
        message = await self._history.message(chat_id, message_id)
        if message is None or not me.sees(message):
            raise not_found()
        id_ = self._new_id()
        report = await self._reports.add(id_, chat_id, message_id, user_id, reason)
        return report, report.id == id_

    async def reports(self, bearer: Bearer, open_: bool | None, before_id: str | None, limit: int) -> list[Report]:
        await self.permit(bearer)
        return await self._reports.page(open_, before_id, limit)

    async def close_report(self, bearer: Bearer, report_id: str, note: str) -> Report:
        await self.permit(bearer)
        report = await self._reports.close(bearer.user_id, report_id, note)
        if report is None:
            raise ParleyError(Code.NOT_FOUND, "no such report")
        return report
