"""Bots: users that programs are, with keys in place of passwords."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.application.authorize import ADMINISTER, Pep, asked_of_service, permit_of_service
from app.application.identity import clean_username
from app.application.keys import KeyRing
from app.application.ports.keys import Key
from app.application.ports.people import Account, Accounts, Bearer
from app.domain.errors import Code, ParleyError, not_found
from app.domain.scopes import Scope
from app.domain.values import UserKind

CREATE = "bot.create"
_LOOKED_AT_MAX = 1_000
BOTS_MAX = 20
"""Of one person."""


@dataclass(frozen=True, slots=True)
class MadeBot:
    """secret: its key, shown once."""

    account: Account
    key: Key
    secret: str


class Bots:
    """Each raises ParleyError."""

    def __init__(self, accounts: Accounts, keys: KeyRing, pep: Pep, new_id: Callable[[], str]) -> None:
        self._accounts = accounts
        self._keys = keys
        self._pep = pep
        self._new_id = new_id

    async def create(self, bearer: Bearer, username: str, display_name: str, by_operator: bool) -> MadeBot:
        """by_operator: as one; else as anybody whom the policies let have bots of their own."""
        action = ADMINISTER if by_operator else CREATE
        await permit_of_service(self._pep, self._accounts, bearer.user_id, action)
        if not by_operator:
            mine = await self._accounts.made_by(bearer.user_id, "", _LOOKED_AT_MAX)
            if sum(not bot.disabled for bot in mine) >= BOTS_MAX:
                raise ParleyError(Code.CONFLICT, f"at most {BOTS_MAX} bots: delete one first")
        name = clean_username(username)
        bot = Account(self._new_id(), name, display_name, UserKind.BOT, "user", {}, made_by=bearer.user_id)
        if not await self._accounts.create(bot):
            raise ParleyError(Code.CONFLICT, "this username is taken")
        return await self._with_key(bearer, bot)

    async def _with_key(self, bearer: Bearer, bot: Account) -> MadeBot:
        key, secret = await self._keys.make_for(bearer.user_id, bot.id, bot.username, list(Scope), None)
        return MadeBot(bot, key, secret)

    async def mine(self, bearer: Bearer, after_name: str, limit: int) -> list[Account]:
        """By username; those that are deleted too, as they were."""
        return await self._accounts.made_by(bearer.user_id, after_name, limit)

    async def new_key(self, bearer: Bearer, bot_id: str) -> MadeBot:
        """In place of all keys that it has."""
        bot = await self._own(bearer, bot_id)
        if bot.disabled:
            raise ParleyError(Code.CONFLICT, "this bot is disabled")
        ended = await self._accounts.end_keys(bot.id)
        made = await self._with_key(bearer, bot)
        await self._keys.tell_ended(bot.id, ended)
        return made

    async def disable(self, bearer: Bearer, bot_id: str) -> None:
        """It does nothing any more; what it said stays, and so does its name."""
        bot = await self._own(bearer, bot_id)
        await self._keys.tell_ended(bot.id, await self._accounts.administer(bearer.user_id, bot.id, True, None))

    async def _own(self, bearer: Bearer, bot_id: str) -> Account:
        """Who made it may, and operators."""
        bot = await self._accounts.by_id(bot_id)
        if bot is None or bot.kind != UserKind.BOT or bot.made_by is None:
            raise not_found()
        if bot.made_by != bearer.user_id:
            may = await asked_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
            if not may.allowed:
                raise not_found()
        return bot
