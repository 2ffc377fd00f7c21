"""For everyone: no rule of accessibility is broken on any main state, light and dark; keyboard, languages, small screens, other people's pages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from stack.pace import paced
from stack.parley import ROOT
from tests.web.visitor import Visitor, Visits

AXE = ROOT / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


COLOURS = ["color-contrast", "link-in-text-block"]
"""What of them differs in the dark."""


def violations(page: Page, kind: str = "tag", rules: list[str] = RULES) -> list[str]:
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text())
    found = page.evaluate("(only) => axe.run(document, { runOnly: only })", {"type": kind, "values": rules})
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found["violations"]
    ]


MARKDOWN = """# Tea
A list: *one*, **two**, `three`, [a link](https://example.org).

| cup | price |
|---|---|
| small | 2 |

```python
def tea() -> int:
    return 4  # o'clock
```
> said somebody

$e^{i\\pi} + 1 = 0$"""


def states(anna: Visitor, ben: Visitor) -> dict[str, tuple[Callable[[], None], Locator]]:
    """Each main state of the page, in the order in which it is come to: how, and what shows that it is there."""
    page = anna.page

    def talk() -> None:
        anna.make_group("tea", ben)
        anna.say(MARKDOWN)
        anna.sees("said somebody")
        page.locator(".katex").wait_for()
        anna.act("said somebody", "thumbs up")
        expect(anna.sees("said somebody").get_by_role("button", name=re.compile("👍 1"))).to_be_visible()

    def waiting() -> None:
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        anna.ask_assistant()
        anna.say("Please write forty sentences")
        expect(page.get_by_role("article").nth(1)).to_contain_text("writing …")

    def admin() -> None:
        anna.go("/admin")
        expect(page.get_by_role("alert")).to_be_visible()

    def panel() -> None:
        page.keyboard.press("Escape")
        anna.click("button", "About this chat")

    def settings() -> None:
        page.keyboard.press("Escape")
        anna.go("/settings")

    return {
        "nothing open": (lambda: None, page.get_by_role("heading", name="What would you like to do?")),
        "a chat": (talk, page.locator(".katex").first),
        "a menu": (lambda: anna.act("said somebody", "More"), page.get_by_role("menu")),
        "the panel": (panel, page.get_by_role("complementary")),
        "the palette": (lambda: anna.press("Control+k"), page.get_by_role("option").first),
        "an answer": (waiting, page.get_by_role("article").nth(1)),
        "a new chat": (lambda: anna.click("button", "New chat"), page.get_by_role("dialog")),
        "settings": (settings, page.get_by_text("this device")),
        "administration": (admin, page.get_by_role("alert")),
        "nothing there": (lambda: nowhere(anna), page.get_by_role("alert")),
    }


def nowhere(anna: Visitor) -> None:
    anna.go("/c/00000000-0000-0000-0000-000000000000")


def test_no_rule_is_broken(visits_embedded: Visits) -> None:
    """On each main state, light and dark."""
    ben = visits_embedded.person("ben").register("Ben")
    anna = visits_embedded.person("anna")
    broken = [f"the door: {one}" for one in in_both(anna.page)]
    anna.register("Anna")
    for name, (come, there) in states(anna, ben).items():
        come()
        there.wait_for()
        broken += [f"{name}: {one}" for one in in_both(anna.page)]
    assert not broken, "\n".join(broken)


def in_both(page: Page) -> list[str]:
    found = violations(page)
    page.emulate_media(color_scheme="dark")
    found += [f"in the dark: {one}" for one in violations(page, "rule", COLOURS)]
    page.emulate_media(color_scheme="light")
    return found


def test_by_keyboard_alone(visits_embedded: Visits) -> None:
    ben = visits_embedded.person("ben").register("Ben")
    anna = visits_embedded.person("anna")
    page = anna.page
    page.get_by_role("button", name="New here?").press("Enter")
    page.get_by_label("Username").press_sequentially(anna.username)
    page.get_by_label("Password").press_sequentially("a long password")
    page.keyboard.press("Enter")
    page.get_by_role("navigation", name="Chats").wait_for()
    page.keyboard.press("n")
    page.get_by_role("searchbox", name="Find a person").press_sequentially(ben.username)
    page.get_by_role("button", name=re.compile(f"@{ben.username}")).wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Write to them").press("Enter")
    anna.box.press_sequentially("hello")
    page.keyboard.press("Shift+Enter")
    anna.box.press_sequentially("there")
    page.keyboard.press("Enter")
    anna.sees("hello")
    page.keyboard.press("ArrowUp")
    expect(anna.box).to_have_value("hello\nthere")
    page.keyboard.press("Escape")
    expect(anna.box).to_have_value("")
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Edit":
            break
    else:
        raise AssertionError("no way to a message's actions")
    page.keyboard.press("Enter")
    expect(anna.box).to_have_value("hello\nthere")


def test_nothing_is_sent_while_an_input_method_composes(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    anna.make_group("notes")
    anna.box.fill("にほん")
    anna.box.evaluate(
        "one => { const key = new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, isComposing: true, keyCode: 229 }); one.dispatchEvent(key); }"
    )
    anna.page.wait_for_timeout(300)
    expect(anna.box).to_have_value("にほん")
    assert anna.page.get_by_role("article").count() == 0
    anna.press("Enter")
    anna.sees("にほん")


def test_another_language_from_right_to_left(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna", locale="ar")
    page = anna.page
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    page.get_by_role("button", name=re.compile("حساب")).first.click()
    page.locator("input[name=username]").fill(anna.username)
    page.locator("input[name=password]").fill("a long password")
    page.keyboard.press("Enter")
    page.get_by_role("navigation").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == []


@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone(visits_embedded: Visits, width: int) -> None:
    screen = {"width": width, "height": 640}
    anna = visits_embedded.person("anna", viewport=screen, has_touch=True, is_mobile=True)
    page = anna.page
    anna.register()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("navigation").get_by_role("button", name="Ask the assistant", exact=True).tap()
    page.wait_for_url("**/c/*")
    anna.box.fill("two sentences, please")
    page.get_by_role("button", name="Send", exact=True).tap()
    expect(page.get_by_role("article").nth(1)).to_contain_text("tokens", timeout=paced(20) * 1_000)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Back to the chats").tap()
    expect(page.get_by_role("link", name=re.compile("^two sentences"))).to_be_visible()
