"""A real OpenID provider (oidc-provider on Node): its pages, its codes, its tokens, its logout."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
import pytest

from parley_client import Rest
from stack.processes import free_port
from stack.provider import Provider
from tests.scenarios.test_accounts import refused
from tests.scenarios.test_issuers import exchanged
from tests.scenarios.test_keys import over
from tests.world import Raw, World, new_id, start_embedded, stop_embedded

SECRET = "a secret of the client"
SPA = "http://127.0.0.1:9/spa"


class House:
    """A service where people come by a provider alone, and that provider."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        issuer = {
            "issuer": f"http://127.0.0.1:{port}",
            "name": "The Company",
            "client_id": "chat",
            "client_secret": SECRET,
        }
        self.world: World = start_embedded({"ISSUERS": json.dumps({"company": issuer}), "PASSWORDS": "off"})
        base = f"{self.world.urls[0]}/v1/auth/providers/company"
        chat = {
            "client_id": "chat", "client_secret": SECRET, "redirect_uris": [f"{base}/callback"],
            "backchannel_logout_uri": f"{base}/backchannel-logout", "backchannel_logout_session_required": True,
        }  # fmt: skip
        spa = {"client_id": "spa", "redirect_uris": [SPA], "token_endpoint_auth_method": "none"}
        self.provider = Provider(folder, [chat, spa], port=port)
        self.provider.start()

    def close(self) -> None:
        self.provider.child.stop()
        stop_embedded(self.world)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with tempfile.TemporaryDirectory() as folder:
        made = House(Path(folder))
        yield made
        made.close()


async def through_the_pages(browser: httpx2.AsyncClient, url: str, name: str, until: str) -> str:
    """Redirects are followed and the provider's forms filled, as a browser does, up to the address that begins so."""
    method, form = "GET", dict[str, str]()
    for _ in range(30):
        if url.startswith(until):
            return url
        answer = await browser.request(method, url, data=form or None)
        if answer.status_code in (302, 303):
            method, form, url = "GET", {}, urljoin(url, answer.headers["Location"])
            continue
        action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
        assert answer.status_code == 200 and action is not None, (url, answer.status_code, answer.text[:500])
        hidden = re.findall(r'<input[^>]*type="hidden"[^>]*name="([^"]+)"[^>]*value="([^"]*)"', answer.text)
        method, url = "POST", urljoin(url, action[1])
        form = dict(hidden) | ({"login": name, "password": "x"} if 'name="login"' in answer.text else {})
    raise AssertionError(f"no end: {url}")


async def sign_in(house: House, browser: httpx2.AsyncClient, name: str) -> Rest:
    """As the web client does."""
    ours = house.world.urls[0]
    [provider] = (await browser.get(f"{ours}/v1/auth/providers")).json()["providers"]
    assert provider["name"] == "The Company"
    start = f"{ours}{provider['start_url']}?return_to=/c/1"
    back = await through_the_pages(browser, start, name, f"{ours}/v1/auth/providers/company/callback")
    end = await browser.get(back)
    where = end.headers["Location"]
    assert end.status_code == 302 and where.startswith("/c/1#code="), where
    again = await browser.get(back)
    assert "#error=" in again.headers["Location"], "the provider's code is good once"
    rest = Rest(ours)
    form = {"grant_type": "authorization_code", "code": where.partition("#code=")[2]}
    answer = (await rest.call("POST", "/v1/auth/token", data=form, signed=False)).json()
    rest.access_token, rest.refresh_token, rest.user = answer["access_token"], answer["refresh_token"], answer["user"]
    used = rest.call("POST", "/v1/auth/token", data=form, signed=False)
    assert (await refused(used)).body["error"] == "invalid_grant", "and so is ours"
    return rest


