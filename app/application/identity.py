"""Accounts and sessions: who somebody is, for how long, and until when."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

from app.application.bounded import Bounded
from app.application.keys import KEY_BEGINS, KeyRing, hash_of
from app.application.other_issuers import OtherIssuers
from app.application.ports.errors import Unavailable
from app.application.ports.invitations import Invitations
from app.application.ports.limits import SignInLimiter
from app.application.ports.people import Account, Accounts, Bearer, LiveSession, Passwords, Tokens, VouchedSession
from app.domain.errors import Code, ParleyError, rate_limited, unavailable
from app.domain.text import password_forms
from app.domain.values import UserKind

USERNAME = re.compile(r"[a-z0-9][a-z0-9_.-]{2,31}\Z")
REFRESH_GRACE_S = 30.0
REFRESH_TTL_S = 30 * 86_400.0
TICKET_TTL_S = 30
SESSION_CACHE_S = 2.0
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
INVITE = "invitation.create"
"""What the policies are asked of who invites into the service."""
_BOTS_MAX = 1_000
HELD_BACK_MAX = 1_000
"""Sign-ins whose answers wait."""
_SESSIONS_REMEMBERED_MAX = 50_000
_TOKENS_REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class SignedIn:
    account: Account
    access_token: str
    expires_in: int
    refresh_token: str


class SignInRefused(Exception):
    """RFC 6749 §5.2: error is one of its words, or rate_limited."""

    def __init__(self, error: str, description: str, retry_after_s: int | None = None) -> None:
        super().__init__(error, description)
        self.error, self.description, self.retry_after_s = error, description, retry_after_s


def clean_username(username: str) -> str:
    """As it is stored, of a person or an assistant. Raises ParleyError `invalid`."""
    name = username.lower()
    if not USERNAME.match(name):
        raise ParleyError(
            Code.INVALID, "username: 3 to 32 of a-z, 0-9, underscore, dot and hyphen, first a letter or digit"
        )
    return name


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who comes in. registration: open, invite, closed. passwords: whether there are local accounts at all."""

    registration: str = "open"
    passwords: bool = True


