"""A small shop with its own users, and Parley's chat in its page: docs/embed.md.

    PARLEY_URL=http://127.0.0.1:8000 PARLEY_KEY=parley_… .venv/bin/python -m examples.host.shop [PORT]

Its users are in a dict, who is signed in is in a cookie: a real shop has both already. What is Parley's stands between
the lines `# chat` and `# shop`, here and in page.html.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

USERS = {"u-1": "Ann", "u-2": "Ben", "u-3": "Shop"}
DISABLED: set[str] = set()
SIGNED_IN: dict[str, str] = {}
PAGE = (Path(__file__).parent / "page.html").read_text()
# chat
PARLEY = os.environ.get("PARLEY_URL", "http://127.0.0.1:8000")


def parley(method: str, path: str, body: Any = None) -> Any:
    """A call of the server API, with the shop's key."""
    headers = {"Authorization": f"Bearer {os.environ['PARLEY_KEY']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{PARLEY}/v1/server/{path}", json.dumps(body).encode(), headers, method=method)
    return json.loads(urllib.request.urlopen(request, timeout=10).read() or b"null")


def put_everybody() -> str:
    """The shop's users, and the chat of its order 7; again changes nothing. The chat's id."""
    parley(
        "POST", "users:batch", {"users": [{"external_id": id_, "display_name": name} for id_, name in USERS.items()]}
    )
    members = [{"external_id": "u-1"}, {"external_id": "u-2"}, {"external_id": "u-3", "role": "owner"}]
    return str(parley("PUT", "chats/order-7", {"title": "Order 7", "members": members})["id"])


# shop


class Shop(BaseHTTPRequestHandler):
    chat_id = ""

    @property
    def user_id(self) -> str | None:
        """Who is signed in to the shop."""
        id_ = SIGNED_IN.get(self.headers.get("Cookie", "").removeprefix("shop="))
        return id_ if id_ not in DISABLED else None

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/sign-in":
            session = secrets.token_urlsafe(16)
            SIGNED_IN[session] = query["user"][0]
            return self.answer(302, "", {"Location": "/", "Set-Cookie": f"shop={session}; HttpOnly; SameSite=Strict"})
        if path == "/disable":  # by the shop's staff
            DISABLED.add(query["user"][0])
            # chat
            parley("PUT", f"users/{query['user'][0]}", {"disabled": True})
            # shop
            return self.answer(200, "{}")
        if self.user_id is None:
            return self.answer(403, "Sign in to the shop first.")
        # chat
        if path == "/chat-token":
            return self.answer(200, json.dumps(parley("POST", f"users/{self.user_id}/tokens", {})))
        # shop
        page = PAGE.replace("{name}", USERS[self.user_id])
        # chat
        page = page.replace("{parley}", PARLEY).replace("{chat_id}", self.chat_id)
        # shop
        return self.answer(200, page)

    def answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        kind = "application/json" if body[:1] == "{" else "text/html; charset=utf-8"
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Cache-Control": "no-store", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


def main(port: int) -> None:
    Shop.chat_id = put_everybody()
    server = ThreadingHTTPServer(("127.0.0.1", port), Shop)
    print(f"the shop is at http://127.0.0.1:{server.server_port}: /sign-in?user=u-1", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if "PARLEY_KEY" not in os.environ:
        sys.exit(__doc__)
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 9_000)
    except KeyboardInterrupt:
        pass
