"""Somebody at the web client, who does what people do by role and name, and counts clicks and keys."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

import httpx2
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from stack.pace import paced
from tests.world import PASSWORD, World, new_id

WAIT_MS = 10_000
_EXPECTED = re.compile(r"Failed to load resource|WebSocket connection to")
"""What a browser says of an answer that refuses, and of a service that is gone."""


class Visitor:
    """One page. effort: clicks, and keys that aren't text."""

    def __init__(self, context: BrowserContext, url: str, username: str) -> None:
        self.context, self.url, self.username = context, url, username
        self.page: Page = context.new_page()
        self.effort = 0

    @property
    def box(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    def go(self, path: str = "/") -> Visitor:
        self.page.goto(self.url + path)
        return self

    def click(self, role: Any, name: str | re.Pattern[str], within: Locator | None = None, exact: bool = True) -> None:
        self.effort += 1
        (within or self.page).get_by_role(role, name=name, exact=exact if isinstance(name, str) else None).first.click()

    def press(self, key: str) -> None:
        self.effort += 1
        self.page.keyboard.press(key)

    def register(self, display_name: str = "") -> Visitor:
        self.click("button", "New here? Create an account")
        self.page.get_by_label("Username").fill(self.username)
        if display_name:
            self.page.get_by_label("Name that others see").fill(display_name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.click("button", "Create account")
        self.page.get_by_role("navigation", name="Chats").wait_for()
        return self

    def sign_in(self) -> Visitor:
        self.page.get_by_label("Username").fill(self.username)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.click("button", "Sign in")
        self.page.get_by_role("navigation", name="Chats").wait_for()
        return self

    def say(self, text: str) -> None:
        self.box.fill(text)
        self.press("Enter")

    def article(self, text: str) -> Locator:
        return self.page.get_by_role("article").filter(has_text=text)

    def sees(self, text: str, times: int = 1) -> Locator:
        found = self.article(text).filter(has_not_text="sending")
        expect(found).to_have_count(times, timeout=paced(WAIT_MS / 1000) * 1000)
        return found

    def act(self, text: str, name: str) -> None:
        """An action of a message."""
        article = self.article(text).first
        article.hover()
        self.click("button", name, within=article)

    def choose(self, text: str, name: str) -> None:
        """One of those under More."""
        self.act(text, "More")
        self.click("menuitem", name)

    def make_group(self, title: str, *others: Visitor) -> str:
        self.click("button", "New chat")
        for other in others:
            self.page.get_by_role("searchbox", name="Find a person").fill(other.username)
            self.click("button", re.compile(f"@{other.username}"))
        self.page.get_by_label("Title (makes it a group)").fill(title)
        return self._opened_by("Make the group")

    def ask_assistant(self) -> str:
        return self._opened_by(re.compile("^Ask the assistant"))

    def _opened_by(self, button: str | re.Pattern[str]) -> str:
        """The id of the chat that it leads to."""
        before = self.page.url
        self.click("button", button)
        self.page.wait_for_url(lambda url: url != before and "/c/" in url)
        return self.page.url.rpartition("/")[2]

    def open(self, title: str) -> None:
        self.click("link", re.compile(f"^{re.escape(title)}"))

    def rest(self) -> httpx2.Client:
        """This person's REST calls, by a session of their own."""
        form = {"grant_type": "password", "username": self.username, "password": PASSWORD}
        token = httpx2.post(f"{self.url}/v1/auth/token", data=form).json()["access_token"]
        return httpx2.Client(base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


class Visits:
    """Pages and what they asked for."""

    def __init__(self, browser: Browser, world: World) -> None:
        self._browser, self.world, self.urls = browser, world, world.urls
        self._contexts: list[BrowserContext] = []
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []

    @property
    def long_question(self) -> str:
        """Answered for some seconds, by the demo assistant or by the scripted model."""
        if self.world.stack is None:
            return "Please write forty sentences"
        return f"script: {json.dumps({'words': 300, 'every_ms': 40, 'n': new_id()})}"

    def person(self, name: str = "p", gateway: int = 0, **context: Any) -> Visitor:
        """Somebody new, with a browser of their own, who has opened the page."""
        visitor = Visitor(
            self.context(**context), self.urls[gateway % len(self.urls)], f"{name}-{new_id().replace('-', '')[:10]}"
        )
        return visitor.go()

    def context(self, **more: Any) -> BrowserContext:
        context = self._browser.new_context(**{"viewport": {"width": 1100, "height": 760}, "locale": "en-GB", **more})
        context.set_default_timeout(paced(WAIT_MS / 1000) * 1000)
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("dialog", self._dialog)
        self._contexts.append(context)
        return context

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.accept("since it is so" if dialog.type == "prompt" else None)

    def second_tab(self, visitor: Visitor) -> Visitor:
        return Visitor(visitor.context, visitor.url, visitor.username)

    def elsewhere(self, visitor: Visitor) -> Visitor:
        """The same person at another browser."""
        return Visitor(self.context(), visitor.url, visitor.username).go()

    def __enter__(self) -> Visits:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        """Closes all; where nothing else failed, nothing may have been asked for elsewhere, or complained of."""
        for context in self._contexts:
            context.close()
        if failed is None:
            ours = {urlsplit(url).netloc for url in self.urls}
            outside = {one for one in self.asked if one.startswith(("http", "ws")) and urlsplit(one).netloc not in ours}
            assert not outside, f"asked for {outside}"
            odd = [one for one in self.complaints if not _EXPECTED.search(one)]
            assert not odd, odd
