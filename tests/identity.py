"""python -m tests.identity: Parley beside a real Keycloak, with the realm of deploy/keycloak: sign-in at its page, its access
tokens, its roles, its logout, a change of its keys, and Keycloak gone. Needs java 17 or newer, and Maven for the first time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx2

from parley_client import Problem, Rest
from stack.parley import ROOT
from stack.processes import Child, free_port, wait_until
from tests.scenarios.test_provider import through_the_pages
from tests.world import Raw, World, start_embedded, stop_embedded

VERSION = "26.7.3"
KEPT = ROOT / ".servers" / "keycloak"
HOME = KEPT / f"keycloak-{VERSION}"
SECRET, PASSWORD = "change-me", "change-me"


def fetch() -> None:
    """The distribution, once, out of the registry of Java packages."""
    if (HOME / "bin" / "kc.sh").exists():
        return
    if not (shutil.which("java") and shutil.which("mvn") and shutil.which("unzip")):
        sys.exit("make identity takes java 17 or newer, mvn and unzip (Debian: apt install maven unzip)")
    print(f"fetching Keycloak {VERSION} (once, 177 MB) …", flush=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    name = f"keycloak-quarkus-dist-{VERSION}.zip"
    artifact = f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    subprocess.run(["mvn", "-q", "-B", "dependency:copy", artifact, f"-DoutputDirectory={KEPT}"], check=True)
    subprocess.run(["unzip", "-q", "-o", name], cwd=KEPT, check=True)
    (KEPT / name).unlink()
    for script in (HOME / "bin").glob("*.sh"):
        script.chmod(0o755)


class Keycloak:
    def __init__(self, folder: Path, ours: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.realm = f"{self.url}/realms/parley"
        realm = (ROOT / "deploy" / "keycloak" / "parley-realm.json").read_text().replace("http://127.0.0.1:8000", ours)
        data = HOME / "data"
        shutil.rmtree(data, ignore_errors=True)
        (data / "import").mkdir(parents=True)
        (data / "import" / "parley-realm.json").write_text(realm)
        management = free_port()
        command = [
            str(HOME / "bin" / "kc.sh"), "start-dev", "--import-realm", "--http-host=127.0.0.1", f"--http-port={self.port}",
            f"--http-management-port={management}",
        ]  # fmt: skip
        keep = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "JAVA_HOME") if key in os.environ}
        admin = {"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin"}
        self.child = Child("keycloak", command, folder / "keycloak.log", keep | admin, HOME)

    def start(self) -> None:
        self.child.start()
        wait_until(self._answers, "Keycloak", 240)

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.realm}/.well-known/openid-configuration", timeout=2).status_code == 200
        except httpx2.HTTPError:
            return False

    async def tokens(self, name: str) -> dict[str, Any]:
        form = {
            "grant_type": "password", "client_id": "parley-web", "client_secret": SECRET, "username": name,
            "password": PASSWORD, "scope": "openid",
        }  # fmt: skip
        async with httpx2.AsyncClient(timeout=20) as http:
            answer = await http.post(f"{self.realm}/protocol/openid-connect/token", data=form)
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

    async def admin(self, method: str, path: str, body: Any = None) -> Any:
        async with httpx2.AsyncClient(timeout=20) as http:
            form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
            token = (await http.post(f"{self.url}/realms/master/protocol/openid-connect/token", data=form)).json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            answer = await http.request(method, f"{self.url}/admin/realms/parley{path}", json=body, headers=headers)
            assert answer.status_code < 300, answer.text
            return answer.json() if answer.content else None


def said(words: str) -> None:
    print(f"ok  {words}", flush=True)


async def signed_in(world: World, name: str) -> Rest:
    ours = world.urls[0]
    # A browser counts loopback as secure, and keeps Keycloak's `Secure` cookies there.
    cookies = CookieJar(DefaultCookiePolicy(secure_protocols=("http", "https")))
    async with httpx2.AsyncClient(timeout=30, cookies=cookies) as browser:
        url = f"{ours}/v1/auth/providers/company/start?return_to=/"
        back = await keycloak_page(browser, url, name, f"{ours}/v1/auth/providers/company/callback")
        where = (await browser.get(back)).headers["Location"]
    assert where.startswith("/#code="), where
    rest = Rest(ours)
    form = {"grant_type": "authorization_code", "code": where.partition("#code=")[2]}
    answer = (await rest.call("POST", "/v1/auth/token", data=form, signed=False)).json()
    rest.access_token, rest.refresh_token, rest.user = answer["access_token"], answer["refresh_token"], answer["user"]
    return rest


async def keycloak_page(browser: httpx2.AsyncClient, url: str, name: str, until: str) -> str:
    """Its page has fields of its own."""
    page = await browser.get(url, follow_redirects=False)
    page = await browser.get(page.headers["Location"])
    action = re.search(r'action="([^"]+)"', page.text)
    assert page.status_code == 200 and action is not None, page.text[:500]
    form = {"username": name, "password": PASSWORD, "credentialId": ""}
    answer = await browser.post(action[1].replace("&amp;", "&"), data=form)
    assert answer.status_code in (302, 303), (
        answer.status_code,
        re.findall(r"(?s)error[^>]*>\s*([^<]{3,}?)\s*<", answer.text),
    )
    return await through_the_pages(browser, answer.headers["Location"], name, until)


async def over(rest: Rest) -> None:
    for _ in range(50):
        try:
            await rest.get("/v1/me")
        except Problem as problem:
            assert problem.status == 401
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it goes on")


async def tried(world: World, keycloak: Keycloak) -> None:
    ann, ben = await signed_in(world, "ann"), await signed_in(world, "ben")
    me = await ann.get("/v1/me")
    assert (me["username"], me["display_name"], me["email"]) == ("ann", "Ann Example", "ann@example.org"), me
    assert me["role"] == "operator" and (await ben.get("/v1/me"))["role"] == "user"
    await ann.get("/v1/admin/users")
    said("sign-in at its page by code with PKCE; names, address and the role chat-operator")

    tokens = await keycloak.tokens("ben")
    direct = Rest(world.urls[0], access_token=tokens["access_token"])
    assert (await direct.get("/v1/me"))["id"] == ben.user["id"]
    raw = await Raw.open(world.urls[0])
    await raw.send({"type": "hello", "token": tokens["access_token"]})
    assert (await raw.expect("welcome"))["user"]["id"] == ben.user["id"]
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": tokens["access_token"],
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }  # fmt: skip
    answer = (await direct.call("POST", "/v1/auth/token", data=form, signed=False)).json()
    exchanged = Rest(world.urls[0], access_token=answer["access_token"])
    assert (await exchanged.get("/v1/me"))["id"] == ben.user["id"]
    foreign = Rest(world.urls[0], access_token=tokens["id_token"])
    try:
        await foreign.get("/v1/me")
        raise AssertionError("an ID token is no access token")
    except Problem as problem:
        assert problem.status == 401
    said("its access token at REST and socket, and exchanged; its ID token is refused")

    user = next(one for one in await keycloak.admin("GET", "/users?username=ben") if one["username"] == "ben")
    await keycloak.admin("POST", f"/users/{user['id']}/logout")
    assert await raw.closed(5) == 4401
    for rest in (direct, exchanged, ben):
        await over(rest)
    said("a logout there ends sessions and sockets here, by the back channel")

    before = await keycloak.tokens("ann")
    components = await keycloak.admin("GET", "/components?type=org.keycloak.keys.KeyProvider")
    realm_id = components[0]["parentId"]
    provider = {
        "name": "newer", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
        "parentId": realm_id, "config": {"priority": ["1000"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]},
    }  # fmt: skip
    await keycloak.admin("POST", "/components", provider)
    after = await keycloak.tokens("ann")
    for kept in (before, after):
        rest = Rest(world.urls[0], access_token=kept["access_token"])
        assert (await rest.get("/v1/me"))["id"] == me["id"]
        await rest.close()
    said("a new signing key is good at once, and the one before still is")

    keycloak.child.stop()
    rest = Rest(world.urls[0], access_token=after["access_token"])
    assert (await rest.get("/v1/me"))["id"] == me["id"]
    await ann.refresh()
    assert (await ann.get("/v1/me"))["id"] == me["id"]
    async with httpx2.AsyncClient() as http:
        start = await http.get(f"{world.urls[0]}/v1/auth/providers/company/start")
        assert start.status_code in (302, 503)
    said("Keycloak is gone: who is signed in stays, and tokens of known keys are good")
    for one in (ann, ben, direct, exchanged, foreign, rest):
        await one.close()


def main() -> None:
    fetch()
    folder = Path(tempfile.mkdtemp(prefix="parley-identity-"))
    port = free_port()
    keycloak = Keycloak(folder, f"http://127.0.0.1:{port}")
    issuer = {
        "issuer": keycloak.realm, "name": "Keycloak", "client_id": "parley-web", "client_secret": SECRET,
        "claims": {"role": "realm_access.roles"}, "operator": "chat-operator",
    }  # fmt: skip
    world = start_embedded({"ISSUERS": json.dumps({"company": issuer})}, port=port)
    try:
        print("starting Keycloak (the first time about a minute) …", flush=True)
        keycloak.start()
        asyncio.run(tried(world, keycloak))
    finally:
        keycloak.child.stop()
        stop_embedded(world)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
