"""The column: where it opens, what it loads, where it stays; what is pasted, copied and dropped."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.sync_api import expect

from stack.pace import paced
from tests.web.visitor import Visitor, Visits
from tests.world import new_id


def say(rest: httpx2.Client, chat_id: str, *bodies: str) -> None:
    for body in bodies:
        said = {"client_message_id": new_id(), "body": body}
        rest.post(f"/v1/chats/{chat_id}/messages", json=said).raise_for_status()


def place(visitor: Visitor, text: str) -> float:
    box = visitor.article(text).first.bounding_box()
    assert box is not None
    return box["y"]


@pytest.mark.long
def test_it_opens_at_the_first_unread_and_counts_what_is_new(visits_embedded: Visits) -> None:
    anna, ben = visits_embedded.person("anna").register("Anna"), visits_embedded.person("ben").register("Ben")
    chat_id = anna.make_group("busy", ben)
    with anna.rest() as rest:
        say(rest, chat_id, *(f"line {n:03}" for n in range(70)))
    ben.page.get_by_role("link", name=re.compile("^busy, 70 unread")).wait_for()
    expect(ben.page).to_have_title(re.compile(r"^\(70\) "))
    ben.open("busy")
    expect(ben.page.get_by_role("separator", name="New messages")).to_be_visible()
    expect(ben.article("line 000")).to_be_in_viewport()
    expect(ben.page.get_by_role("button", name=re.compile("70 new"))).to_be_visible()
    expect(ben.page).to_have_title(re.compile(r"^\(70\) "))
    ben.click("button", re.compile("70 new"))
    expect(ben.article("line 069")).to_be_in_viewport()
    expect(ben.page).to_have_title(re.compile(r"^[^(]"))
    with anna.rest() as rest:
        say(rest, chat_id, "line 070")
    expect(ben.article("line 070")).to_be_in_viewport()
    ben.page.get_by_role("region", name="Messages").hover()
    pill = ben.page.get_by_role("button", name=re.compile("To the newest"))
    for _ in range(20):  # a column that has just gone to its end may swallow a turn of the wheel
        ben.page.mouse.wheel(0, -900)
        ben.page.wait_for_timeout(300)
        if pill.count():
            break
    expect(pill).to_be_visible()
    with anna.rest() as rest:
        say(rest, chat_id, "line 071")
    expect(ben.page.get_by_role("button", name=re.compile("1 new"))).to_be_visible()
    expect(ben.article("line 071")).not_to_be_in_viewport()


def shown(visitor: Visitor) -> list[int]:
    texts = " ".join(visitor.page.get_by_role("article").all_inner_texts())
    return sorted(int(found) for found in re.findall(r"line (\d+)", texts))


@pytest.mark.long
def test_history_loads_above_without_a_jump(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register("Anna")
    chat_id = anna.make_group("long")
    with anna.rest() as rest:
        say(rest, chat_id, *(f"line {n:03}" for n in range(130)))
    anna.page.reload()
    expect(anna.article("line 129")).to_be_in_viewport()
    column = anna.page.get_by_role("region", name="Messages")
    column.hover()
    loads: list[str] = []
    anna.page.on("request", lambda request: loads.append(request.url) if "before=" in request.url else None)
    top = 129
    for _ in range(80):
        lines = shown(anna)
        if lines != shown(anna) or lines[-1] <= top - 25:  # it was just being laid out
            anna.page.wait_for_timeout(300)
            lines = shown(anna)
        assert top - 25 < lines[-1] and lines[0] <= top + 5, "no jump, neither up nor down"
        top = lines[0]
        if top == 0:
            break
        anna.page.mouse.wheel(0, -400)
        anna.page.wait_for_timeout(60)
    assert loads and top == 0


def test_a_link_to_a_message_opens_there_also_after_a_reload(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register("Anna")
    chat_id = anna.make_group("long")
    with anna.rest() as rest:
        say(rest, chat_id, *(f"line {n:03}" for n in range(110)))
    anna.go(f"/c/{chat_id}/m/42")
    expect(anna.article("line 040")).to_be_in_viewport()
    anna.page.reload()
    expect(anna.article("line 040")).to_be_in_viewport()
    anna.click("button", re.compile("To the newest"))
    expect(anna.article("line 109")).to_be_in_viewport()


def test_what_is_pasted_becomes_markdown_and_what_is_copied_is_as_asked(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna", permissions=["clipboard-read", "clipboard-write"]).register("Anna")
    anna.make_group("notes")
    anna.box.evaluate(
        """one => {
          const data = new DataTransfer();
          data.setData("text/html", "<p>a <b>bold</b> <a href='https://example.org/x'>link</a></p><ul><li>one</li></ul><script>alert(1)</script>");
          data.setData("text/plain", "a bold link one");
          one.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
        }"""
    )
    expect(anna.box).to_have_value(re.compile(r"a \*\*bold\*\* \[link\]\(https://example.org/x\)"))
    assert "alert" not in anna.box.input_value()
    anna.box.fill("| a | b |\n|---|---|\n| 1 | x, y |\n\n```sh\nmake run\n```")
    anna.press("Enter")
    article = anna.page.get_by_role("article").first

    def copied() -> str:
        text: str = anna.page.evaluate("navigator.clipboard.readText()")
        return text

    anna.click("button", "Copy as CSV", within=article)
    assert copied() == 'a,b\n1,"x, y"'
    anna.click("button", "Copy", within=article.locator(".code"))
    assert copied() == "make run\n"
    anna.choose("make run", "Copy as Markdown")
    assert copied().startswith("| a | b |")
    anna.choose("make run", "Copy link")
    assert copied() == f"{anna.page.url}/m/2"


def test_what_was_refused_says_why_and_can_be_tried_again_or_dropped(visits_embedded: Visits) -> None:
    anna, ben = visits_embedded.person("anna").register("Anna"), visits_embedded.person("ben").register("Ben")
    chat_id = anna.make_group("rules", ben)
    ben.open("rules")
    ben.box.wait_for()
    with anna.rest() as rest, ben.rest() as of_ben:
        me = of_ben.get("/v1/me").json()["id"]
        ben.box.fill("may I?")
        ben.context.set_offline(True)
        ben.press("Enter")
        rest.patch(f"/v1/chats/{chat_id}/members/{me}", json={"role": "reader"}).raise_for_status()
        ben.context.set_offline(False)
        refused = ben.sees("may I?")
        expect(refused).to_contain_text("not sent: you may not write here", timeout=paced(15) * 1_000)
        rest.patch(f"/v1/chats/{chat_id}/members/{me}", json={"role": "member"}).raise_for_status()
    ben.page.reload()
    expect(ben.sees("may I?")).to_contain_text("not sent")
    ben.click("button", "Retry", within=ben.article("may I?"))
    anna.sees("may I?")
    expect(ben.page.get_by_role("article").filter(has_text="not sent")).to_have_count(0)
    ben.sees("may I?")


def test_a_selection_stays_while_an_answer_streams(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    anna.ask_assistant()
    anna.say("Please write forty sentences")
    answer = anna.page.get_by_role("article").nth(1)
    expect(answer).to_contain_text("demo assistant")
    anna.page.evaluate(
        """() => {
          const text = document.querySelectorAll("article")[1].querySelector(".body p").firstChild;
          const range = document.createRange();
          range.setStart(text, 0);
          range.setEnd(text, 12);
          getSelection().removeAllRanges();
          getSelection().addRange(range);
        }"""
    )
    before = len(answer.inner_text())
    anna.page.wait_for_timeout(2_000)
    assert len(answer.inner_text()) > before + 50
    assert anna.page.evaluate("getSelection().toString()") == "This is the "
    anna.click("button", "Stop")
