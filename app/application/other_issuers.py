"""People for whom another issuer vouches: an identity provider, or the product that this service is put under."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from time import monotonic
from typing import Any

from app.application.bounded import Bounded
from app.application.keys import hash_of
from app.application.ports.issuers import Identities, Issuer, IssuerTokens, Vouched
from app.application.ports.people import Account, Accounts, Bearer, LastOperator, VouchedSession
from app.domain.errors import Code, ParleyError
from app.domain.ids import derived_id, external_user_id
from app.domain.text import NAME_MAX, clean_name
from app.domain.values import Person, UserKind

_SEEN_MAX = 10_000
_TRIES = 5
_NOT_A_NAME = re.compile(r"[^a-z0-9_.-]+")
_EMAIL_MAX = 254


class OtherIssuers:
    """Each raises ParleyError, and Unavailable where an issuer can't be asked. renamed: told of who has another name now."""

    def __init__(
        self,
        tokens: IssuerTokens,
        identities: Identities,
        accounts: Accounts,
        new_id: Callable[[], str],
        renamed: Callable[[Person], Awaitable[None]],
    ) -> None:
        self._tokens = tokens
        self._identities = identities
        self._accounts = accounts
        self._new_id = new_id
        self._renamed = renamed
        self._seen: Bounded[str, Bearer] = Bounded(_SEEN_MAX)

    @property
    def issuers(self) -> Mapping[str, Issuer]:
        return self._tokens.issuers

    def is_theirs(self, token: str) -> bool:
        return self.is_known(token) or self._tokens.is_theirs(token)

    def is_known(self, token: str) -> bool:
        """Whether it was good a while ago, and isn't over."""
        seen = self._seen.get(hash_of(token))
        return seen is not None and seen.until > monotonic()

    async def bearer(self, token: str) -> Bearer:
        """Whom an access token means, in the session that its issuer speaks of. Whether that lives is asked elsewhere."""
        hash_ = hash_of(token)
        seen = self._seen.get(hash_)
        if seen is not None and seen.until > monotonic():
            return seen
        vouched = await self._tokens.access(token)
        account, session_id = await self.seen(vouched, used=True)
        bearer = self._seen[hash_] = Bearer(account.id, session_id, vouched.until)
        return bearer

    async def seen(self, vouched: Vouched, used: bool = False) -> tuple[Account, str]:
        """(whom it means, the id of the session that it belongs to). used: as a bearer. Whether the session lives is asked
        elsewhere."""
        account = await self.person(vouched)
        session_id = session_id_of(vouched.issuer.issuer, vouched.subject, vouched.session)
        await self._identities.vouch(session_id, account.id, vouched.issuer.issuer, vouched.session, used)
        return account, session_id

    async def exchanged(self, token: str, id_token: bool) -> tuple[Account, VouchedSession]:
        vouched = await (self._tokens.identity(token) if id_token else self._tokens.access(token))
        account, session_id = await self.seen(vouched)
        return account, (vouched.issuer.issuer, vouched.session, session_id)

    async def person(self, vouched: Vouched) -> Account:
        """Whom it means; somebody new where the settings let them in. What its claims say of them is theirs from now on."""
        issuer, subject = vouched.issuer, vouched.subject
        known = await self._identities.find(issuer.issuer, subject)
        if known is not None and vouched.issued_at < known.signed_out_at:
            raise _refused("signed out since")
        user_id = external_user_id(subject) if issuer.host else known.user_id if known is not None else None
        account = await self._accounts.by_id(user_id) if user_id is not None else None
        if account is None:
            account = await self._made(vouched)
        elif account.disabled:
            raise _refused("this account is disabled")
        else:
            await self._follow(account, vouched)
        return account

    async def _made(self, vouched: Vouched) -> Account:
        issuer, subject = vouched.issuer, vouched.subject
        if not issuer.makes_people:
            raise _refused("nobody is known by this subject")
        said = _said(vouched)
        name = username_of(said["username"] or subject)
        shown = said["display_name"] or name
        user_id = external_user_id(subject) if issuer.host else self._new_id()
        external_id = subject if issuer.host else None
        attributes = said["attributes"]
        for _ in range(_TRIES):
            account = Account(
                user_id, name, shown, UserKind.HUMAN, "user", {}, external_id=external_id, attributes=attributes
            )
            if await self._accounts.create(account):
                break
            if (found := await self._accounts.by_id(user_id)) is not None:  # another process was faster
                return found
            name = username_of(f"{name[:24]}-{sha256(f'{issuer.issuer} {subject} {name}'.encode()).hexdigest()[:6]}")
        else:
            raise ParleyError(Code.CONFLICT, "no username is free")
        if not issuer.host:
            bound = await self._identities.bind(issuer.issuer, subject, user_id)
            if bound != user_id:
                await self._accounts.administer(None, user_id, True, None)
                user_id = bound
        made = await self._accounts.by_id(user_id)
        assert made is not None
        await self._follow(made, vouched)
        return made

    async def _follow(self, account: Account, vouched: Vouched) -> None:
        said = _said(vouched)
        changed = (
            said["display_name"] not in (None, account.display_name)
            or said["email"] not in (None, account.email)
            or any(account.attributes.get(name) != one for name, one in said["attributes"].items())
        )
        if changed and await self._identities.follow(
            account.id, said["display_name"], said["email"], said["attributes"]
        ):
            name = said["display_name"] or account.display_name
            await self._renamed(Person(account.id, account.username, name, account.kind))
        if said["role"] not in (None, account.role):
            with suppress(LastOperator):  # somebody has to be one
                await self._accounts.administer(None, account.id, None, said["role"])

    async def signed_out(self, token: str) -> list[tuple[str, str]]:
        """By the back channel: (session id, user id) of each session that ended."""
        vouched = await self._tokens.logout(token)
        issuer, subject = vouched.issuer, vouched.subject
        if issuer.host and subject:
            user_id = external_user_id(subject)
            if await self._accounts.by_id(user_id) is None:
                return []
            await self._identities.bind(issuer.issuer, subject, user_id)
        return await self._identities.sign_out(issuer.issuer, subject, vouched.session)


