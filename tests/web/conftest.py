"""A real browser on the web client. Each test opens its own pages; what one asks for elsewhere, or complains of, fails it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from stack.pace import paced
from stack.parley import ROOT
from tests.browser import opened
from tests.web.visitor import Visits
from tests.world import World


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of one module: others have loops of their own."""
    expect.set_options(timeout=paced(10) * 1_000)
    with opened() as browser:
        yield browser


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """The client as it is now."""
    subprocess.run([sys.executable, "-m", "stack.build_web"], cwd=ROOT, check=True)


@pytest.fixture
def visits(browser: Browser, world: World) -> Iterator[Visits]:
    with Visits(browser, world) as visits:
        yield visits


@pytest.fixture
def visits_embedded(browser: Browser, embedded: World) -> Iterator[Visits]:
    with Visits(browser, embedded) as visits:
        yield visits


@pytest.fixture
def visits_real(browser: Browser, real: World) -> Iterator[Visits]:
    with Visits(browser, real) as visits:
        yield visits
