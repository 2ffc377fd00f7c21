"""Which tokens of other issuers are good, and how their keys are got: without a socket, by a clock that is moved."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from app.adapters.identity.issuers import HttpIssuerTokens
from app.application.background import Background
from app.application.ports.errors import Unavailable
from app.application.ports.issuers import Issuer
from app.domain.errors import Code, ParleyError
from tests.issuer import Signer, SigningKey

COMPANY, OTHER, HOST = "https://id.example.org", "https://other.example.org", "https://shop.example.org"
SECRET = "a secret that the host and we share, long enough"


class Setting:
    """Two providers and a host; what is fetched comes from here."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.company, self.other = Signer(COMPANY), Signer(OTHER)
        self.fetched: list[str] = []
        self.down = False
        issuers = [
            Issuer("company", "Company", COMPANY, ("parley",), client_id="chat"),
            Issuer("other", "Other", OTHER, ("parley",), client_id="chat"),
            Issuer("shop", "Shop", HOST, ("parley",), host=True, secret=SECRET),
        ]
        background = Background(lambda what, error: None)
        self.tokens = HttpIssuerTokens(issuers, background, self.fetch, lambda: self.now)

    async def fetch(self, url: str, form: dict[str, str] | None, headers: Any) -> Any:
        self.fetched.append(url)
        if self.down:
            raise Unavailable("down")
        signer = self.company if url.startswith(COMPANY) else self.other
        if url.endswith("/.well-known/openid-configuration"):
            return {"issuer": signer.issuer, "jwks_uri": f"{signer.issuer}/jwks"}
        return signer.jwks

    async def refused(self, token: str) -> str:
        with pytest.raises(ParleyError) as caught:
            await self.tokens.access(token)
        assert caught.value.code == Code.UNAUTHENTICATED
        return caught.value.reason


async def test_a_good_token_says_who_for_how_long_and_in_which_session() -> None:
    s = Setting()
    token = s.company.sign("s-1", sid="session-7", name="Ann")
    assert s.tokens.is_theirs(token) and not s.tokens.is_theirs("x.y.z") and not s.tokens.is_theirs("parley_abc")
    vouched = await s.tokens.access(token)
    assert (vouched.issuer.id, vouched.subject, vouched.session) == ("company", "s-1", "session-7")
    assert 590 < vouched.until - time.monotonic() <= 600 and vouched.claims["name"] == "Ann"
    assert (await s.tokens.access(s.company.sign("s-1", jti="j-1"))).session == "j-1"
    minted = jwt.encode(jwt.decode(s.company.sign("u-1", iss=HOST), options={"verify_signature": False}), SECRET)
    assert (await s.tokens.access(minted)).issuer.host
    many = await s.tokens.access(s.company.sign(aud=["account", "parley"]))
    assert many.subject == "s-1"


