"""A browser's refresh token: in a cookie that no script reads."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request, Response

from app.adapters.origins import is_loopback, origin_is_good
from app.application.identity import REFRESH_TTL_S
from app.domain.errors import Code, ParleyError

COOKIE = "parley_refresh"
SIGN_IN_COOKIE = "parley_sign_in"
"""Of a sign-in that is under way at another issuer's page."""
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

    def remember(self, answer: Response, name: str, value: str, max_age_s: int) -> None:
        """Till somebody comes back from another site's page."""
        answer.set_cookie(name, value, max_age=max_age_s, **(self._attributes() | {"samesite": "lax"}))

    def drop(self, answer: Response, name: str) -> None:
        answer.delete_cookie(name, **(self._attributes() | {"samesite": "lax"}))

    def _attributes(self) -> dict[str, Any]:
        path = self._scope.get("root_path", "").rstrip("/") + _PATH
        secure = self._scope["scheme"] == "https" or not is_loopback(urlsplit(f"//{self._host}").hostname or "")
        return {"path": path, "httponly": True, "samesite": "strict", "secure": secure}


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
