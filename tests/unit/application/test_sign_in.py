"""Where a browser may be sent back to, and what a sign-in is kept by. With real pages: tests/scenarios/test_provider.py."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from app.application.ports.codes import CodeUse, Purpose
from app.application.ports.errors import Unavailable
from app.application.ports.issuers import Issuer, Vouched
from app.application.sign_in import SignIn, is_path
from app.domain.errors import ParleyError

US = "https://chat.example.org"
COMPANY = Issuer("company", "Company", "https://id.example.org", ("parley",), client_id="chat")
OTHER = Issuer("other", "Other", "https://other.example.org", ("parley",), client_id="chat")
TOKENS_ONLY = Issuer("shop", "Shop", "https://shop.example.org", ("parley",), host=True)


@pytest.mark.parametrize("path", ["/", "/chats/1", "/talk/chats/1?message=2", "/ä"])
def test_a_path_of_ours(path: str) -> None:
    assert is_path(path)


@pytest.mark.parametrize(
    "path",
    ["", "x", "//evil.example.org", "/\\evil.example.org", "https://evil.example.org", "/a\\b", "/a#b", "/a\nb", "/\tb", "javascript:x"],
)  # fmt: skip
def test_what_a_browser_takes_for_another_place_is_none(path: str) -> None:
    assert not is_path(path)


class Tokens:
    """Providers that know every code."""

    issuers = {one.id: one for one in (COMPANY, OTHER, TOKENS_ONLY)}

    def __init__(self) -> None:
        self.verifiers: list[str] = []
        self.down = False
        self.refuses = False

    async def authorize_url(self, issuer: Issuer, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        return (
            f"{issuer.issuer}/authorize?state={state}&nonce={nonce}&challenge={challenge}&redirect_uri={redirect_uri}"
        )

    async def signed_in(self, issuer: Issuer, code: str, redirect_uri: str, verifier: str, nonce: str) -> Vouched:
        if self.down:
            raise Unavailable("down")
        if self.refuses:
            raise ParleyError("unauthenticated", "no such code")
        assert redirect_uri == f"{US}/v1/auth/providers/{issuer.id}/callback"
        assert nonce != verifier
        self.verifiers.append(verifier)
        return Vouched(issuer, "s-1", "sid-1", 0.0, 0.0, {})


class Others:
    async def seen(self, vouched: Vouched) -> Any:
        return type("Account", (), {"id": "anna"})(), "session-1"


class Codes:
    def __init__(self) -> None:
        self.kept: dict[str, CodeUse] = {}

    async def add(
        self, hash_: str, purpose: Purpose, user_id: str, ttl_s: float, details: Any, each_s: float = 0
    ) -> None:
        assert purpose is Purpose.SIGN_IN and ttl_s == 60
        self.kept[hash_] = CodeUse(user_id, details)


def made(*keys: bytes) -> tuple[SignIn, Tokens, Codes]:
    tokens, codes = Tokens(), Codes()
    anything: Any = None
    given: list[Any] = [tokens, Others(), anything, anything, codes, keys or (b"k" * 32,)]
    return SignIn(*given), tokens, codes


async def came(sign_in: SignIn, *given: str) -> str:
    """Where the browser goes then; with a code alone it keeps something."""
    ended = await sign_in.end(*given)
    assert bool(ended.cookie) is ("#code=" in ended.url)
    return ended.url


async def begun(sign_in: SignIn, to: str = "/chats/1") -> tuple[str, str]:
    """(cookie, state)"""
    started = await sign_in.start("company", to, US)
    return started.cookie, parse_qs(urlsplit(started.url).query)["state"][0]


async def test_who_comes_back_gets_a_code_of_ours_behind_the_hash() -> None:
    sign_in, tokens, codes = made()
    cookie, state = await begun(sign_in)
    to = await came(sign_in, "company", cookie, state, "theirs", "", US)
    assert to.startswith("/chats/1#code=") and len(codes.kept) == 1 and len(tokens.verifiers[0]) >= 43
    [kept] = codes.kept.values()
    browser = kept.details.pop("browser")  # type: ignore[attr-defined]
    assert (
        kept == CodeUse("anna", {"issuer": COMPANY.issuer, "session": "sid-1", "session_id": "session-1"}) and browser
    )


async def test_another_gateway_and_an_older_secret_end_what_was_begun() -> None:
    older, newer = b"o" * 32, b"n" * 32
    cookie, state = await begun(made(older)[0])
    assert "#code=" in await came(made(newer, older)[0], "company", cookie, state, "theirs", "", US)
    assert await came(made(newer)[0], "company", cookie, state, "theirs", "", US) == "/#error=expired"


async def test_what_is_not_of_this_browser_s_sign_in_is_refused() -> None:
    sign_in, tokens, codes = made()
    cookie, state = await begun(sign_in)
    other_cookie, other_state = await begun(sign_in)
    for given, said, where in (
        (cookie, other_state, "/chats/1#error=invalid_state"),
        (cookie, "", "/chats/1#error=invalid_state"),
        (cookie, "ü", "/chats/1#error=invalid_state"),
        ("", state, "/#error=expired"),
        (cookie[:-3], state, "/#error=expired"),
        (cookie.replace(".", "!"), state, "/#error=expired"),
        ("a.b.c.d", state, "/#error=expired"),
        (other_cookie.rpartition(".")[0] + "." + cookie.rpartition(".")[2], state, "/#error=expired"),
    ):
        assert await came(sign_in, "company", given, said, "theirs", "", US) == where
    assert await came(sign_in, "other", cookie, state, "theirs", "", US) == "/#error=expired", (
        "begun at another provider"
    )
    assert await came(sign_in, "company", cookie, state, "", "access_denied", US) == "/chats/1#error=access_denied"
    assert await came(sign_in, "company", cookie, state, "", "a b&c", US) == "/chats/1#error=a%20b%26c"
    tokens.refuses = True
    assert await came(sign_in, "company", cookie, state, "theirs", "", US) == "/chats/1#error=access_denied"
    tokens.down = True
    assert (await came(sign_in, "company", cookie, state, "theirs", "", US)).endswith("#error=temporarily_unavailable")
    assert not codes.kept


async def test_under_a_path_one_comes_back_under_it() -> None:
    sign_in, _, _ = made()
    there = f"{US}/talk"
    with pytest.raises(ParleyError):
        await sign_in.start("company", "/elsewhere", there)
    started = await sign_in.start("company", "/", there)
    state = parse_qs(urlsplit(started.url).query)["state"][0]
    assert (await sign_in.end("company", started.cookie, state, "", "no", there)).url == "/talk/#error=no"
    assert (await sign_in.end("company", "", state, "", "no", there)).url == "/talk/#error=expired"


async def test_only_providers_with_a_page_are_begun_at() -> None:
    sign_in, _, _ = made()
    assert [one.id for one in sign_in.providers] == ["company", "other"]
    for provider, to in (("shop", "/"), ("none", "/"), ("company", "//evil")):
        with pytest.raises(ParleyError):
            await sign_in.start(provider, to, US)
