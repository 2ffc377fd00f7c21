"""What operators do: find people, disable them, make operators of them; each act is written down."""

from __future__ import annotations

from app.application.authorize import Pep
from app.application.identity import Identity
from app.application.ports.people import Account, Accounts, AuditEntry, Bearer, LastOperator
from app.domain.errors import Code, ParleyError
from app.domain.policy import Question
from app.domain.values import UserKind

ACTION = "users.administer"


class Operators:
    def __init__(self, accounts: Accounts, identity: Identity, pep: Pep) -> None:
        self._accounts = accounts
        self._identity = identity
        self._pep = pep

    async def permit(self, bearer: Bearer) -> None:
        """Read anew each time: who is no operator any more does nothing more."""
        account = await self._accounts.by_id(bearer.user_id)
        answer = self._pep.ask(Question(ACTION, role=account.role if account else ""))
        if not answer.allowed:
            raise ParleyError(Code.NOT_ALLOWED, answer.reason, policies=answer.policies)

    async def users(self, bearer: Bearer, prefix: str, after_name: str, limit: int) -> list[Account]:
        await self.permit(bearer)
        return await self._accounts.page(prefix, after_name, limit)

    async def change(self, bearer: Bearer, user_id: str, disabled: bool | None, role: str | None) -> Account:
        """Disabling ends all sessions at once."""
        await self.permit(bearer)
        account = await self._accounts.by_id(user_id)
        if account is None:
            raise ParleyError(Code.NOT_FOUND, "no such person")
        if account.kind == UserKind.ASSISTANT:
            raise ParleyError(Code.CONFLICT, "an assistant is no person")
        try:
            ended = await self._accounts.administer(bearer.user_id, user_id, disabled, role)
        except LastOperator:
            raise ParleyError(Code.CONFLICT, "the last operator stays one: make another first") from None
        await self._identity.tell_ended(user_id, ended)
        changed = await self._accounts.by_id(user_id)
        assert changed is not None
        return changed

    async def audit(self, bearer: Bearer, before_id: str | None, limit: int) -> list[AuditEntry]:
        await self.permit(bearer)
        return await self._accounts.audit(before_id, limit)
