"""Two people talk, and ask the assistant, in real browsers, on both worlds."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from stack.pace import paced
from tests.web.visitor import Visits


def test_two_people_talk_edit_react_and_delete(visits: Visits) -> None:
    anna, ben = visits.person("anna").register("Anna"), visits.person("ben", gateway=1).register("Ben")
    anna.make_group("tea", ben)
    anna.say("Shall we **start**?")
    ben.page.get_by_role("link", name=re.compile("^tea, 1 unread")).wait_for()
    expect(ben.page).to_have_title("(1) Parley")
    ben.open("tea")
    ben.sees("Shall we start?")
    assert ben.article("Shall we").locator("strong").inner_text() == "start"
    expect(ben.page).to_have_title("tea · Parley")
    ben.act("Shall we", "Reply")
    ben.say("Yes, at four")
    answer = anna.sees("Yes, at four")
    expect(answer.get_by_role("button", name=re.compile("Shall we"))).to_be_visible()
    anna.act("Yes, at four", "thumbs up")
    expect(ben.sees("Yes, at four").get_by_role("button", name=re.compile("👍 1: Anna"))).to_be_visible()
    ben.act("Yes, at four", "Edit")
    ben.say("Yes, at five")
    expect(anna.sees("Yes, at five")).to_contain_text("edited")
    ben.page.wait_for_timeout(3_100)  # once in 3 s
    ben.box.press_sequentially("I")
    expect(anna.page.get_by_text("Ben is typing …").first).to_be_visible()
    ben.act("Yes, at five", "Delete")
    anna.sees("Yes, at five", 0)
    expect(anna.article("deleted")).to_have_count(1)
    assert visits.dialogs == ["Delete this message for everyone?"]


def test_the_assistant_streams_is_stopped_and_asked_again(visits: Visits) -> None:
    anna = visits.person("anna").register()
    anna.ask_assistant()
    anna.say(visits.long_question)
    answer = anna.page.get_by_role("article").nth(1)
    expect(answer).to_contain_text("writing …")
    anna.box.fill("typed on meanwhile")
    anna.click("button", "Stop")
    expect(answer).to_contain_text("stopped")
    assert anna.box.input_value() == "typed on meanwhile"
    answer.hover()
    anna.click("button", "Regenerate", within=answer)
    expect(anna.page.get_by_text("2/2")).to_be_visible()
    again = anna.page.get_by_role("article").nth(1)
    expect(again).to_contain_text("writing …")
    anna.click("button", "Stop")
    expect(again).to_contain_text("stopped")
    anna.click("button", "Previous")
    expect(anna.page.get_by_text("1/2")).to_be_visible()
    again.hover()
    anna.click("button", "More", within=again)
    anna.click("menuitem", "How this answer came about")
    dialog = anna.page.get_by_role("dialog")
    for words in ("Assistant", "stopped", "first word after", "members-write", "1 message"):
        expect(dialog).to_contain_text(words)


@pytest.mark.long
def test_second_tab_and_another_device_are_in_step(visits: Visits) -> None:
    anna = visits.person("anna").register()
    chat_id = anna.make_group("notes")
    other = visits.second_tab(anna).go(f"/c/{chat_id}")
    away = visits.elsewhere(anna).sign_in()
    away.open("notes")
    for n, tab in enumerate((anna, other, away)):
        tab.say(f"word {n}")
        anna.sees(f"word {n}")
    for tab in (anna, other, away):
        for n in range(3):
            tab.sees(f"word {n}")
        said = tab.page.get_by_role("article").all_inner_texts()
        assert [re.search(r"word \d", text).group() for text in said] == ["word 0", "word 1", "word 2"]  # type: ignore[union-attr]
    anna.act("word 1", "Delete")
    other.sees("word 1", 0)
    away.sees("word 1", 0)


def test_who_is_removed_sees_nothing_of_it_any_more(visits: Visits) -> None:
    anna, ben = visits.person("anna").register("Anna"), visits.person("ben").register("Ben")
    chat_id = anna.make_group("secret", ben)
    anna.say("the word is canary")
    ben.open("secret")
    ben.sees("canary")
    anna.click("button", "About this chat")
    anna.click("button", "What to do with Ben")
    anna.click("menuitem", "Remove")
    expect(ben.page.get_by_role("alert")).to_contain_text("isn't there for you", timeout=paced(5) * 1_000)
    assert "canary" not in ben.page.locator("body").inner_text()
    ben.go(f"/c/{chat_id}")
    expect(ben.page.get_by_role("alert")).to_contain_text("isn't there for you")
    assert ben.page.get_by_role("link", name=re.compile("^secret")).count() == 0


def test_a_muted_person_s_box_is_off_and_says_until_when(visits: Visits) -> None:
    anna, ben = visits.person("anna").register("Anna"), visits.person("ben").register("Ben")
    anna.make_group("quiet", ben)
    ben.open("quiet")
    ben.box.wait_for()
    anna.click("button", "About this chat")
    anna.click("button", "What to do with Ben")
    anna.click("menuitem", "Mute for an hour")
    expect(ben.page.get_by_text(re.compile("You are muted here until"))).to_be_visible()
    expect(ben.box).to_be_disabled()
