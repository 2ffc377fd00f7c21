"""python -m tests.web.long_chat [MESSAGES]: a chat of a hundred thousand messages in the browser. How long it takes to open,
and the longest task of the page's thread while one scrolls up through it, and while an answer streams in it. Two minutes."""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from stack.build_web import build
from tests import browser
from tests.web.visitor import Visits
from tests.world import start_embedded, stop_embedded

OPEN_MS_MAX = 1_000
TASK_MS_MAX = 100
_WATCH = """() => {
  window.tasks = [];
  new PerformanceObserver((list) => list.getEntries().forEach((one) => window.tasks.push(one.duration))).observe({ type: "longtask" });
}"""


def fill(database: Path, chat_id: str, sender_id: str, count: int) -> None:
    """Said by one person, a minute apart; every tenth in Markdown."""
    began = datetime.now(UTC) - timedelta(minutes=count)

    def row(n: int) -> tuple[Any, ...]:
        body = f"message number {n}, and some words that make it as long as people's messages are"
        if n % 10 == 0:
            body += f"\n\n- a list with `code` in item {n}\n- and **bold** words"
        at = (began + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"
        return chat_id, n + 1, str(uuid.uuid4()), sender_id, "user", str(uuid.uuid4()), body, "complete", at

    with sqlite3.connect(database) as connection:
        connection.executemany(
            "insert into messages (chat_id, seq, id, sender_id, kind, client_message_id, body, status, created_at)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row(n) for n in range(1, count + 1)),
        )
        connection.execute("update chats set head = ? where id = ?", (count + 1, chat_id))
        connection.execute("update reads set seq = ? where chat_id = ?", (count + 1, chat_id))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    build()
    folder = Path(tempfile.mkdtemp(prefix="parley-l-", dir="/tmp"))
    world = start_embedded({"READS_PER_S": "10000"}, folder)
    assert world.role is not None
    try:
        with browser.opened() as chromium, Visits(chromium, world) as visits:
            anna = visits.person("anna").register()
            chat_id = anna.ask_assistant()
            me = anna.rest().get("/v1/me").json()["id"]
            world.role.child.stop()
            fill(folder / "data" / "parley.db", chat_id, me, count)
            world.role.start()
            page = anna.go("/").page
            page.get_by_role("link", name="Assistant").wait_for()
            page.evaluate(_WATCH)
            began = time.perf_counter()
            page.get_by_role("link", name="Assistant").click()
            page.get_by_text(f"message number {count},").wait_for()
            open_ms = (time.perf_counter() - began) * 1_000
            column = page.get_by_role("region", name="Messages")
            column.hover()
            page.evaluate("window.tasks = []")
            for _ in range(400):
                page.mouse.wheel(0, -1_500)
                page.wait_for_timeout(20)
            first = int(page.get_by_role("article").first.get_attribute("data-seq") or 0)
            scrolling = page.evaluate("Math.max(0, ...window.tasks)")
            page.get_by_role("button", name="To the newest").click()
            page.evaluate("window.tasks = []")
            anna.say("forty sentences, please")
            expect(page.get_by_role("article").last).to_contain_text("tokens", timeout=60_000)
            streaming = page.evaluate("Math.max(0, ...window.tasks)")
    finally:
        stop_embedded(world)
    print(
        f"{count:,} messages: opened in {open_ms:.0f} ms; longest task while scrolling up by {count - first:,} messages {scrolling:.0f} ms, while an answer streams {streaming:.0f} ms"
    )
    if open_ms > OPEN_MS_MAX or max(scrolling, streaming) > TASK_MS_MAX:
        sys.exit(f"more than {OPEN_MS_MAX} ms, or {TASK_MS_MAX} ms a task")


if __name__ == "__main__":
    main()
