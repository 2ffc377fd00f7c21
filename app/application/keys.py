"""Keys: what programs sign in with, for a person or for a host's backend."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from time import monotonic

from app.application.authorize import ADMINISTER, Pep, asked_of_service, permit_of_service
from app.application.bounded import Bounded
from app.application.clock import utc_now
from app.application.ports.fan_out import FanOut
from app.application.ports.keys import Key, Keys
from app.application.ports.people import Account, Accounts, Bearer
from app.application.signals import Note, pack_note, user_channel
from app.domain.errors import Code, ParleyError
from app.domain.policy import USE_KEY, KeyFacts, Question
from app.domain.scopes import Scope, Scopes
from app.domain.values import UserKind

KEY_BEGINS = "parley_"
KEYS_MAX = 50
"""Of a person; of services as many."""
_SHOWN = len(KEY_BEGINS) + 6
_LOOKED_UP_EACH_S = 2.0
_NO_END_S = 365 * 86_400.0
_KNOWN_S = 60.0
_REMEMBERED_MAX = 10_000
_NOT_GOOD = "this key is not good"


class KeyRing:
    """Each raises ParleyError."""

    def __init__(self, keys: Keys, accounts: Accounts, fan_out: FanOut, pep: Pep, new_id: Callable[[], str]) -> None:
        self._keys = keys
        self._accounts = accounts
        self._fan_out = fan_out
        self._pep = pep
        self._new_id = new_id
        self._seen: Bounded[str, tuple[float, Bearer]] = Bounded(_REMEMBERED_MAX)

    # Who comes with one

    async def bearer(self, key: str) -> Bearer:
        """Whom it names; looked up at most every 2 s."""
        hash_ = hash_of(key)
        seen_at, bearer = self._seen.get(hash_, (0.0, None))
        if bearer is not None and monotonic() - seen_at < _LOOKED_UP_EACH_S and bearer.until > monotonic():
            return bearer
        found = await self._keys.by_hash(hash_)
        if found is None:
            self._seen.pop(hash_, None)
            raise ParleyError(Code.UNAUTHENTICATED, _NOT_GOOD)
        one, left_s = found
        until = monotonic() + (left_s if left_s is not None else _NO_END_S)
        bearer = Bearer(one.user_id, one.id, until, one.scopes)
        self._seen[hash_] = (monotonic(), bearer)
        return bearer

    def is_known(self, key: str) -> bool:
        """Whether it was good a moment ago: nothing is looked up."""
        seen_at, bearer = self._seen.get(hash_of(key), (0.0, None))
        return bearer is not None and monotonic() - seen_at < _KNOWN_S

    def permit(self, scopes: Scopes, scope: Scope) -> None:
        """Whether what comes with these may do what takes that. Who comes without a key may."""
        if scopes is None:
            return
        answer = self._pep.ask(Question(USE_KEY, key=KeyFacts(scopes, scope)))
        if not answer.allowed:
            raise ParleyError(answer.code, f"{answer.reason}: it takes the scope {scope}", policies=answer.policies)

    async def may(self, user_id: str, action: str) -> bool:
        """Whether the policies let this account do it to the service."""
        return (await asked_of_service(self._pep, self._accounts, user_id, action)).allowed

    # A person's

    async def make(
        self, bearer: Bearer, name: str, scopes: Sequence[str], expires_at: datetime | None
    ) -> tuple[Key, str]:
        """(the key, what it is: shown here and never again)."""
        return await self.make_for(bearer.user_id, bearer.user_id, name, scopes, expires_at)

    async def make_for(
        self, actor_id: str, user_id: str, name: str, scopes: Sequence[str], expires_at: datetime | None,
        service: bool = False,
    ) -> tuple[Key, str]:  # fmt: skip
        if expires_at is not None and expires_at <= utc_now() + timedelta(seconds=1):
            raise ParleyError(Code.INVALID, "expires_at: a time to come")
        secret = KEY_BEGINS + secrets.token_urlsafe(32)
        key = Key(
            self._new_id(), user_id, service, name, secret[:_SHOWN], frozenset(scopes), utc_now(), expires_at
        )  # fmt: skip
        made = await self._keys.add(key, hash_of(secret), actor_id, KEYS_MAX)
        if made is None:
            raise ParleyError(Code.CONFLICT, f"at most {KEYS_MAX} keys: delete one first")
        return made, secret

    async def mine(self, bearer: Bearer, before_id: str | None, limit: int) -> list[Key]:
        return await self._keys.of(bearer.user_id, before_id, limit)

    async def end(self, bearer: Bearer, key_id: str) -> None:
        await self._end(key_id, bearer.user_id, bearer.user_id)

    async def _end(self, key_id: str, user_id: str | None, actor_id: str) -> None:
        owner = await self._keys.end(key_id, user_id, actor_id)
        if owner is None:
            raise ParleyError(Code.NOT_FOUND, "no such key")
        await self.tell_ended(owner, [key_id])

    async def tell_ended(self, user_id: str, session_ids: Sequence[str]) -> None:
        """Their sockets close, on whatever gateway; what is lost on the way, the poll finds. Of keys and of sessions."""
        gone = set(session_ids)
        for hash_ in [hash_ for hash_, (_, bearer) in self._seen.items() if bearer.session_id in gone]:
            self._seen.pop(hash_, None)
        notes = [(user_channel(user_id), pack_note(Note("revoked", session_id))) for session_id in session_ids]
        if notes:
            await self._fan_out.publish(notes)

    # Services'

    async def make_service(
        self, bearer: Bearer, name: str, scopes: Sequence[str], expires_at: datetime | None
    ) -> tuple[Key, str]:
        """With a bot of its own, as whom it speaks where it speaks as nobody else."""
        await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        bot_id = self._new_id()
        username = f"service-{bot_id.replace('-', '')[-12:]}"
        bot = Account(bot_id, username, name, UserKind.BOT, "user", {})  # nobody's: it lives and ends with its key
        if not await self._accounts.create(bot):
            raise ParleyError(Code.CONFLICT, "this username is taken")
        return await self.make_for(bearer.user_id, bot_id, name, scopes, expires_at, service=True)

    async def of_services(self, bearer: Bearer, before_id: str | None, limit: int) -> list[Key]:
        await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        return await self._keys.of(None, before_id, limit)

    async def end_service(self, bearer: Bearer, key_id: str) -> None:
        await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        await self._end(key_id, None, bearer.user_id)


def hash_of(secret: str) -> str:
    """As secrets are kept."""
    return sha256(secret.encode()).hexdigest()
