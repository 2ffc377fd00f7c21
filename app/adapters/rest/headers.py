"""Headers of every answer: what a browser may do with it, and how much of the limit is left."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXPOSED = ("Parley-Seq", "RateLimit", "RateLimit-Policy", "Retry-After")
"""What a page of another origin may read of an answer."""
_NOTHING_MAY_RUN = b"default-src 'none'; frame-ancestors 'none'"


_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def _added(scope: Scope, present: set[bytes]) -> list[tuple[bytes, bytes]]:
    """Beside those that the answer has already."""
    added = [(name, value) for name, value in _ALWAYS if name not in present]
    if b"content-security-policy" not in present:
        added.append((b"content-security-policy", _NOTHING_MAY_RUN))
    if b"cache-control" not in present and scope["path"].startswith("/v1/"):
        added.append((b"cache-control", b"no-store"))
    if scope["scheme"] == "https":
        added.append((b"strict-transport-security", b"max-age=31536000"))
    rate = scope.get("state", {}).get("rate")
    if rate is not None:
        name, (limit, left, reset_s) = rate
        added.append((b"ratelimit-policy", f'"{name}";q={limit};w=10'.encode()))
        added.append((b"ratelimit", f'"{name}";r={left};t={reset_s}'.encode()))
    return added


class AnswerHeaders:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_added(scope, {name for name, _ in message["headers"]})]
            elif message["type"] == "http.response.body" and (answered := scope.get("state", {}).get("answered")):
                answered(len(message.get("body", b"")))
            await send(message)

        await self._app(scope, receive, with_headers)
