"""Tokens of other issuers: their keys, fetched and kept, and what makes a token good (RFC 7519, RFC 8725, OpenID Connect Core,
OpenID Connect Back-Channel Logout)."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jwt

from app.adapters.identity.local import CLOCKS_S, LIFE_MAX_S, TOKEN_MAX
from app.adapters.origins import is_loopback
from app.application.background import Background
from app.application.ports.errors import Unavailable
from app.application.ports.issuers import Issuer, Vouched
from app.domain.errors import Code, ParleyError

_PUBLIC_KEYS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_SECRET = "HS256"
_FETCH_S = 5.0
_FETCHED_MAX = 256 * 1024
_KEYS_MAX = 100
_FRESH_S, _AFRESH_S = 600.0, 30.0
"""After so long keys are got anew, behind an answer; where that fails, again after so long."""
_TRIES, _WITHIN_S = 2, 10.0
"""So often within so long an issuer is asked: for a key that isn't known, or since it didn't answer."""
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_SUBJECT_MAX = 255
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")

Headers = Mapping[str, str]
Fetch = Callable[[str, dict[str, str] | None, Headers], Any]
"""(address, a form to post, headers) → the JSON behind it."""


class _Keys:
    """Of one issuer: its documents, kept as they were got last. A fetch is shared by all who wait for it."""

    def __init__(self, issuer: Issuer, fetch: Fetch, background: Background, clock: Callable[[], float]) -> None:
        self.issuer = issuer
        self._fetch = fetch
        self._background = background
        self._clock = clock
        self._keys: list[dict[str, Any]] = []
        self._document: dict[str, Any] = {}
        self._got_at = -1e9
        self._tried: deque[float] = deque(maxlen=_TRIES)
        self._fetching: asyncio.Task[None] | None = None
        self.fetches = 0

    async def candidates(self, kid: object) -> list[dict[str, Any]]:
        """The keys that a token of this `kid` may be signed with."""
        found = _chosen(self._keys, kid)
        now = self._clock()
        if not found and self._may_ask(now):
            await self._refresh()
            found = _chosen(self._keys, kid)
        elif now - self._got_at >= _FRESH_S and (not self._tried or now - self._tried[-1] >= _AFRESH_S):
            self._background.create_task(self._refresh(quietly=True))
        if not found and self._got_at < 0:
            raise Unavailable(f"the issuer {self.issuer.id} doesn't answer")
        return found

    def _may_ask(self, now: float) -> bool:
        return len(self._tried) < _TRIES or now - self._tried[0] >= _WITHIN_S or self._fetching is not None

    async def document(self) -> dict[str, Any]:
        """What it says of itself. Raises Unavailable."""
        if not self._document and self._may_ask(self._clock()):
            await self._refresh()
        if not self._document:
            raise Unavailable(f"the issuer {self.issuer.id} doesn't answer")
        return self._document

    async def _refresh(self, quietly: bool = False) -> None:
        if self._fetching is None:
            self._tried.append(self._clock())
            self._fetching = asyncio.get_running_loop().create_task(self._get())
        try:
            await asyncio.shield(self._fetching)
        except Exception as error:
            if not quietly and self._got_at < 0:
                raise Unavailable(f"the issuer {self.issuer.id} doesn't answer") from error

    async def _get(self) -> None:
        try:
            self.fetches += 1
            url = self.issuer.jwks_url
            if self.issuer.jwks_file:
                self._keys = _keys_in(await asyncio.to_thread(Path(self.issuer.jwks_file).read_text))
                self._got_at = self._clock()
                return
            if not url:
                base = self.issuer.issuer.rstrip("/")
                document = await self._fetch(f"{base}/.well-known/openid-configuration", None, {})
                if document.get("issuer") != self.issuer.issuer:
                    raise ValueError("another issuer's document")
                self._document, url = document, document["jwks_uri"]
                _check_address(url)
            self._keys = _keys_of(await self._fetch(url, None, {}))
            self._got_at = self._clock()
        finally:
            self._fetching = None


def _keys_in(text: str) -> list[dict[str, Any]]:
    """Of a file: a key set, or one public key in PEM."""
    return [{"kty": "PEM", "pem": text}] if text.lstrip().startswith("-----BEGIN") else _keys_of(json.loads(text))


def _keys_of(document: Any) -> list[dict[str, Any]]:
    """Those that sign, and that anybody may see."""
    keys = document["keys"][:_KEYS_MAX]
    return [key for key in keys if key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"]


def _chosen(keys: Sequence[dict[str, Any]], kid: object) -> list[dict[str, Any]]:
    if len(keys) == 1 and "pem" in keys[0]:
        return list(keys)
    if kid is None:
        return list(keys) if len(keys) == 1 else []
    return [key for key in keys if key.get("kid") == kid]


def _check_address(url: str) -> None:
    """Raises ValueError for what somebody on the way could change."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError(f"{url} is not https")