def _hostile(s: Setting) -> dict[str, str]:
    """25 and more tokens that aren't good, by what is wrong with them."""
    company, now, attacker = s.company, int(time.time()), SigningKey("k1")
    good = company.sign()
    head, body, mac = good.split(".")

    def with_head(**more: Any) -> str:
        made = {"alg": "RS256", "typ": "JWT", "kid": "k1"} | more
        return f"{base64.urlsafe_b64encode(json.dumps(made).encode()).decode().rstrip('=')}.{body}.{mac}"

    def hmac_with(secret: str, issuer: str = COMPANY) -> str:
        """As a library that takes whatever the head says would be fooled: PyJWT won't sign so."""
        claims = {"iss": issuer, "sub": "s-1", "aud": "parley", "iat": now, "exp": now + 60}
        parts = [{"alg": "HS256", "typ": "JWT", "kid": "k1"}, claims]
        text = ".".join(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)
        signed = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
        return f"{text}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}"

    return {
        "signed by somebody else's key of the same kid": company.sign(key=attacker.private),
        "the public key as a secret": hmac_with(company.keys[0].pem),
        "the key set as a secret": hmac_with(json.dumps(company.keys[0].jwk)),
        "a shared secret where none is": hmac_with(SECRET),
        "an issuer that signs with a public key, where a secret is": s.company.sign(iss=HOST),
        "another issuer's key": s.other.sign(iss=COMPANY, headers={"kid": "k1"}),
        "an issuer that nobody knows": company.sign(iss="https://evil.example.org"),
        "an issuer that begins alike": company.sign(iss=f"{COMPANY}.evil.example.org"),
        "an issuer with a slash more": company.sign(iss=f"{COMPANY}/"),
        "no issuer": company.sign(iss=None),
        "our own issuer": company.sign(iss="parley"),
        "an audience of somebody else": company.sign(aud="billing"),
        "no audience": company.sign(aud=None),
        "the client's audience: an ID token's": company.sign(aud="chat"),
        "an ID token, by its type": company.sign(typ="ID"),
        "an ID token, by its nonce": company.sign(nonce="n"),
        "an ID token, by its hash": company.sign(at_hash="h"),
        "a logout token": company.logout_token("parley"),
        "over": company.sign(iat=now - 600, exp=now - 60),
        "not yet": company.sign(nbf=now + 600),
        "of the future": company.sign(iat=now + 600, exp=now + 900),
        "for two days": company.sign(exp=now + 2 * 86_400),
        "without an end": company.sign(exp=None),
        "without a beginning": company.sign(iat=None),
        "without a subject": company.sign(sub=None),
        "a subject that is none": company.sign(sub=""),
        "a subject of a thousand": company.sign("s" * 1_000),
        "no algorithm": f"{with_head(alg='none').rsplit('.', 1)[0]}.",
        "no algorithm, in capitals": f"{with_head(alg='NONE').rsplit('.', 1)[0]}.",
        "another algorithm than the key's": with_head(alg="PS256"),
        "a head that says where the key is": with_head(jku="https://evil.example.org/jwks"),
        "a head with its own key": with_head(jwk=attacker.jwk),
        "a head with what we don't know": with_head(crit=["x"], x=1),
        "a kid that is a path": with_head(kid="../../k1"),
        "a kid that is no text": with_head(kid=7),
        "cut": good[:-4],
        "another body": f"{head}.{body[:-4]}AAAA.{mac}",
        "no token": "x.y.z",
        "five parts": f"{good}.a.b",
        "far too long": company.sign(sub="s", x="y" * 5_000),
    }


async def test_hostile_tokens_are_not_good_and_ask_nobody_again() -> None:
    s = Setting()
    await s.tokens.access(s.company.sign())
    await s.tokens.access(s.other.sign(headers={"kid": "k1"}))
    hostile = _hostile(s)
    assert len(hostile) >= 25
    for what, token in hostile.items():
        assert await s.refused(token), what
    assert len(s.fetched) <= 6, "two documents and two key sets, and once more for a kid that nobody knows"


async def test_equal_subjects_of_two_issuers_stay_two() -> None:
    s = Setting()
    one, two = await s.tokens.access(s.company.sign("1")), await s.tokens.access(s.other.sign("1"))
    assert (one.issuer.id, two.issuer.id) == ("company", "other")


async def test_a_flood_of_unknown_kids_is_at_most_two_fetches() -> None:
    s = Setting()
    await s.tokens.access(s.company.sign())
    s.fetched.clear()
    s.now += 31
    for n in range(200):
        await s.refused(s.company.sign(headers={"kid": f"unknown-{n}"}))
        s.now += 0.01
    assert sum(url.endswith("/jwks") for url in s.fetched) <= 2
    await s.tokens.access(s.company.sign())


async def test_a_new_key_is_good_at_once_and_the_old_one_as_long_as_it_is_shown() -> None:
    s = Setting()
    before = s.company.sign()
    await s.tokens.access(before)
    s.now += 31
    s.company.keys.insert(0, SigningKey("k2"))
    await s.tokens.access(s.company.sign())
    await s.tokens.access(before)
    s.company.keys.pop()
    s.now += 700
    await s.tokens.access(s.company.sign())  # old enough to be looked at again, behind this answer
    await asyncio.sleep(0.05)
    assert await s.refused(before)


