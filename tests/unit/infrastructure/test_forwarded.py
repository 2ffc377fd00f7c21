"""What a proxy says counts where it is trusted, and is of a form that can be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.infrastructure.forwarded import Forwarded


def seen(path: str = "/docs", client: str = "10.0.0.1", kind: str = "http", **headers: str) -> dict[str, Any]:
    """The scope as the application gets it."""
    got: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append(scope)

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": kind,
        "path": path,
        "client": (client, 1),
        "scheme": "http",
        "root_path": "",
        "headers": [(b"host", b"inside:8000"), *named],
    }

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    asyncio.run(Forwarded(app, ["10.0.0.0/8"])(scope, nothing, nothing))
    return {**got[0], "host": dict(got[0]["headers"])[b"host"].decode()}


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_trusted_proxy_tells_the_clients_address_scheme_host_and_prefix(kind: str) -> None:
    scope = seen(
        kind=kind,
        x_forwarded_for="203.0.113.9",
        x_forwarded_proto="https",
        x_forwarded_host="Chat.example.com:443",
        x_forwarded_prefix="/chat/",
    )
    assert (scope["host"], scope["root_path"], scope["path"]) == ("Chat.example.com:443", "/chat", "/docs")
    assert scope["client"][0] == "203.0.113.9" and scope["scheme"] in ("https", "wss")


def test_who_isnt_trusted_tells_nothing() -> None:
    scope = seen(
        client="192.0.2.1", x_forwarded_for="203.0.113.9", x_forwarded_host="evil.example", x_forwarded_prefix="/x"
    )
    assert (scope["client"][0], scope["host"], scope["root_path"]) == ("192.0.2.1", "inside:8000", "")


@pytest.mark.parametrize(
    ("path", "under", "made"),
    [("/chat/docs", "/chat", "/docs"), ("/chat", "/chat", "/"), ("/chat/", "/chat", "/"), ("/chats", "/chat", "/chats"), ("/a/b/v1/me", "/a/b", "/v1/me"), ("/docs", "/", "/docs")],
)  # fmt: skip
def test_a_prefix_is_cut_off_where_the_proxy_left_it(path: str, under: str, made: str) -> None:
    assert seen(path, x_forwarded_prefix=under)["path"] == made


@pytest.mark.parametrize("bad", ["//evil.example", "chat", "/<script>", '/"', "/a b", "/é", "/a/../b?", ""])
def test_what_is_no_prefix_is_passed_over(bad: str) -> None:
    assert seen(x_forwarded_prefix=bad)["root_path"] == ""


@pytest.mark.parametrize("bad", ["a b", "evil.example/x", "u@evil.example", "a:b", "<x>", ""])
def test_what_is_no_host_is_passed_over(bad: str) -> None:
    assert seen(x_forwarded_host=bad)["host"] == "inside:8000"


def test_of_several_the_first_counts() -> None:
    scope = seen(x_forwarded_host="outer.example, inner.example", x_forwarded_prefix="/chat, /inner")
    assert (scope["host"], scope["root_path"]) == ("outer.example", "/chat")
