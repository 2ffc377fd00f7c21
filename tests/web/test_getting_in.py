"""Getting in by a browser: a provider's page, an invitation, a forgotten password; and the keys that one makes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from stack.pace import paced
from tests.scenarios.test_provider import House
from tests.web.visitor import Visits
from tests.world import PASSWORD

NEW = "another horse battery"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with tempfile.TemporaryDirectory() as folder:
        made = House(Path(folder))
        yield made
        made.close()


def test_signing_in_at_a_provider_s_page(browser: Browser, house: House) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(house.world.urls[0])
    expect(page.get_by_label("Username")).to_have_count(0)  # there are no local accounts
    page.get_by_role("link", name="Sign in with The Company").click()
    page.locator("[name=login]").fill("carla")
    page.locator("[name=password]").fill("x")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("navigation")).to_be_visible(timeout=paced(15) * 1_000)
    assert page.url.rstrip("/") == house.world.urls[0] and "code" not in page.url
    page.goto(f"{house.world.urls[0]}/settings")
    expect(page.get_by_label("Name that others see")).to_have_value("carla of the company")
    page.get_by_role("button", name="Sign out everywhere", exact=True).click()
    expect(page.get_by_role("link", name="Sign in with The Company")).to_be_visible()
    page.goto(f"{house.world.urls[0]}/#error=access_denied")
    expect(page.get_by_text("Signing in there didn't work: access_denied")).to_be_visible()
    context.close()


def copied(page: Page, words: str | re.Pattern[str]) -> str:
    """What is shown once."""
    return page.get_by_role("textbox", name=words).input_value()


def test_an_invitation_leads_a_newcomer_into_the_chat(visits: Visits) -> None:
    anna = visits.person("anna").register("Anna")
    chat_id = anna.make_group("tea")
    anna.page.get_by_role("button", name="About this chat").click()
    anna.page.get_by_text("Invite by link").click()
    anna.page.get_by_label("How many may come by it").fill("1")
    anna.page.get_by_role("button", name="Make a link").click()
    url = copied(anna.page, "Who has this link comes in")
    assert f"{visits.urls[0]}/invitation#code=" in url
    ben = visits.person("ben")
    ben.page.goto(url)
    expect(ben.page.get_by_text("You are invited")).to_be_visible()
    assert "code" not in ben.page.url
    ben.register("Ben")
    expect(ben.page).to_have_url(f"{visits.urls[0]}/c/{chat_id}", timeout=paced(15) * 1_000)
    ben.say("here I am")
    anna.sees("here I am")
    eve = visits.person("eve").register("Eve")
    eve.page.goto(url)
    expect(eve.page.get_by_text("not good any more")).to_be_visible()


def test_a_password_link_sets_a_new_one(visits_embedded: Visits) -> None:
    visits = visits_embedded
    root, anna = visits.person("root").register(), visits.person("anna").register("Anna")
    visits.world.make_operator(root.username)
    root.page.reload()
    root.go("/admin")
    root.page.get_by_role("searchbox", name="Find people").fill(anna.username)
    row = root.page.get_by_role("row").filter(has_text=anna.username)
    row.get_by_role("button", name="Password link").click()
    url = copied(root.page, re.compile("sets a new password"))
    other = visits.person("other")
    other.page.goto(url)
    other.page.get_by_label("New password", exact=True).fill(NEW)
    other.page.get_by_role("button", name="Set the password").click()
    expect(other.page.get_by_text("It is set, and all sessions are over.")).to_be_visible()
    other.page.get_by_role("button", name="Sign in").click()
    other.page.get_by_label("Username").fill(anna.username)
    other.page.get_by_label("Password").fill(NEW)
    other.page.get_by_role("button", name="Sign in", exact=True).click()
    expect(other.page.get_by_role("navigation")).to_be_visible()
    expect(anna.page.get_by_text("You were signed out elsewhere")).to_be_visible(timeout=paced(10) * 1_000)
    anna.page.get_by_role("button", name="Forgot the password?").click()
    anna.page.get_by_label("Username").fill(anna.username)
    anna.page.get_by_role("button", name="Send me a link").click()
    expect(anna.page.get_by_text("If you gave an address")).to_be_visible()
    assert PASSWORD != NEW


def test_keys_and_bots_are_made_and_ended(visits_embedded: Visits) -> None:
    visits = visits_embedded
    root = visits.person("root").register()
    visits.world.make_operator(root.username)
    root.page.reload()
    root.go("/settings")
    page = root.page
    page.get_by_text("A new key").click()
    page.get_by_label("What it is for").fill("my script")
    page.get_by_role("button", name="Make the key").click()
    assert copied(page, re.compile("The key my script")).startswith("parley_")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("my script")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("listitem").filter(has_text="my script").get_by_role("button", name="End").click()
    expect(page.get_by_text("my script")).to_have_count(0)
    page.get_by_label("E-mail address").fill("root@example.org")
    page.get_by_role("button", name="Save the address").click()
    expect(page.locator("#said")).to_have_text("Saved")
    root.go("/admin")
    page.get_by_role("button", name="Keys and bots").click()
    page.get_by_text("A new bot").click()
    form = page.get_by_role("form", name="A new bot")
    form.get_by_label("Username").fill(f"bot-{root.username[-8:]}")
    form.get_by_label("Name that others see").fill("Builder")
    page.get_by_role("button", name="Make the bot").click()
    assert copied(page, re.compile("The key of Builder")).startswith("parley_")
    page.get_by_role("button", name="Invitations").click()
    page.get_by_role("button", name="Make a link").click()
    assert "/invitation#code=" in copied(page, "Who has this link comes in")