async def test_an_issuer_that_is_down_keeps_its_keys_and_one_that_never_answered_says_so() -> None:
    s = Setting()
    token = s.company.sign()
    await s.tokens.access(token)
    s.down = True
    for _ in range(30):
        s.now += 60
        await s.tokens.access(token)
    with pytest.raises(Unavailable):
        await s.tokens.access(s.other.sign())
    s.down = False
    s.now += 31
    await s.tokens.access(s.other.sign())


async def test_an_id_token_is_our_client_s_and_of_this_sign_in() -> None:
    s = Setting()
    good: dict[str, Any] = {"aud": "chat", "nonce": "n-1"}
    vouched = await s.tokens.identity(s.company.sign(**good), "n-1")
    assert vouched.subject == "s-1"
    wrong: dict[str, Callable[[], str]] = {
        "another sign-in's": lambda: s.company.sign(aud="chat", nonce="n-2"),
        "without its number": lambda: s.company.sign(aud="chat"),
        "another client's": lambda: s.company.sign(aud="shop", nonce="n-1"),
        "made for another client": lambda: s.company.sign(**good, azp="shop"),
        "an access token": lambda: s.company.sign(nonce="n-1"),
        "an access token, by its type": lambda: s.company.sign(**good, typ="Bearer"),
        "a logout token": lambda: s.company.logout_token("chat", nonce="n-1"),
        "the host's": lambda: jwt.encode({"iss": HOST, **good}, SECRET),
    }
    for what, token in wrong.items():
        with pytest.raises(ParleyError) as caught:
            await s.tokens.identity(token(), "n-1")
        assert caught.value.code == Code.UNAUTHENTICATED, what


async def test_a_logout_token_names_a_session_or_a_subject() -> None:
    s = Setting()
    named = await s.tokens.logout(s.company.logout_token("chat", sid="session-7"))
    assert (named.subject, named.session) == ("s-1", "session-7")
    of_all = await s.tokens.logout(s.company.logout_token("chat"))
    assert (of_all.subject, of_all.session) == ("s-1", "")
    for token in (
        s.company.sign(aud="chat"),
        s.company.logout_token("parley"),
        s.company.logout_token("chat", nonce="n"),
        s.company.logout_token("chat", events={"https://example.org/else": {}}),
        s.company.logout_token("chat", sub=None),
    ):
        with pytest.raises(ParleyError):
            await s.tokens.logout(token)


async def test_keys_come_from_an_address_a_file_or_a_secret(tmp_path: Any) -> None:
    signer, background = Signer(HOST), Background(lambda what, error: None)
    file, pem = tmp_path / "jwks.json", tmp_path / "key.pem"
    file.write_text(json.dumps(signer.jwks))
    pem.write_text(signer.keys[0].pem)

    async def nothing(url: str, form: Any, headers: Any) -> Any:
        raise AssertionError("nothing is fetched")

    async def shown(url: str, form: Any, headers: Any) -> Any:
        assert url == f"{HOST}/keys"
        return signer.jwks

    ways: list[tuple[dict[str, Any], Any]] = [
        ({"jwks_file": str(file)}, nothing),
        ({"jwks_file": str(pem)}, nothing),
        ({"jwks_url": f"{HOST}/keys"}, shown),
    ]
    for more, fetch in ways:
        made = Issuer("shop", "Shop", HOST, ("parley",), host=True, **more)
        tokens = HttpIssuerTokens([made], background, fetch)
        assert (await tokens.access(signer.sign("u-1"))).subject == "u-1"
        with pytest.raises(ParleyError):
            await tokens.access(Signer(HOST).sign("u-1"))


async def test_a_document_of_another_issuer_or_over_http_is_not_believed() -> None:
    documents: list[Any] = [
        {"issuer": OTHER, "jwks_uri": f"{COMPANY}/jwks"},
        {"issuer": COMPANY, "jwks_uri": "http://id.example.org/jwks"},
        {"issuer": COMPANY},
        [],
    ]
    for document in documents:
        signer = Signer(COMPANY)

        async def fetch(url: str, form: Any, headers: Any, said: Any = document, keys: Any = signer.jwks) -> Any:
            return said if url.endswith("openid-configuration") else keys

        made = Issuer("company", "Company", COMPANY, ("parley",))
        tokens = HttpIssuerTokens([made], Background(lambda what, error: None), fetch)
        with pytest.raises(Unavailable):
            await tokens.access(signer.sign())


