"""python -m tests.pages: the pages in a real browser. Whatever asks for more than this machine, or complains, fails it.

--pictures writes what it saw to docs/pictures.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect

from stack.parley import ROOT
from tests.browser import opened
from tests.world import PASSWORD, World, new_id, start_embedded, stop_embedded

PICTURES = ROOT / "docs" / "pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", action="store_true")
    pictures = PICTURES if parser.parse_args().pictures else None
    world = start_embedded()
    try:
        with opened(sandbox=os.geteuid() != 0) as browser:
            visit(browser, world, pictures)
    finally:
        stop_embedded(world)


def visit(browser: Browser, world: World, pictures: Path | None) -> None:
    [url] = world.urls
    page = browser.new_page(viewport={"width": 1100, "height": 800})
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    for look in (home, socket, docs):
        look(page, url)
        print(f"{look.__name__}: good", flush=True)
        if pictures is not None:
            pictures.mkdir(exist_ok=True)
            page.screenshot(path=pictures / f"{look.__name__}.png")
    shapes(browser, url)
    outside = {one for one in asked if one.startswith("http") and urlsplit(one).netloc != urlsplit(url).netloc}
    assert not outside, f"asked for {outside}"
    assert not complaints, complaints
    print(f"{len(asked)} requests, all to {url}; no complaint in the console")


def shapes(browser: Browser, url: str) -> None:
    """In the dark, and as narrow as a phone: what is written stands out, and nothing has to be scrolled to the side."""
    paths = ("/about", "/docs", "/docs/ws", "/docs/protocol")
    for scheme in ("light", "dark"):
        for path in paths:
            page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme=scheme, is_mobile=True)
            page.goto(f"{url}{path}", wait_until="networkidle")
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= 360, f"{path} is {wide} px wide on a phone"
            text, ground = page.evaluate(_COLOURS)
            assert abs(text - ground) > 100 and (ground < 80) == (scheme == "dark"), (path, scheme, text, ground)
            page.close()
    print(f"phone and dark: good on {', '.join(paths)}")


_COLOURS = r"""() => {
  const light = (colour) => { const [r, g, b] = colour.match(/[\d.]+/g).map(Number); return 0.3 * r + 0.59 * g + 0.11 * b; };
  const ground = [document.body, document.documentElement].map((one) => getComputedStyle(one).backgroundColor)
    .find((colour) => colour !== 'rgba(0, 0, 0, 0)') ?? 'rgb(255, 255, 255)';
  return [light(getComputedStyle(document.body).color), light(ground)];
}"""
"""How light the body's text and its ground are, 0 to 255."""


def home(page: Page, url: str) -> None:
    page.goto(f"{url}/about")
    expect(page.locator("#status")).to_contain_text("ready")
    expect(page.locator("pre").first).to_contain_text(url)


def socket(page: Page, url: str) -> None:
    page.goto(f"{url}/about")
    page.get_by_role("link", name="The socket").first.click()
    expect(page).to_have_url(f"{url}/docs/ws")
    for frame in ("hello", "message.send", "welcome", "reply.delta", "message.completed", "draining"):
        expect(page.get_by_text(frame, exact=True).first).to_be_visible()


def docs(page: Page, url: str) -> None:
    """As a newcomer does: register, authorize, make a chat, send a message, read it again."""
    page.goto(f"{url}/docs")
    name = f"ann-{new_id()[-8:]}"
    call(page, "post", "/v1/auth/register", 201, {}, {"username": name, "password": PASSWORD})
    page.locator("button.authorize").first.click()
    form = page.locator(".auth-container").first
    form.locator("#oauth_username").fill(name)
    form.locator("#oauth_password").fill(PASSWORD)
    form.get_by_label("Apply given OAuth2 credentials").click()
    expect(form).to_contain_text("Authorized")
    page.locator(".btn-done").first.click()
    chat = call(page, "post", "/v1/chats", 201, {}, {"kind": "group", "title": "from the page"})
    message = {"client_message_id": new_id(), "body": "hello from the page"}
    call(page, "post", "/v1/chats/{chat_id}/messages", 201, {"chat_id": chat["id"]}, message)
    read = call(page, "get", "/v1/chats/{chat_id}/messages", 200, {"chat_id": chat["id"]})
    assert [one["body"] for one in read["items"]] == ["hello from the page"]


def call(
    page: Page, method: str, path: str, status: int, fields: dict[str, str], body: dict[str, Any] | None = None
) -> Any:
    """Open the operation, fill it in, execute, and read what the page shows."""
    block = page.locator(f".opblock-{method}").filter(has=page.locator(f'[data-path="{path}"]'))
    block.locator(".opblock-summary").click()
    for field, value in fields.items():
        block.locator(f'tr[data-param-name="{field}"] input').fill(value)
    if body is not None:
        block.locator("textarea.body-param__text").fill(json.dumps(body))
    block.get_by_role("button", name="Execute").click()
    live = block.locator(".live-responses-table")
    expect(live.locator("tr.response .response-col_status").first).to_contain_text(str(status), timeout=10_000)
    found = json.loads(
        live.locator(".response-col_description .microlight, .response-col_description code").first.inner_text()
    )
    if method == "get":  # stays open, for the picture
        live.scroll_into_view_if_needed()
    else:
        block.locator(".opblock-summary").click()
    return found


if __name__ == "__main__":
    main()