async def test_signing_in_at_its_page_and_out_there(house: House) -> None:
    name = f"ann-{new_id()[:8]}"
    async with httpx2.AsyncClient(timeout=20) as browser:
        rest = await sign_in(house, browser, name)
        me = await rest.get("/v1/me")
        assert (me["username"], me["display_name"], me["email"]) == (
            name,
            f"{name} of the company",
            f"{name}@example.org",
        )
        other = await sign_in(house, browser, name)
        assert other.user["id"] == me["id"] and len((await rest.get("/v1/me/sessions"))["items"]) == 2
        raw = await Raw.open(house.world.urls[0])
        await raw.send({"type": "hello", "token": rest.access_token})
        await raw.expect("welcome")
        url = f"{house.provider.url}/session/end"
        page = await browser.get(url)
        action = re.search(r'action="([^"]+)"', page.text)
        xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert action and xsrf
        form = {"xsrf": xsrf[1], "logout": "yes"}
        done = await browser.post(urljoin(url, action[1]), data=form)
        assert done.status_code in (302, 303), done.text[:300]
        assert await raw.closed(5) == 4401
        await over(rest)
        await over(other)
        for one in (rest, other):
            assert (await refused(one.refresh())).body["error"] == "invalid_grant"
            await one.close()


async def test_its_access_token_is_good_and_its_id_token_is_none(house: House) -> None:
    ours, name = house.world.urls[0], f"spa-{new_id()[:8]}"
    verifier = secrets.token_urlsafe(40)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = (
        f"client_id=spa&response_type=code&redirect_uri={SPA}&scope=openid%20profile%20email&code_challenge={challenge}"
        f"&code_challenge_method=S256&nonce=n&resource=urn:parley"
    )
    async with httpx2.AsyncClient(timeout=20) as browser:
        back = await through_the_pages(browser, f"{house.provider.url}/auth?{query}", name, SPA)
        form = {
            "grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0], "redirect_uri": SPA,
            "client_id": "spa", "code_verifier": verifier,
        }  # fmt: skip
        tokens = (await browser.post(f"{house.provider.url}/token", data=form)).json()
    rest = Rest(ours, access_token=tokens["access_token"])
    me = await rest.get("/v1/me")
    assert me["kind"] == "human" and me["username"].startswith("spa-")
    raw = await Raw.open(ours)
    await raw.send({"type": "hello", "token": tokens["access_token"]})
    assert (await raw.expect("welcome"))["user"]["id"] == me["id"]
    answer = await exchanged(rest, tokens["access_token"])
    assert answer["user"]["id"] == me["id"]
    foreign = Rest(ours, access_token=tokens["id_token"])
    assert (await refused(foreign.get("/v1/me"))).status == 401
    assert (await refused(exchanged(rest, tokens["id_token"], "id_token"))).body["error"] == "invalid_request", (
        "it is another client's"
    )
    assert (await refused(rest.sign_in(name, "a password of ten"))).body["error"] == "unsupported_grant_type"
    assert (await refused(rest.register(name, "a password of ten"))).code == "not_allowed"
    await raw.close()
    for one in (rest, foreign):
        await one.close()


async def test_what_comes_back_wrong_ends_with_a_word(house: House) -> None:
    ours = house.world.urls[0]
    async with httpx2.AsyncClient(timeout=20) as browser:
        assert (await browser.get(f"{ours}/v1/auth/providers/none/start")).status_code == 404
        bad = await browser.get(f"{ours}/v1/auth/providers/company/start", params={"return_to": "//evil.example.org"})
        assert bad.json()["code"] == "invalid"
        lost = await browser.get(f"{ours}/v1/auth/providers/company/callback", params={"code": "x", "state": "y"})
        assert lost.headers["Location"] == "/#error=expired"
        started = await browser.get(f"{ours}/v1/auth/providers/company/start")
        cookie = started.headers["Set-Cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Path=/v1/auth")), cookie
        state = parse_qs(urlsplit(started.headers["Location"]).query)["state"][0]
        callback = f"{ours}/v1/auth/providers/company/callback"
        for params, where in (
            ({"code": "x", "state": "y"}, "/#error=invalid_state"),
            ({"error": "access_denied", "state": state}, "/#error=access_denied"),
            ({"code": "x", "state": state}, "/#error=access_denied"),
        ):
            browser.cookies.set("parley_sign_in", re.findall(r"parley_sign_in=([^;]+)", cookie)[0], domain="127.0.0.1")
            assert (await browser.get(callback, params=params)).headers["Location"] == where, params