class HttpIssuerTokens:
    """Implements IssuerTokens. clock: monotonic seconds."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        background: Background,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuers = {issuer.id: issuer for issuer in issuers}
        self._clock = clock
        self._fetch = fetch or _fetch
        self.keys = {one.issuer: _Keys(one, self._fetch, background, clock) for one in issuers}

    @property
    def issuers(self) -> Mapping[str, Issuer]:
        return self._issuers

    def is_theirs(self, token: str) -> bool:
        if not self._issuers or len(token) > TOKEN_MAX:
            return False
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return claims["iss"] in self.keys
        except (ValueError, LookupError, TypeError, RecursionError):
            return False

    async def access(self, token: str) -> Vouched:
        issuer, claims = await self._verified(token, lambda one: one.audiences)
        if claims.get("typ") == "ID" or any(name in claims for name in _OF_ID_TOKENS):
            raise _bad("this is an ID token: who somebody is, not what may be asked")
        if "events" in claims:
            raise _bad("this is no access token")
        return self._vouched(issuer, claims, token)

    async def identity(self, token: str, nonce: str | None = None) -> Vouched:
        issuer, claims = await self._verified(token, lambda one: (one.client_id,) if one.client_id else ())
        if claims.get("azp", issuer.client_id) != issuer.client_id or claims.get("typ") in ("Bearer", "Logout"):
            raise _bad("this token is another client's")
        if nonce is not None and not hmac.compare_digest(str(claims.get("nonce", "")), nonce):
            raise _bad("this token is of another sign-in")
        if "events" in claims:
            raise _bad("this is no ID token")
        return self._vouched(issuer, claims, token)

    async def logout(self, token: str) -> Vouched:
        issuer, claims = await self._verified(
            token, lambda one: (one.client_id,) if one.client_id else (), ("iss", "iat", "exp", "aud")
        )
        events = claims.get("events")
        if not isinstance(events, dict) or _LOGOUT_EVENT not in events or "nonce" in claims:
            raise _bad("this is no logout token")
        subject, session = claims.get("sub", ""), claims.get("sid", "")
        if not (isinstance(subject, str) and isinstance(session, str) and (subject or session)):
            raise _bad("nobody is named")
        return Vouched(issuer, subject, session, 0.0, float(claims["iat"]), claims)

    async def _verified(
        self,
        token: str,
        audiences: Callable[[Issuer], Sequence[str]],
        required: Sequence[str] = ("iss", "sub", "iat", "exp", "aud"),
    ) -> tuple[Issuer, dict[str, Any]]:
        if len(token) > TOKEN_MAX:
            raise _bad("this token is too long")
        try:
            header = jwt.get_unverified_header(token)
            claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
            keys = self.keys.get(claimed) if isinstance(claimed, str) else None
            if keys is None:
                raise _bad("nobody vouches for this token")
            issuer, algorithm = keys.issuer, header.get("alg")
            if "crit" in header or not audiences(issuer):
                raise _bad("this token is not for us")
            for key in await self._signing(keys, header.get("kid"), algorithm):
                try:
                    claims: dict[str, Any] = jwt.decode(
                        token,
                        key,
                        algorithms=[str(algorithm)],
                        audience=list(audiences(issuer)),
                        issuer=issuer.issuer,
                        options={"require": list(required)},
                        leeway=CLOCKS_S,
                    )
                except jwt.InvalidSignatureError:
                    continue
                return issuer, _checked(claims)
        except (jwt.PyJWTError, LookupError, ValueError, TypeError, OSError, RecursionError) as error:
            raise _bad("this token is not good") from error
        raise _bad("this token is not good")

    async def _signing(self, keys: _Keys, kid: object, algorithm: object) -> list[Any]:
        """A shared secret is for tokens signed with one, a public key for those that are signed with its other half."""
        if keys.issuer.secret:
            return [keys.issuer.secret] if algorithm == _SECRET else []
        if algorithm not in _PUBLIC_KEYS:
            return []
        made = []
        for one in await keys.candidates(kid):
            if "pem" in one:
                made.append(one["pem"])
            elif one.get("alg", algorithm) == algorithm:
                made.append(jwt.PyJWK(one, algorithm=str(algorithm)).key)
        return made

    def _vouched(self, issuer: Issuer, claims: dict[str, Any], token: str) -> Vouched:
        if issuer.host and "/" in claims["sub"]:
            raise _bad("sub: external ids hold no /")
        session = claims.get("sid") or claims.get("jti")
        if not isinstance(session, str):
            session = sha256(token.encode()).hexdigest()
        left_s = float(claims["exp"]) - time.time()
        return Vouched(issuer, claims["sub"], session, time.monotonic() + left_s, float(claims["iat"]), claims)

    # The page of an issuer

    async def authorize_url(self, issuer: Issuer, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        document = await self.keys[issuer.issuer].document()
        query = {
            "response_type": "code",
            "client_id": issuer.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        page = str(document["authorization_endpoint"])
        return f"{page}{'&' if '?' in page else '?'}{urlencode(query)}"

    async def signed_in(self, issuer: Issuer, code: str, redirect_uri: str, verifier: str, nonce: str) -> Vouched:
        answer = await self._redeem(issuer, code, redirect_uri, verifier)
        vouched = await self.identity(str(answer.get("id_token", "")), nonce)
        if vouched.issuer is not issuer:
            raise _bad("another issuer's token")
        return replace(vouched, claims={**await self._said_beside(vouched, answer), **vouched.claims})

    async def _said_beside(self, vouched: Vouched, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Many issuers say names and addresses at an address of their own alone (OpenID Connect Core, 5.4)."""
        issuer = vouched.issuer
        address = (await self.keys[issuer.issuer].document()).get("userinfo_endpoint")
        missing = any(claim not in vouched.claims for claim in (*issuer.claims.values(), *issuer.attributes))
        if not missing or not address or not answer.get("access_token"):
            return {}
        try:
            _check_address(address)
            said = await self._fetch(address, None, {"Authorization": f"Bearer {answer['access_token']}"})
        except (Unavailable, ValueError):
            return {}  # who somebody is, is known; what they are called comes the next time
        return said if isinstance(said, dict) and said.get("sub") == vouched.subject else {}

    async def _redeem(self, issuer: Issuer, code: str, redirect_uri: str, verifier: str) -> dict[str, Any]:
        document = await self.keys[issuer.issuer].document()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": issuer.client_id,
            "code_verifier": verifier,
        }
        headers = {}
        if issuer.client_secret:
            if "client_secret_basic" in document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
                pair = f"{quote(issuer.client_id, safe='')}:{quote(issuer.client_secret, safe='')}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            else:
                form["client_secret"] = issuer.client_secret
        try:
            _check_address(document["token_endpoint"])
            return dict(await self._fetch(document["token_endpoint"], form, headers))
        except Unavailable:
            raise
        except Exception as error:
            raise _bad("the issuer doesn't know this code") from error


