"""Parley under a product: the example of docs/embed.md, in real browsers, on both worlds."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from stack.pace import paced
from stack.parley import ROOT
from stack.processes import free_port, wait_until
from stack.servers import Servers
from tests.world import PASSWORD, World, new_id, start_embedded, start_real, stop_embedded

MARKS = {"shop.py": ("# chat", "# shop"), "page.html": ("<!-- chat -->", "<!-- shop -->")}
LINES_MAX = 30


def test_what_is_parley_s_in_it_is_short() -> None:
    counted = 0
    for name, (begin, end) in MARKS.items():
        within = False
        for line in (ROOT / "examples" / "host" / name).read_text().splitlines():
            within = line.strip() == begin or (within and line.strip() != end)
            counted += within and line.strip() not in ("", begin)
    assert 10 < counted <= LINES_MAX
    assert f"and {counted} lines of them are Parley's" in (ROOT / "docs" / "embed.md").read_text()


def world_with(servers: Servers | None, origin: str) -> World:
    environment = {"ALLOWED_ORIGINS": origin}
    return start_real(servers, environment=environment) if servers is not None else start_embedded(environment)


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.long)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the shop is, with its chat service beside."""
    port = free_port()
    servers = request.getfixturevalue("servers") if request.param == "real" else None
    world = world_with(servers, f"http://127.0.0.1:{port}")
    url, name = world.urls[0], f"root-{new_id()[:8]}"
    body = {"username": name, "password": PASSWORD}
    token = httpx2.post(f"{url}/v1/auth/register", json=body).json()["access_token"]
    world.make_operator(name)
    wanted = {"name": "the shop", "scopes": ["users", "chats", "tokens"]}
    made = httpx2.post(f"{url}/v1/admin/keys", json=wanted, headers={"Authorization": f"Bearer {token}"}).json()
    log = tmp_path / "shop.log"
    environment = {"PARLEY_URL": url, "PARLEY_KEY": made["key"], "PYTHONUNBUFFERED": "1"}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.host.shop", str(port)], cwd=ROOT, stdout=out, stderr=out, env=environment
        )
    wait_until(lambda: "the shop is at" in log.read_text(), "the shop", 20)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()
    if world.stack is not None:
        world.stack.stop()
        assert world.model is not None
        world.model.child.stop()
    else:
        stop_embedded(world)


def enter(browser: Browser, shop: str, user: str) -> Page:
    page = browser.new_context().new_page()
    page.goto(f"{shop}/sign-in?user={user}")
    expect(page.locator("parley-chat [role=status]")).to_have_text("", timeout=paced(15) * 1_000)
    return page


def test_two_users_of_a_product_talk_in_its_page_and_one_is_disabled(browser: Browser, shop: str) -> None:
    ann, ben = enter(browser, shop, "u-1"), enter(browser, shop, "u-2")
    expect(ann.get_by_text("You are Ann.")).to_be_visible()
    for who, words in ((ann, "where is my parcel?"), (ben, "it leaves tomorrow")):
        box = who.get_by_role("textbox", name="Message")
        box.fill(words)
        box.press("Enter")
        for other in (ann, ben):
            said = other.locator("parley-chat li", has_text=words)
            expect(said).to_contain_text("Ann" if who is ann else "Ben", timeout=paced(10) * 1_000)
    began = time.monotonic()
    assert httpx2.get(f"{shop}/disable", params={"user": "u-2"}).status_code == 200
    expect(ben.locator("parley-chat [role=status]")).not_to_have_text("", timeout=paced(5) * 1_000)
    assert time.monotonic() - began < paced(5), "out of the socket within 5 s"
    box = ann.get_by_role("textbox", name="Message")
    box.fill("is anybody here?")
    box.press("Enter")
    expect(ann.locator("parley-chat li", has_text="is anybody here?")).to_be_visible()
    assert ben.locator("parley-chat li", has_text="is anybody here?").count() == 0
    for page in (ann, ben):
        page.context.close()