class Endpoints(Setting):
    """The company's token and userinfo addresses too. methods: by which clients prove who they are. said: of who signed in."""

    def __init__(self, methods: list[str] | None, id_claims: dict[str, Any], said: Any) -> None:
        super().__init__()
        self.methods, self.id_claims, self.said = methods, id_claims, said
        self.asked: list[tuple[str, Any, Any]] = []

    async def fetch(self, url: str, form: dict[str, str] | None, headers: Any) -> Any:
        self.asked.append((url, form, headers))
        if url.endswith("openid-configuration"):
            document = {
                "issuer": COMPANY, "jwks_uri": f"{COMPANY}/jwks", "token_endpoint": f"{COMPANY}/token",
                "userinfo_endpoint": f"{COMPANY}/me", "authorization_endpoint": f"{COMPANY}/authorize?x=1",
            }  # fmt: skip
            return document | ({"token_endpoint_auth_methods_supported": self.methods} if self.methods else {})
        if url.endswith("/token"):
            return {"id_token": self.company.sign(**{"aud": "chat", **self.id_claims}), "access_token": "at"}
        if url.endswith("/me"):
            if isinstance(self.said, Exception):
                raise self.said
            return self.said
        return self.company.jwks


async def signed_in(s: Endpoints, secret: str = "a secret") -> dict[str, Any]:
    issuer = Issuer(
        "company", "Company", COMPANY, ("parley",), client_id="chat", client_secret=secret, claims={"display_name": "name"}
    )  # fmt: skip
    tokens = HttpIssuerTokens([issuer], Background(lambda what, error: None), s.fetch, lambda: s.now)
    return dict((await tokens.signed_in(issuer, "c", "https://chat/callback", "v", "n-1")).claims)


async def test_a_code_is_redeemed_as_the_issuer_wants_it() -> None:
    for methods, in_head in (
        (None, True),
        (["client_secret_post"], False),
        (["client_secret_post", "client_secret_basic"], True),
    ):
        s = Endpoints(methods, {"nonce": "n-1", "name": "Ann"}, AssertionError("the token says all"))
        assert (await signed_in(s))["name"] == "Ann"
        [(_, form, headers)] = [asked for asked in s.asked if asked[0].endswith("/token")]
        assert form == {
            "grant_type": "authorization_code", "code": "c", "redirect_uri": "https://chat/callback", "client_id": "chat",
            "code_verifier": "v",
        } | ({} if in_head else {"client_secret": "a secret"})  # fmt: skip
        assert headers == ({"Authorization": "Basic Y2hhdDphJTIwc2VjcmV0"} if in_head else {})


async def test_what_an_id_token_doesnt_say_is_asked_for_beside_and_only_of_the_same_person() -> None:
    nonce = {"nonce": "n-1"}
    assert (await signed_in(Endpoints(None, nonce, {"sub": "s-1", "name": "Ann"})))["name"] == "Ann"
    for said in ({"sub": "s-2", "name": "Ben"}, {"name": "Ben"}, ["name"], Unavailable("down"), ValueError("no JSON")):
        assert "name" not in await signed_in(Endpoints(None, nonce, said)), said
    for wrong in ({"nonce": "n-2"}, {"nonce": "n-1", "aud": "shop"}, {"nonce": "n-1", "iss": OTHER}):
        with pytest.raises(ParleyError):
            await signed_in(Endpoints(None, wrong, {}))


async def test_the_page_is_asked_with_what_pkce_takes() -> None:
    s = Endpoints(None, {}, {})
    issuer = Issuer("company", "Company", COMPANY, ("parley",), client_id="chat")
    tokens = HttpIssuerTokens([issuer], Background(lambda what, error: None), s.fetch, lambda: s.now)
    url = await tokens.authorize_url(issuer, "https://chat/callback", "st", "no", "ch")
    assert (
        url.startswith(f"{COMPANY}/authorize?x=1&response_type=code&client_id=chat&")
        and "code_challenge_method=S256" in url
    )
    assert "code_challenge=ch" in url and "state=st" in url and "nonce=no" in url and "scope=openid" in url
