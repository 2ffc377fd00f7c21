"""Twelve everyday tasks, counted: each click, and each key that isn't text, is one. docs/web.md says how many each takes."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from stack.pace import paced
from stack.parley import ROOT
from tests.web.visitor import Visitor, Visits

ROW = re.compile(r"^\| \d+ \| (.+?) \| (\d+) \|", re.MULTILINE)
TOLD = {task: int(count) for task, count in ROW.findall((ROOT / "docs" / "web.md").read_text())}


@pytest.fixture
def ben(visits_embedded: Visits) -> Visitor:
    return visits_embedded.person("ben").register("Ben")


@pytest.fixture
def anna(visits_embedded: Visits) -> Visitor:
    anna = visits_embedded.person("anna").register("Anna")
    anna.effort = 0
    return anna


def took(visitor: Visitor, task: str) -> None:
    assert visitor.effort == TOLD[task], f"{task}: {visitor.effort}"


def test_there_are_twelve() -> None:
    assert len(TOLD) == 12


def test_first_message(visits_embedded: Visits, ben: Visitor) -> None:
    anna = visits_embedded.person("anna").register()
    anna.click("button", re.compile("^Write to a person"))
    anna.page.get_by_role("searchbox", name="Find a person").fill(ben.username)
    anna.page.get_by_role("button", name=re.compile(f"@{ben.username}")).wait_for()
    anna.press("Enter")
    anna.click("button", "Write to them")
    anna.say("hello")
    ben.page.get_by_role("link", name=re.compile("1 unread")).wait_for()
    took(anna, "from the address to a first message to a person, registering included")


def test_invite_a_colleague(anna: Visitor, ben: Visitor) -> None:
    anna.make_group("tea")
    anna.effort = 0
    anna.click("button", "About this chat")
    anna.click("button", "Add a person")
    anna.page.get_by_role("searchbox", name="Add a person").fill(ben.username)
    anna.page.get_by_role("button", name=re.compile(f"@{ben.username}")).wait_for()
    anna.press("Enter")
    ben.page.get_by_role("link", name=re.compile("^tea")).wait_for()
    took(anna, "invite a colleague into a group that is open")


def test_ask_the_assistant(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    anna.ask_assistant()
    anna.say("two sentences, please")
    expect(anna.page.get_by_role("article").nth(1)).to_contain_text("This is")
    took(anna, "from the address to the assistant's first answer, registering included")
    assert anna.effort <= 12


def test_stop_it(anna: Visitor) -> None:
    anna.ask_assistant()
    anna.say("forty sentences, please")
    expect(anna.page.get_by_role("article").nth(1)).to_contain_text("writing …")
    anna.effort = 0
    anna.click("button", "Stop")
    expect(anna.page.get_by_role("article").nth(1)).to_contain_text("stopped")
    took(anna, "stop an answer")


def test_refresh_in_mid_answer(anna: Visitor) -> None:
    anna.ask_assistant()
    anna.say("forty sentences, please")
    expect(anna.page.get_by_role("article").nth(1)).to_contain_text("writing …")
    anna.effort = 1  # the browser's reload
    anna.page.reload()
    expect(anna.page.get_by_role("article").nth(1)).to_contain_text("This is the demo assistant")
    took(anna, "reload in mid-answer, and read on")


def test_find_an_old_message(anna: Visitor) -> None:
    anna.make_group("archive")
    anna.say("the quince is ripe")
    anna.sees("quince")
    anna.go("/").page.get_by_role("link", name=re.compile("^archive")).wait_for()
    anna.page.wait_for_timeout(2_000)  # it can be found within 2 s
    anna.effort = 0
    anna.press("Control+k")
    anna.page.get_by_role("combobox", name="Search").fill("quince")
    anna.page.get_by_role("option", name=re.compile("quince")).wait_for()
    anna.press("Enter")
    anna.page.wait_for_url("**/m/*")
    expect(anna.sees("quince")).to_be_visible()
    took(anna, "find an old message by a word")


def test_edit(anna: Visitor) -> None:
    anna.make_group("notes")
    anna.say("at fuor")
    anna.sees("at fuor")
    anna.effort = 0
    anna.press("ArrowUp")
    anna.say("at four")
    expect(anna.sees("at four")).to_contain_text("edited")
    took(anna, "mend the last message")


def test_react(anna: Visitor) -> None:
    anna.make_group("notes")
    anna.say("done")
    anna.sees("done")
    anna.effort = 0
    anna.act("done", "thumbs up")
    expect(anna.sees("done").get_by_role("button", name=re.compile("👍 1"))).to_be_visible()
    took(anna, "react with a thumb")


def test_mute_someone(anna: Visitor, ben: Visitor) -> None:
    anna.make_group("loud", ben)
    anna.effort = 0
    anna.click("button", "About this chat")
    anna.click("button", "What to do with Ben")
    anna.click("menuitem", "Mute for an hour")
    expect(anna.page.get_by_role("complementary")).to_contain_text("muted until")
    took(anna, "mute someone for an hour")


def test_see_why_one_may_not(anna: Visitor, ben: Visitor) -> None:
    chat_id = anna.make_group("rules", ben)
    ben.open("rules")
    with anna.rest() as rest, ben.rest() as of_ben:
        me = of_ben.get("/v1/me").json()["id"]
        rest.patch(f"/v1/chats/{chat_id}/members/{me}", json={"role": "reader"}).raise_for_status()
    ben.page.get_by_text("You may read here, not write.").wait_for()
    ben.effort = 0
    ben.click("button", "Why?")
    expect(ben.page.get_by_text(re.compile("^Refused by: "))).to_be_visible()
    took(ben, "see why one may not write")


def test_sign_out_another_device(visits_embedded: Visits, anna: Visitor) -> None:
    away = visits_embedded.elsewhere(anna).sign_in()
    anna.effort = 0
    anna.press("Control+Comma")
    anna.page.get_by_text("this device").wait_for()
    anna.click("button", "Sign out", within=anna.page.get_by_role("listitem").filter(has_text="last used"))
    expect(away.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible(timeout=paced(10) * 1_000)
    took(anna, "sign out another device")


def test_on_a_phone(visits_embedded: Visits, ben: Visitor) -> None:
    anna = visits_embedded.person(
        "anna", viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True
    ).register()
    anna.make_group("tea", ben)
    with ben.rest() as rest:
        chat_id = anna.page.url.rpartition("/")[2]
        said = {"client_message_id": "00000000-0000-4000-8000-000000000001", "body": "at four?"}
        rest.post(f"/v1/chats/{chat_id}/messages", json=said).raise_for_status()
    anna.go("/")
    anna.effort = 0
    anna.open("tea")
    anna.sees("at four?")
    anna.box.fill("yes")
    anna.click("button", "Send")
    ben.page.get_by_role("link", name=re.compile("^tea")).wait_for()
    anna.sees("yes")
    took(anna, "read and answer on a phone")
