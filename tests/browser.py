"""Debian's Chromium, as all tests of pages open it: it finds no host but this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from stack.packages import find_chromium


@contextmanager
def opened(sandbox: bool = False) -> Iterator[Browser]:
    """While it is open no other loop can run in this process."""
    chromium = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(chromium.program),
            args=["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
            chromium_sandbox=sandbox,
            env={**os.environ, **chromium.environment},
        )
        yield browser
        browser.close()
