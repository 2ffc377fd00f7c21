"""What a proxy in front of us says of the client and of the address that the client used: counted from those we trust."""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_PREFIX = re.compile(rb"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(rb"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9a-fA-F:.]+\](:\d{1,5})?")


class Forwarded:
    """ASGI middleware. X-Forwarded-For and -Proto give the client's address and scheme, -Host the host that the client
    named, -Prefix the path under which the client sees us: it is `root_path`, and no part of `path`. The first of several
    values counts, which the outermost proxy gave; what is none is passed over."""

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        """trusted: addresses and networks of proxies, or "*"."""
        self._app = ProxyHeadersMiddleware(app, trusted_hosts=list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client and client[0] in self._app.trusted_hosts:
            headers = dict(scope["headers"])
            host, prefix = (_first(headers.get(name)) for name in (b"x-forwarded-host", b"x-forwarded-prefix"))
            if host and _HOST.fullmatch(host):
                others = [pair for pair in scope["headers"] if pair[0] != b"host"]
                scope["headers"] = [(b"host", host), *others]
            prefix = prefix.rstrip(b"/")
            if prefix and _PREFIX.fullmatch(prefix):
                under = prefix.decode()
                scope["root_path"] = under
                if scope["path"] == under or scope["path"].startswith(f"{under}/"):  # a proxy that doesn't cut it off
                    scope["path"] = scope["path"][len(under) :] or "/"
        await self._app(scope, receive, send)  # type: ignore[arg-type]


def _first(value: bytes | None) -> bytes:
    return (value or b"").partition(b",")[0].strip()
