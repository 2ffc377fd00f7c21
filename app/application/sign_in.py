"""Signing in at another issuer's page: the authorization code with PKCE (RFC 6749, RFC 7636, OpenID Connect Core)."""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import quote, urlsplit

from app.application.identity import Identity, SignedIn, SignInRefused
from app.application.keys import hash_of
from app.application.other_issuers import OtherIssuers
from app.application.ports.codes import Codes, Purpose
from app.application.ports.errors import Unavailable
from app.application.ports.issuers import Issuer, IssuerTokens
from app.application.ports.people import Accounts
from app.domain.errors import Code, ParleyError

SIGN_IN_TTL_S = 600
_CODE_TTL_S = 60.0


@dataclass(frozen=True, slots=True)
class Started:
    """url: where the browser goes. cookie: what it keeps till it comes back, or till it has exchanged its code; no script sees
    it."""

    url: str
    cookie: str


class SignIn:
    """keys: the first makes what a sign-in is told by, all know it. What belongs to one is derived from a number that only its
    browser has, so that any gateway ends what another began, and nothing is kept meanwhile."""

    def __init__(
        self,
        tokens: IssuerTokens,
        others: OtherIssuers,
        identity: Identity,
        accounts: Accounts,
        codes: Codes,
        keys: Sequence[bytes],
    ) -> None:
        self._tokens = tokens
        self._others = others
        self._identity = identity
        self._accounts = accounts
        self._codes = codes
        self._keys = keys

    @property
    def providers(self) -> list[Issuer]:
        """Those with a page of their own."""
        return [issuer for issuer in self._tokens.issuers.values() if issuer.client_id]

    def _provider(self, provider_id: str) -> Issuer:
        found = self._tokens.issuers.get(provider_id)
        if found is None or not found.client_id:
            raise ParleyError(Code.NOT_FOUND, "no such provider")
        return found

    async def start(self, provider_id: str, return_to: str, public_url: str) -> Started:
        """Raises ParleyError, Unavailable."""
        provider = self._provider(provider_id)
        base = urlsplit(public_url).path
        return_to = return_to if return_to != "/" else f"{base}/"
        if not is_path(return_to) or not return_to.startswith(f"{base}/"):
            raise ParleyError(Code.INVALID, "return_to: a path of ours")
        number, until = secrets.token_urlsafe(24), int(time.time()) + SIGN_IN_TTL_S
        back = base64.urlsafe_b64encode(return_to.encode()).decode().rstrip("=")
        kept = f"{number}.{until}.{back}"
        key = self._keys[0]
        verifier = _derived(key, "verifier", number)
        challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        url = await self._tokens.authorize_url(
            provider,
            _redirect_uri(provider, public_url),
            _derived(key, "state", number),
            _derived(key, "nonce", number),
            challenge,
        )
        return Started(url, f"{kept}.{_derived(key, f'cookie {provider_id}', kept)}")

    async def end(self, provider_id: str, cookie: str, state: str, code: str, error: str, public_url: str) -> Started:
        """Where the browser goes now: with a code of ours, or with what went wrong. Raises ParleyError."""
        provider = self._provider(provider_id)
        kept, _, mac = cookie.rpartition(".")
        number, _, rest = kept.partition(".")
        until, _, back = rest.partition(".")
        key = next((k for k in self._keys if _same(mac, _derived(k, f"cookie {provider_id}", kept))), None)
        if key is None or not until.isdecimal() or int(until) < time.time():
            return Started(f"{urlsplit(public_url).path}/#error=expired", "")
        return_to = base64.urlsafe_b64decode(back + "=" * (-len(back) % 4)).decode()
        if not _same(state, _derived(key, "state", number)):
            return Started(f"{return_to}#error=invalid_state", "")
        if error or not code:
            return Started(f"{return_to}#error={quote(error or 'invalid_request', safe='')}", "")
        try:
            redirect_uri = _redirect_uri(provider, public_url)
            verifier, nonce = _derived(key, "verifier", number), _derived(key, "nonce", number)
            vouched = await self._tokens.signed_in(provider, code, redirect_uri, verifier, nonce)
            account, session_id = await self._others.seen(vouched)
        except ParleyError:
            return Started(f"{return_to}#error=access_denied", "")
        except Unavailable:
            return Started(f"{return_to}#error=temporarily_unavailable", "")
        ours, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        details = {
            "issuer": provider.issuer,
            "session": vouched.session,
            "session_id": session_id,
            "browser": hash_of(browser),
        }
        await self._codes.add(hash_of(ours), Purpose.SIGN_IN, account.id, _CODE_TTL_S, details)
        return Started(f"{return_to}#code={ours}", browser)

    async def by_code(self, code: str, client: str, cookie: str | None, is_browser: bool) -> SignedIn:
        """cookie: what the browser kept since it came back: who has another's link isn't signed in as that one. Raises
        SignInRefused."""
        used = await self._codes.use(hash_of(code), Purpose.SIGN_IN)
        account = await self._accounts.by_id(used.user_id) if used is not None else None
        if used is None or account is None or (is_browser and hash_of(cookie or "") != used.details["browser"]):
            raise SignInRefused("invalid_grant", "this code is not good any more")
        details = used.details
        vouched = (details["issuer"], details["session"], details["session_id"])
        return await self._identity.start_vouched(account, client, vouched)

    async def signed_out(self, provider_id: str, token: str) -> None:
        """By the back channel. Raises ParleyError, Unavailable."""
        self._provider(provider_id)
        for session_id, user_id in await self._others.signed_out(token):
            await self._identity.tell_ended(user_id, [session_id])


def is_path(return_to: str) -> bool:
    """Of ours: nothing that a browser takes for another place."""
    good = return_to.startswith("/") and not return_to.startswith(("//", "/\\"))
    return good and return_to.isprintable() and "#" not in return_to and "\\" not in return_to


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _redirect_uri(provider: Issuer, public_url: str) -> str:
    return f"{public_url}/v1/auth/providers/{quote(provider.id, safe='')}/callback"


def _derived(key: bytes, what: str, number: str) -> str:
    made = hmac.digest(key, f"{what}\x00{number}".encode(), "sha256")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")
