"""Parley's REST calls, with tokens that refresh themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx2


class Problem(Exception):
    """A refusal: HTTP status, the stable code, the whole body."""

    def __init__(self, status: int, code: str, body: dict[str, Any]) -> None:
        super().__init__(status, code, body.get("detail") or body.get("error_description"))
        self.status, self.code, self.body = status, code, body


class SignedOut(Problem):
    """The credentials are good for nothing any more: wrong, expired, revoked, or the account is disabled. Sign in anew."""


class Unanswered(Exception):
    """The outcome of a command isn't known, though it was asked again and again: it may come yet. Repeating it with the
    same Idempotency-Key is safe."""

    def __init__(self, command_id: str) -> None:
        super().__init__(command_id)
        self.command_id = command_id


SIGNED_OUT = ("unauthenticated", "invalid_grant")


class Rest:
    """url: where the service is, for instance http://127.0.0.1:8000. unanswered_s: how long a command is asked for again
    whose outcome isn't known.

    Calls raise Problem, SignedOut, Unanswered, and httpx2's errors where the service can't be reached.
    """

    def __init__(
        self,
        url: str,
        *,
        access_token: str | None = None,
        refresh_token: str | None = None,
        unanswered_s: float = 60.0,
    ) -> None:
        self._unanswered_s = unanswered_s
        self.on_tokens: Callable[[str], None] = lambda refresh_token: None
        """Told each new refresh token, for who keeps it; the one before is good for nothing then."""
        self.url = url.rstrip("/")
        self.http = httpx2.AsyncClient(base_url=self.url, timeout=15)
        self.access_token, self.refresh_token = access_token, refresh_token
        self.user: dict[str, Any] = {}
        self._expires_at = float("inf")  # by the clock on the wall: the other one stands still in a sleeping machine

    async def __aenter__(self) -> Rest:
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    async def register(self, username: str, password: str, display_name: str | None = None) -> dict[str, Any]:
        body = {"username": username, "password": password}
        if display_name is not None:
            body["display_name"] = display_name
        return self._signed_in(await self._json("POST", "/v1/auth/register", json=body, signed=False))

    async def sign_in(self, username: str, password: str) -> dict[str, Any]:
        form = {"grant_type": "password", "username": username, "password": password}
        return self._signed_in(await self._json("POST", "/v1/auth/token", data=form, signed=False))

    async def refresh(self) -> dict[str, Any]:
        """Raises SignedOut where the session has ended."""
        form = {"grant_type": "refresh_token", "refresh_token": self.refresh_token or ""}
        return self._signed_in(await self._json("POST", "/v1/auth/token", data=form, signed=False))

    def _signed_in(self, answer: dict[str, Any]) -> dict[str, Any]:
        self.access_token, self.refresh_token = answer["access_token"], answer["refresh_token"]
        self._expires_at = time.time() + answer["expires_in"]
        self.user = answer["user"]
        self.on_tokens(answer["refresh_token"])
        return self.user

    async def token(self) -> str:
        """An access token with at least a little life left."""
        if self.refresh_token and time.time() > self._expires_at - 10:
            await self.refresh()
        return self.access_token or ""

    async def call(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """The bare answer; raises Problem for what is no 2xx. An access token that is refused is refreshed, once."""
        signed = request.pop("signed", True)
        given = dict(request.pop("headers", {}))
        headers = given | ({"Authorization": f"Bearer {await self.token()}"} if signed else {}) | given
        answer = await self.http.request(method, path, headers=headers, **request)
        if answer.status_code == 401 and signed and self.refresh_token and "Authorization" not in given:
            with suppress(SignedOut):
                await self.refresh()
                headers["Authorization"] = f"Bearer {self.access_token}"
                answer = await self.http.request(method, path, headers=headers, **request)
        if answer.status_code >= 300:
            try:
                body = answer.json()
            except ValueError:
                body = {"detail": answer.text[:200]}
            code = str(body.get("code") or body.get("error") or "")
            raise (SignedOut if code in SIGNED_OUT else Problem)(answer.status_code, code, body)
        return answer

    async def _json(self, method: str, path: str, **request: Any) -> Any:
        began = time.monotonic()
        answer = await self.call(method, path, **request)
        while answer.status_code == 202 and answer.content:  # not known in time: repeating with the same id is safe
            command_id = answer.json()["command_id"]
            if time.monotonic() - began > self._unanswered_s:
                raise Unanswered(command_id)
            headers = dict(request.get("headers", {})) | {"Idempotency-Key": command_id}
            answer = await self.call(method, path, **(request | {"headers": headers}))
        return answer.json() if answer.content else None

    async def get(self, path: str, **params: Any) -> Any:
        """params: beside those in the path; None is left out."""
        given = {k: v for k, v in params.items() if v is not None}
        return await self._json("GET", path, **({"params": given} if given else {}))

    async def post(self, path: str, body: dict[str, Any] | None = None, **request: Any) -> Any:
        return await self._json("POST", path, json=body, **request)

    async def put(self, path: str, body: dict[str, Any] | None = None, **request: Any) -> Any:
        return await self._json("PUT", path, json=body, **request)

    async def patch(self, path: str, body: dict[str, Any], **request: Any) -> Any:
        return await self._json("PATCH", path, json=body, **request)

    async def delete(self, path: str, **request: Any) -> Any:
        return await self._json("DELETE", path, **request)

    async def close(self) -> None:
        await self.http.aclose()
