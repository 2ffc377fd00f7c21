"""The contract's own words (docs/protocol.md), by the call or request that they are about: documents and pages show them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FILE = Path(__file__).parents[3] / "docs" / "protocol.md"
_HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)


@cache
def sections() -> dict[str, str]:
    """Heading, as `GET /v1/users/{}` or `message.send`, → its text. Headings in a row share the text behind them."""
    text = FILE.read_text()
    found: dict[str, str] = {}
    waiting: list[str] = []
    marks = list(_HEADING.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        waiting.append(_key(mark[1]))
        body = text[mark.end() : following.start() if following else len(text)].strip()
        if body:
            found |= dict.fromkeys(waiting, body.replace("](#", "](docs/protocol#"))
            waiting = []
    return found


def about_call(method: str, path: str) -> str:
    """Of a call of REST; "" where the contract has no section on it."""
    return sections().get(_key(f"{method.upper()} {path}"), "")


def about_request(name: str) -> str:
    """Of a request of the socket."""
    return sections().get(name, "")


def _key(heading: str) -> str:
    return re.sub(r"\{\w+\}", "{}", heading.strip("`").partition("?")[0])