class Identity:
    def __init__(
        self,
        accounts: Accounts,
        passwords: Passwords,
        tokens: Tokens,
        limiter: SignInLimiter,
        keys: KeyRing,
        new_id: Callable[[], str],
        invitations: Invitations,
        entrance: Entrance = Entrance(),
        others: OtherIssuers | None = None,
        refresh_ttl_s: float = REFRESH_TTL_S,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._tokens = tokens
        self._limiter = limiter
        self._keys = keys
        self._invitations = invitations
        self.entrance = entrance
        self._others = others
        self._new_id = new_id
        self._refresh_ttl_s = refresh_ttl_s
        self._held_back = 0
        self._alive: Bounded[str, tuple[float, str]] = Bounded(_SESSIONS_REMEMBERED_MAX)
        self._signed: Bounded[str, Bearer] = Bounded(_TOKENS_REMEMBERED_MAX)

    async def register(
        self,
        username: str,
        password: str,
        display_name: str | None,
        address: str,
        client: str = "",
        invitation: str | None = None,
    ) -> SignedIn:
        """Raises ParleyError."""
        if not self.entrance.passwords or self.entrance.registration == "closed":
            raise ParleyError(Code.NOT_ALLOWED, "nobody registers here")
        name, user_id = clean_username(username), self._new_id()
        if self.entrance.registration == "invite":
            await self._come_by(invitation, user_id)
        try:
            hashed = await self.hashed(password, address)
            account = Account(user_id, name, display_name or name, UserKind.HUMAN, "user", {}, hashed)
            if not await self._accounts.create(account):
                raise ParleyError(Code.CONFLICT, "this username is taken")
        except ParleyError:
            if self.entrance.registration == "invite" and invitation is not None:
                await asyncio.shield(self._invitations.give_back(invitation, user_id))
            raise
        return await self._start(account, client)

    async def _come_by(self, invitation: str | None, user_id: str) -> None:
        taken = await self._invitations.take(invitation, user_id) if invitation else None
        may = taken is not None and await self._keys.may(taken[0].made_by, INVITE)
        if taken is None or taken[0].chat_id is not None or not may:
            if taken is not None and invitation:
                await self._invitations.give_back(invitation, user_id)
            raise ParleyError(Code.NOT_ALLOWED, "who registers here needs a good invitation")

    async def hashed(self, password: str, address: str) -> str:
        """As it is kept. Raises ParleyError `unavailable`."""
        try:
            return await self._passwords.hash(password_forms(password)[0], address)
        except Unavailable as error:
            raise unavailable(str(error)) from error

    async def _start(self, account: Account, client: str, vouched: VouchedSession | None = None) -> SignedIn:
        refresh = secrets.token_urlsafe(32)
        session_id = await self._accounts.start_session(account, hash_of(refresh), self._refresh_ttl_s, client, vouched)
        if session_id is None:
            raise SignInRefused("invalid_grant", "the account was changed just now")
        return self._signed_in(account, session_id, refresh)

    def _signed_in(self, account: Account, session_id: str, refresh: str) -> SignedIn:
        access = self._tokens.issue(account.id, session_id)
        return SignedIn(account, access, self._tokens.ttl_s, refresh)

    async def sign_in(self, username: str, password: str, address: str, client: str = "", device: str = "") -> SignedIn:
        """device: a refresh token that is or was this account's: others' failures don't hold it up. Raises
        SignInRefused."""
        if not self.entrance.passwords:
            raise SignInRefused("unsupported_grant_type", "nobody has a password here")
        name = username.strip().lower()
        account = await self._checked(name, password, address, device)
        if account is None:
            raise SignInRefused("invalid_grant", "wrong username or password")
        return await self._start(account, client)

    async def _checked(self, name: str, password: str, address: str, device: str = "") -> Account | None:
        """The account whose password this is; a wrong one counts. Raises SignInRefused after too many."""
        self._hold_back(name, address)
        began = asyncio.get_running_loop().time()
        account = await self._accounts.by_name(name) if USERNAME.match(name) else None
        try:
            good = await self._verified(password, account, address)
        except Unavailable as error:
            raise SignInRefused("temporarily_unavailable", str(error), 1) from error
        self._hold_back(name, address)  # others may have failed meanwhile
        delay_s = self._limiter.delay_s(name) - (asyncio.get_running_loop().time() - began)
        if delay_s > 0 and not (
            device and account and await self._accounts.was_refreshed_by(account.id, hash_of(device))
        ):
            await self._wait(delay_s)
        if good is not None and not good.disabled:
            return good
        self._limiter.failed(name, address)
        return None

    async def _verified(self, password: str, account: Account | None, address: str) -> Account | None:
        """The account whose password this is. An older hash may be of another form of the same words: it is made anew."""
        forms = password_forms(password)
        for form in forms:
            if await self._passwords.verify(form, account.password_hash if account else None, address) and account:
                return account if form == forms[0] else await self._rehashed(account, forms[0], address)
        return None

    async def _rehashed(self, account: Account, password: str, address: str) -> Account:
        with suppress(Unavailable):  # next time, then
            hashed = await self._passwords.hash(password, address)
            if await self._accounts.rehash(account, hashed):
                return replace(account, password_hash=hashed)
            return await self._accounts.by_id(account.id) or account  # somebody was faster
        return account

    async def _wait(self, delay_s: float) -> None:
        if self._held_back >= HELD_BACK_MAX:
            raise SignInRefused("temporarily_unavailable", "too many sign-ins are held back", 5)
        self._held_back += 1
        try:
            await asyncio.sleep(delay_s)
        finally:
            self._held_back -= 1

    def _hold_back(self, name: str, address: str) -> None:
        wait_s = self._limiter.blocked(name, address)
        if wait_s is not None:
            raise SignInRefused("rate_limited", "too many failed tries: wait", wait_s)

    async def change_password(self, bearer: Bearer, current: str, new: str, address: str) -> None:
        """Ends the user's other sessions. Raises ParleyError."""
        account = await self._accounts.by_id(bearer.user_id)
        try:
            checked = await self._checked(account.username if account else "", current, address)
        except SignInRefused as refused:
            wait_ms = (refused.retry_after_s or 1) * 1_000
            raise rate_limited(refused.description, wait_ms) from refused
        if checked is None:
            raise ParleyError(Code.NOT_ALLOWED, "the current password is another")
        hashed = await self.hashed(new, address)
        await self.tell_ended(
            bearer.user_id, await self._accounts.change_password(bearer.user_id, hashed, bearer.session_id)
        )

    async def sessions(self, bearer: Bearer, before_id: str | None, limit: int) -> list[LiveSession]:
        return await self._accounts.sessions(bearer.user_id, before_id, limit)

    async def end_bots(self, user_id: str) -> None:
        """What this person's bots sign in with, whom they know: for who may not come in any more."""
        for bot in await self._accounts.made_by(user_id, "", _BOTS_MAX):
            await self.tell_ended(bot.id, await self._accounts.end_keys(bot.id))

    async def session_alive(self, session_id: str) -> bool:
        """Asked of the store, not remembered."""
        return await self._accounts.session_alive(session_id)

    async def end_session(self, bearer: Bearer, session_id: str) -> None:
        """One's own, this one or another."""
        if not await self._accounts.owns_session(bearer.user_id, session_id):
            raise ParleyError(Code.NOT_FOUND, "no such session of yours")
        await self._accounts.end_session(session_id)
        await self.tell_ended(bearer.user_id, [session_id])

    async def end_other_sessions(self, bearer: Bearer) -> None:
        """All of one's own but this one."""
        await self.tell_ended(
            bearer.user_id, await self._accounts.end_other_sessions(bearer.user_id, bearer.session_id)
        )

    @property
    def has_others(self) -> bool:
        return self._others is not None and bool(self._others.issuers)

    async def exchange(self, token: str, token_type: str, client: str) -> SignedIn:
        """A session of ours for another issuer's token (RFC 8693). Raises SignInRefused, ParleyError, Unavailable."""
        if self._others is None or not self.has_others:
            raise SignInRefused("unsupported_grant_type", "no other issuer is set")
        kind = token_type.removeprefix(TOKEN_TYPE)
        if kind == token_type or kind not in ("access_token", "id_token", "jwt"):
            raise SignInRefused("invalid_request", f"subject_token_type: {TOKEN_TYPE}access_token, id_token or jwt")
        account, vouched = await self._others.exchanged(token, kind == "id_token")
        try:
            return await self.start_vouched(account, client, vouched)
        except SignInRefused as refused:
            raise SignInRefused("invalid_request", refused.description) from refused

    async def start_for(self, account: Account, client: str) -> SignedIn:
        """As a host says who it is. Raises ParleyError."""
        try:
            return await self._start(account, client)
        except SignInRefused as refused:
            raise ParleyError(Code.CONFLICT, refused.description) from refused

    async def start_vouched(self, account: Account, client: str, vouched: VouchedSession) -> SignedIn:
        """As an issuer says who it is: its sign-out ends it, and where that session has ended none begins. Raises
        SignInRefused."""
        return await self._start(account, client, vouched)

    async def refresh(self, token: str) -> SignedIn:
        new = secrets.token_urlsafe(32)
        tried = await self._accounts.use_refresh(hash_of(token), hash_of(new), REFRESH_GRACE_S, self._refresh_ttl_s)
        if tried is not None and tried.replayed:
            await self.tell_ended(tried.user_id, [tried.session_id])
        account = await self._accounts.by_id(tried.user_id) if tried and not tried.replayed else None
        if tried is None or account is None:
            raise SignInRefused("invalid_grant", "this refresh token is not good any more")
        return self._signed_in(account, tried.session_id, new)

    async def logout(self, bearer: Bearer) -> None:
        await self._accounts.end_session(bearer.session_id)
        await self.tell_ended(bearer.user_id, [bearer.session_id])

    async def tell_ended(self, user_id: str, session_ids: Sequence[str]) -> None:
        """Their sockets close, on whatever gateway; what is lost on the way, the poll finds."""
        for session_id in session_ids:
            self._alive.pop(session_id, None)
        await self._keys.tell_ended(user_id, session_ids)

    async def ticket(self, bearer: Bearer) -> str:
        ticket = secrets.token_urlsafe(32)
        await self._accounts.add_ticket(hash_of(ticket), bearer.session_id, TICKET_TTL_S)
        return ticket

    async def by_ticket(self, ticket: str) -> Bearer:
        """A ticket's socket lives as long as a token that is issued now."""
        found = await self._accounts.use_ticket(hash_of(ticket))
        if found is None:
            raise ParleyError(Code.UNAUTHENTICATED, "this ticket is not good any more")
        bearer = self._tokens.verify(self._tokens.issue(found.user_id, found.session_id))
        if found.expires_in_s is not None:
            bearer = replace(bearer, until=min(bearer.until, monotonic() + found.expires_in_s))
        return replace(bearer, scopes=found.scopes)

    def is_signed(self, token: str) -> bool:
        """Whether we signed it, and it isn't over: not whether its session lives. A key, or what another issuer signed:
        whether it was good a moment ago."""
        if token.startswith(KEY_BEGINS):
            return self._keys.is_known(token)
        if self._others is not None and self._others.is_theirs(token):
            return self._others.is_known(token)
        try:
            return bool(self.named(token))
        except ParleyError:
            return False

    def named(self, token: str) -> Bearer:
        """Whom the token names, by its signature alone: whether its session lives is asked elsewhere. A token is looked at
        more than once for a request, and comes again and again."""
        bearer = self._signed.get(token)
        if bearer is None or bearer.until <= monotonic():
            bearer = self._signed[token] = self._tokens.verify(token)
        return bearer

    async def hello(self, token: str) -> Bearer:
        """As `bearer`, for a socket: whether the session lives is seen when its account is read."""
        if token.startswith(KEY_BEGINS) or (self._others is not None and self._others.is_theirs(token)):
            return await self.bearer(token)
        return self.named(token)

    async def bearer(self, token: str) -> Bearer:
        """Whom the token names, if the session lives; looked up at most every 2 s for a session. It may be a key, or another
        issuer's."""
        if token.startswith(KEY_BEGINS):
            return await self._keys.bearer(token)
        if self._others is not None and self._others.is_theirs(token):
            bearer = await self._others.bearer(token)
        else:
            bearer = self.named(token)
        now = monotonic()
        until, whose = self._alive.get(bearer.session_id, (0.0, ""))
        if until < now or whose != bearer.user_id:
            if not await self._accounts.session_alive(bearer.session_id, bearer.user_id):
                raise ParleyError(Code.UNAUTHENTICATED, "the session has ended")
            self._alive[bearer.session_id] = (now + SESSION_CACHE_S, bearer.user_id)
        return bearer
