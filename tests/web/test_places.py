"""Other places: under a path of a proxy, in another product's page, without a network, and for operators."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from stack.pace import paced
from stack.parley import ROOT
from stack.processes import free_port
from tests.scenarios.test_behind_a_proxy import proxied
from tests.web.visitor import Visits
from tests.world import PASSWORD, World, new_id, start_embedded, stop_embedded


@pytest.mark.long
def test_under_the_path_of_a_proxy(browser: Browser, tmp_path: Path) -> None:
    with proxied("nginx", tmp_path) as (world, url):
        world.urls[:] = [url]
        with Visits(browser, world) as visits:
            anna = visits.person("anna").register()
            [kept] = [cookie for cookie in anna.context.cookies() if cookie["name"] == "parley_refresh"]
            assert kept["path"] == "/chat/v1/auth" and kept["httpOnly"] and kept["sameSite"] == "Strict"
            chat_id = anna.make_group("tea")
            assert anna.page.url == f"{url}/c/{chat_id}"
            anna.say("under a path")
            anna.sees("under a path")
            anna.page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
            anna.page.reload()
            anna.sees("under a path")
            anna.go("/settings")
            expect(anna.page.get_by_text("this device")).to_be_visible()
            assert not [one for one in visits.asked if "/chat/" not in one], visits.asked


@pytest.fixture
def host(tmp_path: Path) -> Iterator[tuple[World, str]]:
    """A service, and another product's page with a chat in it, at an origin of its own."""
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    world = start_embedded({"ALLOWED_ORIGINS": origin})
    example = (ROOT / "examples" / "embed.html").read_text().replace("http://127.0.0.1:8000", world.urls[0])
    (tmp_path / "embed.html").write_text(example)
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(tmp_path)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    yield world, f"{origin}/embed.html"
    server.terminate()
    server.wait()
    stop_embedded(world)


@pytest.mark.long
def test_a_chat_in_another_product_s_page(browser: Browser, host: tuple[World, str]) -> None:
    world, page_url = host
    url = world.urls[0]
    name = f"u{new_id()[:8]}"
    made = httpx2.post(f"{url}/v1/auth/register", json={"username": name, "password": PASSWORD}).json()
    signed = {"Authorization": f"Bearer {made['access_token']}"}
    chat = httpx2.post(f"{url}/v1/chats", json={"kind": "assistant"}, headers=signed).json()
    page = browser.new_page()
    said = iter([name, PASSWORD] * 9)
    page.on("dialog", lambda dialog: dialog.accept(next(said)))
    page.goto(page_url)
    box = page.get_by_role("textbox", name="Message")
    box.fill("two sentences, please")
    expect(page.locator("parley-chat [role=status]")).to_have_text("", timeout=paced(10) * 1_000)
    box.press("Enter")
    expect(page.locator("parley-chat li").nth(1)).to_contain_text(
        "This is the demo assistant", timeout=paced(10) * 1_000
    )
    answers = httpx2.get(f"{url}/v1/chats/{chat['id']}/messages", headers=signed).json()["items"]
    assert [one["kind"] for one in answers] == ["assistant", "user"]
    page.close()


def test_without_a_network(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    anna.make_group("notes")
    anna.say("word 0")
    anna.sees("word 0")
    anna.context.set_offline(True)
    anna.say("word 1")
    expect(anna.sees("word 1")).to_contain_text("waiting")
    expect(anna.page.get_by_text("You are offline.")).to_be_visible()
    anna.context.set_offline(False)
    expect(anna.page.get_by_role("article").filter(has_text="waiting")).to_have_count(0, timeout=paced(15) * 1_000)
    anna.sees("word 1")
    expect(anna.page.get_by_text("You are offline.")).to_have_count(0)


def test_operators(visits_embedded: Visits) -> None:
    anna, ben = visits_embedded.person("anna").register("Anna"), visits_embedded.person("ben").register("Ben")
    visits_embedded.world.make_operator(anna.username)
    anna.make_group("loud", ben)
    ben.open("loud")
    anna.say("something bad")
    ben.sees("something bad")
    ben.choose("something bad", "Report …")
    anna.go("/admin")
    anna.page.get_by_label("Find people").fill(ben.username)
    row = anna.page.get_by_role("row").filter(has_text=ben.username)
    expect(row).to_have_count(1)
    anna.click("button", "Reports")
    expect(anna.page.get_by_role("listitem").filter(has_text="Ben").first).to_be_visible()
    anna.click("button", "People")
    anna.page.get_by_label("Find people").fill(ben.username)
    anna.click("button", "Disable", within=row)
    expect(row).to_contain_text("disabled")
    expect(ben.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible(timeout=paced(10) * 1_000)
    anna.click("button", "Audit")
    expect(anna.page.get_by_role("row").filter(has_text="user.changed").first).to_be_visible()


def test_what_one_may_not_open_says_so(visits_embedded: Visits) -> None:
    ben = visits_embedded.person("ben").register()
    ben.go("/admin")
    expect(ben.page.get_by_role("alert")).to_contain_text("This is for operators")
    ben.go("/c/not-an-id")
    expect(ben.page.get_by_role("alert")).to_contain_text("isn't there for you")


def test_pins_hidden_chats_and_who_may_add_me(visits_embedded: Visits) -> None:
    anna, ben = visits_embedded.person("anna").register("Anna"), visits_embedded.person("ben").register("Ben")
    chat_id = anna.make_group("tea")
    anna.say("the cups are blue")
    anna.sees("the cups are blue")
    anna.choose("the cups", "Pin")
    expect(anna.sees("the cups")).to_contain_text("pinned")
    anna.click("button", "About this chat")
    panel = anna.page.get_by_role("complementary")
    expect(panel.get_by_role("link", name=re.compile("the cups are blue"))).to_be_visible()
    anna.click("button", "Hide from my list")
    expect(anna.page.get_by_role("link", name=re.compile("^tea"))).to_have_count(0)
    anna.page.get_by_label("Which chats").select_option("hidden")
    expect(anna.page.get_by_role("link", name=re.compile("^tea"))).to_have_count(1)
    ben.go("/settings")
    ben.page.get_by_label("Who may add me to chats").select_option("nobody")
    expect(ben.page.locator("#said")).to_have_text("Saved")
    anna.go(f"/c/{chat_id}")
    anna.click("button", "About this chat")
    anna.click("button", "Add a person")
    anna.page.get_by_role("searchbox", name="Add a person").fill(ben.username)
    anna.click("button", re.compile(f"@{ben.username}"))
    expect(anna.page.get_by_role("alert")).to_contain_text(ben.username)
