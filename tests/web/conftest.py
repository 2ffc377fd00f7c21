"""A real browser on the web client. Each test opens its own pages; what one asks for elsewhere, or complains of, fails it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from stack.pace import paced
from stack.packages import find_chromium
from stack.parley import ROOT
from tests.web.visitor import Visits
from tests.world import World


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module: while it is open no other loop can run in this process."""
    expect.set_options(timeout=paced(10) * 1_000)
    chromium = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium.program),
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-sandbox"],
            env={**os.environ, **chromium.environment},
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """The client as it is now."""
    subprocess.run([sys.executable, "-m", "stack.build_web"], cwd=ROOT, check=True)


@pytest.fixture
def visits(browser: Browser, world: World) -> Iterator[Visits]:
    visits = Visits(browser, world)
    yield visits
    visits.end()


@pytest.fixture
def visits_embedded(browser: Browser, embedded: World) -> Iterator[Visits]:
    visits = Visits(browser, embedded)
    yield visits
    visits.end()
