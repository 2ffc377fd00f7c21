"""Headers of every answer: what a browser may do with it, and how much of the limit is left."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

EXPOSED = ("Parley-Seq", "RateLimit", "RateLimit-Policy", "Retry-After")
"""What a page of another origin may read of an answer."""
_NOTHING_MAY_RUN = "default-src 'none'; frame-ancestors 'none'"


class AnswerHeaders:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["X-Frame-Options"] = "DENY"
                headers["Cross-Origin-Resource-Policy"] = "same-origin"
                headers.setdefault("Content-Security-Policy", _NOTHING_MAY_RUN)
                if scope["path"].startswith("/v1/"):
                    headers.setdefault("Cache-Control", "no-store")
                if scope["scheme"] == "https":
                    headers["Strict-Transport-Security"] = "max-age=31536000"
                rate = scope.get("state", {}).get("rate")
                if rate is not None:
                    name, (limit, left, reset_s) = rate
                    headers["RateLimit-Policy"] = f'"{name}";q={limit};w=10'
                    headers["RateLimit"] = f'"{name}";r={left};t={reset_s}'
            elif message["type"] == "http.response.body" and (answered := scope.get("state", {}).get("answered")):
                answered(len(message.get("body", b"")))
            await send(message)

        await self._app(scope, receive, with_headers)
