"""python -m tests.web.pictures: each main state of the web client, on a desktop and a phone, light and dark, into docs/pictures."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Browser, expect

from stack.build_web import build
from stack.parley import ROOT
from tests.browser import opened
from tests.web.visitor import Visits
from tests.world import start_embedded, stop_embedded

FOLDER = ROOT / "docs" / "pictures"
SAID = """Here is the plan:

| when | who | what |
|---|---|---|
| four | Ben | water |
| five | Anna | tea |

```python
def steep(minutes: int = 4) -> str:
    return f"tea after {minutes} minutes"
```
and *nobody* forgets the [cups](https://example.org/cups)."""


def main() -> None:
    build()
    world = start_embedded()
    FOLDER.mkdir(exist_ok=True)
    try:
        with opened() as browser, Visits(browser, world) as visits:
            icons(browser)
            for shape, screen in (
                ("desktop", {"width": 1180, "height": 760}),
                ("phone", {"width": 390, "height": 780}),
            ):
                for scheme in ("light", "dark"):
                    take(visits, shape, scheme, {"viewport": screen, "color_scheme": scheme})
    finally:
        stop_embedded(world)
    print(f"{len(list(FOLDER.glob('web-*.png')))} pictures in {FOLDER.relative_to(ROOT)}")


def icons(browser: Browser) -> None:
    """The installed app's, of the drawing."""
    drawing = (ROOT / "web/public/icon.svg").read_text()
    for size in (192, 512):
        page = browser.new_page(viewport={"width": size, "height": size})
        page.set_content(
            f"<body style='margin:0;background:#fff'>{drawing}<style>svg{{width:{size}px;height:{size}px}}"
        )
        page.screenshot(path=ROOT / f"web/public/icon-{size}.png")
        page.close()


def take(visits: Visits, shape: str, scheme: str, context: dict[str, Any]) -> None:
    anna, ben = visits.person("anna", **context), visits.person("ben").register("Ben")
    page = anna.page

    def shot(name: str) -> None:
        page.mouse.move(5, 5)
        page.wait_for_timeout(400)
        page.screenshot(path=FOLDER / f"web-{name}-{shape}-{scheme}.png")

    def back() -> None:
        if shape == "phone":
            anna.go("/")

    shot("door")
    anna.register("Anna")
    shot("empty")
    anna.make_group("Tea at four", ben)
    anna.say("Shall we meet for tea?")
    ben.open("Tea at four")
    ben.sees("Shall we meet")
    ben.say(SAID)
    anna.sees("nobody forgets")
    page.locator(".hljs-keyword").first.wait_for()
    anna.act("nobody forgets", "thumbs up")
    expect(anna.sees("nobody forgets").get_by_role("button", name=re.compile("👍 1"))).to_be_visible()
    shot("group")
    anna.click("button", "About this chat")
    page.get_by_role("complementary").wait_for()
    shot("people")
    anna.click("button", "Close", within=page.get_by_role("complementary"))
    back()
    anna.ask_assistant()
    anna.say("Forty sentences on **tea**, please")
    expect(page.get_by_role("article").nth(1)).to_contain_text("writing …")
    page.wait_for_timeout(2_500)
    shot("chat")
    anna.press("Control+k")
    page.get_by_role("combobox", name="Search").fill("tea")
    page.get_by_role("option").first.wait_for()
    shot("search")
    anna.press("Escape")
    anna.go("/settings")
    page.get_by_text("this device").wait_for()
    shot("settings")


if __name__ == "__main__":
    main()