def _checked(claims: dict[str, Any]) -> dict[str, Any]:
    subject = claims.get("sub", "nobody")
    if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_MAX or "\x00" in subject:
        raise ValueError("sub")
    if float(claims["exp"]) - float(claims["iat"]) > LIFE_MAX_S:
        raise ValueError("it lives too long")
    return claims


def _bad(why: str) -> ParleyError:
    return ParleyError(Code.UNAUTHENTICATED, why)


async def _fetch(url: str, form: dict[str, str] | None, headers: Headers) -> Any:
    """The JSON behind an address; a form is posted. Bounded in time and size, follows nothing. Raises Unavailable, ValueError."""
    import httpx2  # only who has such issuers needs it

    try:
        async with asyncio.timeout(_FETCH_S), httpx2.AsyncClient(timeout=_FETCH_S) as http:
            method = "GET" if form is None else "POST"
            async with http.stream(method, url, data=form, headers={"Accept": "application/json", **headers}) as answer:
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > _FETCHED_MAX:
                        raise ValueError("the answer is too large")
                if answer.status_code >= 500:
                    raise Unavailable(f"{answer.status_code} of {urlsplit(url).hostname}")
                if answer.status_code != 200:
                    raise ValueError(f"{answer.status_code}")
    except (httpx2.HTTPError, OSError, TimeoutError) as error:
        raise Unavailable(f"{urlsplit(url).hostname} doesn't answer") from error
    return json.loads(body)