def session_id_of(issuer: str, subject: str, session: str) -> str:
    """The same for all tokens of that session."""
    return derived_id("issuer session", issuer, subject, session)


def username_of(said: str) -> str:
    """As it may be called here: other characters become hyphens."""
    name = _NOT_A_NAME.sub("-", said.partition("@")[0].lower()).strip("-_.")[:32]
    return name if len(name) >= 3 else f"{name or 'user'}-{sha256(said.encode()).hexdigest()[:6]}"


def _said(vouched: Vouched) -> dict[str, Any]:
    """Username, display name, email, role and attributes, as far as the claims have them."""
    issuer, claims = vouched.issuer, vouched.claims
    found = {field: claim_of(claims, path) for field, path in issuer.claims.items()}
    texts = {field: value for field, value in found.items() if isinstance(value, str) and value.strip()}
    display_name = None
    with suppress(ParleyError):
        display_name = clean_name(texts["display_name"][:NAME_MAX], NAME_MAX) if "display_name" in texts else None
    email = texts.get("email")
    role = None
    if issuer.operator:
        value = found.get("role")
        role = "operator" if issuer.operator in (value if isinstance(value, list) else [value]) else "user"
    # What a token doesn't say stays as it is: a host says more by its backend, and an access token less than an ID token.
    attributes = {name: plain for name in issuer.attributes if (plain := claim_of(claims, name)) is not None}
    if "picture" in texts:
        attributes["picture"] = texts["picture"]
    return {
        "username": texts.get("username"),
        "display_name": display_name,
        "email": email if email and len(email) <= _EMAIL_MAX else None,
        "role": role,
        "attributes": attributes,
    }


def claim_of(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of that name; `a.b` is `b` in `a` where no claim is called so."""
    if path in claims:
        return claims[path]
    first, _, rest = path.partition(".")
    inner = claims.get(first)
    return claim_of(inner, rest) if rest and isinstance(inner, dict) else None


def _refused(why: str) -> ParleyError:
    return ParleyError(Code.UNAUTHENTICATED, why)
