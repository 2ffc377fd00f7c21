"""What a browser needs of the service: its session in a cookie, the client's page and files, chats found by name."""

from __future__ import annotations

import re
from http.cookies import SimpleCookie

import httpx2
import pytest

from parley_client import Problem
from stack.parley import ROOT
from tests.world import PASSWORD, People, World, new_id, start_embedded, stop_embedded

ASKED = {"Parley-Session": "cookie"}
TOKEN = "/v1/auth/token"
AGAIN = {"grant_type": "refresh_token"}


def kept(answer: httpx2.Response) -> SimpleCookie:
    return SimpleCookie(answer.headers.get("set-cookie", ""))


async def test_the_refresh_token_is_in_a_cookie_that_no_script_reads(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
        body = {"username": f"u{new_id()[:8]}", "password": PASSWORD}
        made = await http.post("/v1/auth/register", json=body, headers=ASKED)
        assert made.status_code == 201 and "refresh_token" not in made.json()
        morsel = kept(made)["parley_refresh"]
        assert morsel["httponly"] and morsel["samesite"] == "strict" and morsel["path"] == "/v1/auth"
        assert not morsel["secure"], "on loopback"
        first = http.cookies["parley_refresh"]
        again = await http.post(TOKEN, data=AGAIN, headers=ASKED)
        assert again.status_code == 200 and again.json()["access_token"] and "refresh_token" not in again.json()
        assert http.cookies["parley_refresh"] != first, "it rotates"
        bare = await http.post(TOKEN, data=AGAIN)
        assert (bare.status_code, bare.json()["error"]) == (400, "invalid_request"), "not without the header"
        signed = {"Authorization": f"Bearer {again.json()['access_token']}"}
        out = await http.post("/v1/auth/logout", headers=ASKED | signed)
        assert out.status_code == 204 and kept(out)["parley_refresh"]["max-age"] == "0"
        http.cookies.clear()
        http.cookies.set("parley_refresh", first, path="/v1/auth")
        over = await http.post(TOKEN, data=AGAIN, headers=ASKED)
        assert over.json()["error"] == "invalid_grant" and kept(over)["parley_refresh"]["max-age"] == "0"
        usual = await http.post(TOKEN, data={"grant_type": "password", **body})
        assert "refresh_token" in usual.json() and "set-cookie" not in usual.headers


async def test_pages_of_other_origins_and_hosts(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
        form = {"grant_type": "refresh_token"}
        for headers, status in (
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Parley-Session": "please"}, 422),
            ({"Origin": world.urls[0]}, 400),
        ):
            answer = await http.post(TOKEN, data=form, headers=ASKED | headers)
            assert answer.status_code == status, headers
        body = {"username": f"u{new_id()[:8]}", "password": PASSWORD}
        far = await http.post("/v1/auth/register", json=body, headers=ASKED | {"Host": "chat.example"})
        assert kept(far)["parley_refresh"]["secure"]


async def test_all_other_sessions_end(people: People) -> None:
    anna = await people.make()
    async with httpx2.AsyncClient(base_url=anna.rest.url) as http:
        form = {"grant_type": "password", "username": anna.name, "password": PASSWORD}
        other = (await http.post(TOKEN, data=form)).json()
        with pytest.raises(Problem) as told:
            await anna.rest.delete("/v1/me/sessions")
        assert told.value.code == "invalid"
        await anna.rest.delete("/v1/me/sessions", params={"others": "true"})
        await anna.rest.get("/v1/me")
        [left] = (await anna.rest.get("/v1/me/sessions"))["items"]
        assert left["current"]
        again = await http.post(TOKEN, data={**AGAIN, "refresh_token": other["refresh_token"]})
        assert again.json()["error"] == "invalid_grant"


async def test_chats_are_found_by_title_and_by_people(people: People) -> None:
    anna, ipek, carl = await people.make("anna"), await people.make("ipek"), await people.make("carl")
    await ipek.rest.patch("/v1/me", {"display_name": "İpek Öz"})
    mark = new_id()[:8]
    tea = await people.group(anna, carl, title=f"Große Runde {mark}")
    direct = str((await anna.rest.post("/v1/chats", {"kind": "direct", "member_ids": [ipek.id]}))["id"])
    for query, wanted in (
        ("GROSSE", [tea]), ("runde", [tea]), ("unde", []), (mark, [tea]), ("ipek", [direct]), (ipek.name[:12], [direct]),
        ("carl", [tea]), ("anna", []), ("grosse  runde", [tea]), ("100%", []), ("_", []),
    ):  # fmt: skip
        found = [one["id"] for one in (await anna.rest.get("/v1/chats", query=query))["items"]]
        assert found == wanted, query
    assert (await carl.rest.get("/v1/chats", query="ipek"))["items"] == []
    page = await anna.rest.get("/v1/chats", query="c", limit=1)
    assert [one["id"] for one in page["items"]] == [tea] and page["next_cursor"] is None
    for query, code in (("", "invalid"), (" ", "empty"), ("x" * 201, "invalid")):
        with pytest.raises(Problem) as told:
            await anna.rest.get("/v1/chats", query=query)
        assert told.value.code == code


async def test_the_page_its_files_and_what_a_browser_may_do_with_them(world: World) -> None:
    async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
        for path in ("/", "/c/00000000-0000-0000-0000-000000000000", "/c/x/m/7", "/settings", "/admin"):
            page = await http.get(path)
            assert page.status_code == 200 and "script-src 'self'" in page.headers["content-security-policy"]
            assert page.headers["cache-control"] == "no-cache"
        [script] = re.findall(r'src="(/assets/[^"]+\.js)"', page.text)
        for encoding, length in (("br", None), ("gzip", None), ("identity", None)):
            async with http.stream("GET", script, headers={"Accept-Encoding": encoding}) as answer:
                raw = b"".join([part async for part in answer.aiter_raw()])
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", length
            assert answer.headers.get("content-encoding", "identity") == encoding
            assert answer.headers["content-type"].startswith("text/javascript")
            assert encoding == "identity" or len(raw) < (ROOT / "web/dist" / script[1:]).stat().st_size / 2
        assert (await http.get("/assets/nothing.js")).status_code == 404
        assert (await http.get("/assets/..%2Findex.html")).status_code == 404
        for name in ("sw.js", "manifest.webmanifest", "icon.svg"):
            assert (await http.get(f"/{name}")).headers["cache-control"] == "no-cache"
        embed = await http.get("/embed.js")
        assert embed.headers["cross-origin-resource-policy"] == "cross-origin"
        assert "Status" in (await http.get("/about")).text or "status" in (await http.get("/about")).text


async def test_without_its_client_the_service_says_how_to_have_it() -> None:
    world = start_embedded({"WEB": "off"})
    try:
        async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
            page = await http.get("/")
            assert page.status_code == 200 and "make web" in page.text and "/about" in page.text
            assert (await http.get("/c/x")).text == page.text
            assert (await http.get("/readyz")).status_code == 200
            body = {"username": f"u{new_id()[:8]}", "password": PASSWORD}
            assert (await http.post("/v1/auth/register", json=body)).status_code == 201
    finally:
        stop_embedded(world)
