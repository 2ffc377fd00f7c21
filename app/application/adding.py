"""How often people are added to chats by those with whom they share none."""

from __future__ import annotations

from collections.abc import Sequence

from app.application.ports.people import ADDS_WINDOW_S, Accounts
from app.domain.errors import Code, ParleyError

STRANGERS_MAX = 20


class Adding:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def count(self, adder_id: str, user_ids: Sequence[str]) -> None:
        """Before they are added: whether they may be is the rules' affair. Raises ParleyError `rate_limited` where one
        of them was added by too many such people within the hour."""
        if not user_ids:
            return
        wait_s = await self._accounts.added_by(adder_id, user_ids, STRANGERS_MAX, ADDS_WINDOW_S)
        if wait_s is not None:
            reason = "somebody of these was added to chats by too many strangers within the hour"
            raise ParleyError(Code.RATE_LIMITED, reason, retry_after_ms=int(wait_s * 1_000))
