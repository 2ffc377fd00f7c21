"""A browser's refresh token: in a cookie that no script reads."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Response

from app.adapters.origins import origin_is_good
from app.application.identity import REFRESH_TTL_S
from app.domain.errors import Code, ParleyError

COOKIE = "parley_refresh"
_PATH = "/v1/auth"


class BrowserSession:
    """asked: by the header `Parley-Session: cookie`."""

    def __init__(self, request: Request, asked: bool) -> None:
        self._scope, self.asked = request.scope, asked
        self._host = request.headers.get("host", "")
        self.token = request.cookies.get(COOKIE, "") if asked else ""

    def keep(self, body: dict[str, Any], answer: Response) -> Response:
        """The token goes from the body into the cookie, where it was asked for."""
        if self.asked:
            answer.set_cookie(COOKIE, body["refresh_token"], max_age=int(REFRESH_TTL_S), **self._attributes())
        return answer

    def without_token(self, body: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in body.items() if name != "refresh_token"} if self.asked else body

    def forget(self, answer: Response) -> Response:
        if self.asked:
            answer.delete_cookie(COOKIE, **self._attributes())
        return answer

    def _attributes(self) -> dict[str, Any]:
        path = self._scope.get("root_path", "").rstrip("/") + _PATH
        secure = self._scope["scheme"] == "https" or not _is_loopback(self._host)
        return {"path": path, "httponly": True, "samesite": "strict", "secure": secure}


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


async def _session(
    request: Request,
    parley_session: Annotated[
        str | None,
        Header(
            description="`cookie`: the refresh token is kept in a cookie that no script reads, and left out of the body"
        ),
    ] = None,
) -> BrowserSession:
    """Raises ParleyError for another value, and for a page of another origin."""
    if parley_session is None:
        return BrowserSession(request, False)
    if parley_session != "cookie":
        raise ParleyError(Code.INVALID, "Parley-Session: cookie, or nothing")
    if not origin_is_good(request.headers.get("origin"), request.headers.get("host", ""), ()):
        raise ParleyError(Code.NOT_ALLOWED, "a page of another origin may not have a session here")
    return BrowserSession(request, True)


BrowserSessionArg = Annotated[BrowserSession, Depends(_session)]
