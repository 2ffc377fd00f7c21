"""What every REST call passes: strict JSON, who asks, how often, and how a command's outcome becomes an answer."""

from __future__ import annotations

import base64
import hmac
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from fastapi import Depends, Header, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordBearer
from starlette.types import ASGIApp, Receive, Scope, Send

from app.adapters.rest.problems import problem
from app.adapters.wire import Id, encode_bytes, parse
from app.application.accounts import Bearer
from app.application.services import Services
from app.domain.commands import Action, Command
from app.domain.errors import Code, ParleyError
from app.domain.ids import UUID_PATTERN, is_id
from app.domain.state import Outcome

BODY_BYTES_MAX = 512 * 1024
_BODY_READ_MAX = 2 * 1024 * 1024


class StrictJsonRequest(Request):
    """JSON as RFC 8259 has it: no NaN, no lone surrogate."""

    async def json(self) -> Any:
        return parse(await self.body())

    async def stream(self) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            if size <= BODY_BYTES_MAX:
                yield chunk
            elif size > _BODY_READ_MAX:
                break
        if (
            size > BODY_BYTES_MAX
        ):  # a little more was read: who is cut off in the middle of sending never sees the answer
            raise ParleyError(Code.TOO_LARGE, f"a request's body takes at most {BODY_BYTES_MAX} bytes")


class Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if self.body_field is not None and not _is_form(self):
                _check_media_type(request)
            return await handle(StrictJsonRequest(request.scope, request.receive))

        return strict


RULES = (Code.NOT_FOUND, Code.NOT_ALLOWED, Code.MUTED, Code.BANNED, Code.ARCHIVED, Code.CONFLICT)
"""What the rules may answer to a command."""


def _is_form(route: APIRoute) -> bool:
    return route.path.endswith("/auth/token")


def _check_media_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ParleyError(Code.UNSUPPORTED_MEDIA_TYPE, "send application/json")


class RefuseSecretsInUrls:
    """ASGI middleware: a token in a URL ends up in logs, so it is refused everywhere."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"token" in scope["query_string"] or b"%" in scope["query_string"]):
            names = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            if "token" in names or "access_token" in names:
                error = ParleyError(Code.INVALID, "nothing secret in a URL: send an Authorization header", status=400)
                return await problem(error)(scope, receive, send)
        await self._app(scope, receive, send)


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesArg = Annotated[Services, Depends(services_of)]
oauth2 = OAuth2PasswordBearer(
    tokenUrl="/v1/auth/token", refreshUrl="/v1/auth/token", scheme_name="bearer", auto_error=False
)


async def bearer(request: Request, services: ServicesArg, token: Annotated[str | None, Depends(oauth2)]) -> Bearer:
    if not token:
        raise ParleyError(Code.UNAUTHENTICATED, "send an access token as Authorization: Bearer")
    found = await services.identity.bearer(token)
    if request.method not in ("GET", "HEAD"):
        retry_after_ms = services.limiter.request(found.user_id)
        request.state.rate = services.limiter.remaining(found.user_id)
        if retry_after_ms is not None:
            raise ParleyError(Code.RATE_LIMITED, "too many requests", retry_after_ms=retry_after_ms)
    return found


BearerArg = Annotated[Bearer, Depends(bearer)]
Limit = Annotated[int, Query(ge=1, le=100)]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", pattern=UUID_PATTERN, description="a UUID: the same one never acts twice"),
]
PathId = Id


def answer(value: Any, status: int = 200, seq: int | None = None) -> Response:
    headers = {"Parley-Seq": str(seq)} if seq is not None else None
    return Response(encode_bytes(value), status_code=status, media_type="application/json", headers=headers)


def nothing(seq: int | None = None) -> Response:
    return Response(status_code=204, headers={"Parley-Seq": str(seq)} if seq is not None else None)


class StillOpen(Exception):
    """The outcome is not known in time: 202, repeat with the same id."""

    def __init__(self, command_id: str) -> None:
        self.command_id = command_id


async def run(services: Services, who: Bearer, chat_id: str, action: Action, id_: str | None) -> tuple[Outcome, bool]:
    """Do a command as the socket does. (outcome, whether this id had been decided before)"""
    command_id = id_ or services.new_id()
    command = Command(chat_id, who.user_id, command_id, action, services.hub.process_id, wait=True)
    found = await services.submitter.run(command)
    if found is None:
        raise StillOpen(command_id)
    return found


# Opaque cursors, bound to the user and the query


def cursor_of(services: Services, who: Bearer, query: str, place: list[Any]) -> str:
    text = encode_bytes(place)
    mac = _mac(services.cursor_keys[0], who, query, text)
    return base64.urlsafe_b64encode(mac + text).decode().rstrip("=")


def place_of(
    services: Services, who: Bearer, query: str, cursor: str | None, types: tuple[type, ...]
) -> list[Any] | None:
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        mac, text = raw[:16], raw[16:]
        if not any(hmac.compare_digest(mac, _mac(key, who, query, text)) for key in services.cursor_keys):
            raise ValueError
        place = msgspec.json.decode(text, type=tuple[types])  # type: ignore[valid-type]
    except (ValueError, msgspec.MsgspecError):
        raise ParleyError(Code.INVALID, "this cursor is not one of this list") from None
    return list(place)


def _mac(key: bytes, who: Bearer, query: str, text: bytes) -> bytes:
    return hmac.digest(key, f"{who.user_id}\x00{query}\x00".encode() + text, "sha256")[:16]


__all__ = [
    "BearerArg", "IdempotencyKey", "Limit", "PathId", "Route", "ServicesArg", "StillOpen", "answer", "cursor_of",
    "is_id", "nothing", "place_of", "run",
]  # fmt: skip


async def still_reads(services: Services, who: Bearer, chat_id: str, repeat: bool) -> None:
    """A repeat is answered also after a removal, but it opens no door: what it would show is read anew."""
    if repeat:
        await services.reader.permit(who.user_id, chat_id)
