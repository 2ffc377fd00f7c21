"""Nothing is lost on screen, nor doubled, whatever is reloaded, killed or taken away behind it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from stack.pace import paced
from tests.web.visitor import Visitor, Visits
from tests.world import World, start_embedded, stop_embedded


@pytest.fixture(scope="module")
def own() -> Iterator[World]:
    """A process that is killed and started again."""
    world = start_embedded(folder=Path(tempfile.mkdtemp(prefix="parley-w-", dir="/tmp")))
    yield world
    stop_embedded(world)


@pytest.fixture
def visits_own(browser: Browser, own: World) -> Iterator[Visits]:
    with Visits(browser, own) as visits:
        yield visits


def now(visitor: Visitor) -> None:
    """Not when the countdown ends."""
    button = visitor.page.get_by_role("button", name="Now", exact=True)
    if button.count():
        button.click()


def texts(visitor: Visitor) -> list[str]:
    """What is on the screen, in its order."""
    found = (re.search(r"word \d+", text) for text in visitor.page.get_by_role("article").all_inner_texts())
    return [one.group() for one in found if one is not None]


def test_an_answer_goes_on_through_twenty_reloads(visits: Visits) -> None:
    anna = visits.person("anna").register()
    chat_id = anna.ask_assistant()
    anna.say(visits.long_question)
    watching = visits.second_tab(anna).go(f"/c/{chat_id}")
    answer = watching.page.get_by_role("article").nth(1)
    expect(answer).to_contain_text("writing …")
    for _ in range(20):
        anna.page.reload(wait_until="commit")
        anna.page.get_by_role("article").nth(1).wait_for()
    expect(answer).to_contain_text("tokens", timeout=paced(60) * 1_000)
    expect(anna.page.get_by_role("article").nth(1)).to_contain_text("tokens", timeout=paced(10) * 1_000)
    shown = [tab.page.get_by_role("article").nth(1).locator(".body").inner_text() for tab in (anna, watching)]
    items = anna.rest().get(f"/v1/chats/{chat_id}/messages").json()["items"]
    assert shown[0] == shown[1] and " ".join(shown[0].split()) == " ".join(items[0]["body"].split())
    assert len(items) == 2 and items[0]["attempt"] == 1, "one question, one call of the model"


def test_the_service_is_killed_and_started_again_in_mid_conversation(visits_own: Visits, own: World) -> None:
    assert own.role is not None
    anna, ben = visits_own.person("anna").register("Anna"), visits_own.person("ben").register("Ben")
    anna.make_group("tea", ben)
    ben.open("tea")
    anna.say("word 0")
    ben.sees("word 0")
    own.role.child.kill()
    for n in range(1, 4):
        anna.say(f"word {n}")
    expect(anna.sees("word 3")).to_contain_text("waiting")
    expect(anna.page.get_by_role("status").filter(has_text="No connection")).to_be_visible()
    own.role.start()
    for visitor in (anna, ben):
        now(visitor)
        visitor.sees("word 3")
        expect(visitor.page.get_by_text("No connection")).to_have_count(0, timeout=paced(40) * 1_000)
        expect(visitor.page.get_by_role("article").filter(has_text="waiting")).to_have_count(0)
        assert texts(visitor) == ["word 0", "word 1", "word 2", "word 3"]
    ben.page.reload()
    ben.sees("word 3")
    assert texts(ben) == ["word 0", "word 1", "word 2", "word 3"]


@pytest.mark.long
def test_what_is_sent_without_the_service_survives_a_reload_and_is_sent_once(visits_own: Visits, own: World) -> None:
    assert own.role is not None
    anna = visits_own.person("anna").register("Anna")
    anna.make_group("notes")
    anna.say("word 0")
    anna.sees("word 0")
    anna.page.wait_for_function(
        "navigator.serviceWorker.controller !== null || navigator.serviceWorker.ready.then(() => true)"
    )
    anna.page.reload()
    anna.sees("word 0")
    anna.page.wait_for_timeout(2_500)  # what is kept for such a reload is written each 2 s
    own.role.child.kill()
    anna.say("word 1")
    anna.say("word 2")
    anna.box.fill("a draft")
    anna.page.wait_for_timeout(500)
    anna.page.reload()
    for n in range(3):
        anna.sees(f"word {n}")
    expect(anna.sees("word 2")).to_contain_text("waiting")
    expect(anna.box).to_have_value("a draft")
    assert anna.page.get_by_role("link", name=re.compile("^notes")).count() == 1, "the chats are there"
    own.role.start()
    now(anna)
    expect(anna.page.get_by_role("article").filter(has_text="waiting")).to_have_count(0, timeout=paced(40) * 1_000)
    anna.sees("word 2")
    assert texts(anna) == ["word 0", "word 1", "word 2"]
    anna.page.reload()
    anna.sees("word 2")
    assert texts(anna) == ["word 0", "word 1", "word 2"]


@pytest.mark.long
def test_a_gateway_is_killed_and_started_again(visits_real: Visits, real: World) -> None:
    assert real.stack is not None
    gateway = real.stack.gateways[0]
    anna, ben = visits_real.person("anna").register("Anna"), visits_real.person("ben", gateway=1).register("Ben")
    anna.make_group("tea", ben)
    ben.open("tea")
    anna.say("word 0")
    ben.sees("word 0")
    gateway.child.kill()
    anna.say("word 1")
    ben.say("word 2")
    expect(anna.sees("word 1")).to_contain_text("waiting")
    gateway.start()
    expect(anna.page.get_by_text("No connection")).to_have_count(0, timeout=paced(40) * 1_000)
    ben.sees("word 1")
    anna.sees("word 2")
    assert texts(anna) == texts(ben) and sorted(texts(ben)) == ["word 0", "word 1", "word 2"]


def test_signed_out_everywhere_else(visits_embedded: Visits) -> None:
    anna = visits_embedded.person("anna").register()
    away = visits_embedded.elsewhere(anna).sign_in()
    anna.go("/settings")
    anna.click("button", "Sign out everywhere else")
    expect(away.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible(timeout=paced(10) * 1_000)
    kept = away.page.evaluate("JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
    assert "eyJ" not in kept and "parley_refresh" not in kept
    expect(anna.page.get_by_role("heading", name="Settings")).to_be_visible()


@pytest.mark.long
def test_another_person_at_this_browser_neither_sees_nor_sends_what_waits(visits_own: Visits, own: World) -> None:
    assert own.role is not None
    anna = visits_own.person("anna").register()
    anna.make_group("mine")
    anna.say("word 0")
    anna.sees("word 0")
    with anna.rest() as rest:
        own.role.child.kill()
        anna.say("my secret word 1")
        own.role.start()
        anna.sees("my secret word 1")
        rest.delete("/v1/me/sessions", params={"others": "true"})
    expect(anna.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible(timeout=paced(15) * 1_000)
    ben = Visitor(anna.context, anna.url, anna.username + "x").go().register()
    assert "secret" not in ben.page.locator("body").inner_text()
