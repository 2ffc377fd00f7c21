"""What every REST call passes: strict JSON, who asks, how often, and how what was done becomes an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from datetime import date
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, Header, Query, Request, Response, params
from fastapi.routing import APIRoute
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.adapters.rest.cursors import Cursors
from app.adapters.rest.problems import TOKEN_PATH, problem
from app.adapters.rest.transport import READ_BYTES_MAX
from app.adapters.wire.text import encode_bytes, parse
from app.adapters.wire.values import Id
from app.application.ports.errors import Unavailable
from app.application.ports.people import Bearer
from app.application.submit import Done
from app.application.use_cases import UseCases
from app.domain.errors import Code, ParleyError, unavailable
from app.domain.ids import UUID_PATTERN
from app.domain.scopes import Scope as KeyScope

BODY_BYTES_MAX = 512 * 1024
READ_UNIT_BYTES = 16 * 1024
"""A call is a unit of reading, and so many bytes of its answer one more."""
_PROBES = ("/livez", "/readyz")


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
            elif size > READ_BYTES_MAX:
                break
        if size > BODY_BYTES_MAX:  # more was read: who is cut off in the middle of sending never sees the answer
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
    return any(isinstance(one.field_info, params.Form) for one in route.dependant.body_params)


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
                error = ParleyError(Code.INVALID, "nothing secret in a URL: send an Authorization header")
                return await problem(error, 400)(scope, receive, send)
        await self._app(scope, receive, send)


class HeadAsGet:
    """ASGI middleware: HEAD is answered wherever GET is; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class StrangersInTurn:
    """ASGI middleware: requests without a token that we signed have turns, and their reads a budget of the address; an
    answer to bad credentials is held back where too many came from there. Probes have turns of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        use_cases: UseCases | None = getattr(scope["app"].state, "use_cases", None) if scope["type"] == "http" else None
        if use_cases is None:
            return await self._app(scope, receive, send)
        strangers, address = use_cases.strangers, address_of(scope)

        async def held_back(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 401:
                await strangers.failed(address)
            await send(message)

        credentials = [value for name, value in scope["headers"] if name == b"authorization"]
        if any(_is_signed(value, use_cases) for value in credentials):
            return await self._app(scope, receive, held_back)
        probes = scope["path"] in _PROBES
        try:
            if scope["method"] == "GET" and not probes:
                state = scope.setdefault("state", {})
                try:
                    strangers.count_read(address)
                finally:
                    state["rate"] = ("reads", strangers.reads_left(address))
                state["answered"] = lambda size: strangers.was_read(address, size / READ_UNIT_BYTES)
            await strangers.turn(f"probes {address}" if probes else address)
        except ParleyError as error:
            return await problem(error)(scope, receive, send)
        await self._app(scope, receive, held_back if credentials else send)


def address_of(scope: Scope) -> str:
    """Of the client, behind the proxies that are trusted."""
    return scope["client"][0] if scope["client"] else ""


def _is_signed(authorization: bytes, use_cases: UseCases) -> bool:
    scheme, _, token = authorization.decode("latin-1").partition(" ")
    return scheme.lower() == "bearer" and use_cases.identity.is_signed(token.strip())


async def use_cases_of(request: Request) -> UseCases:
    use_cases: UseCases = request.app.state.use_cases
    return use_cases


async def cursors_of(request: Request) -> Cursors:
    cursors: Cursors = request.app.state.cursors
    return cursors


UseCasesArg = Annotated[UseCases, Depends(use_cases_of)]
CursorsArg = Annotated[Cursors, Depends(cursors_of)]
oauth2 = OAuth2PasswordBearer(tokenUrl=TOKEN_PATH, refreshUrl=TOKEN_PATH, scheme_name="bearer", auto_error=False)


async def any_bearer(request: Request, use_cases: UseCasesArg, token: Annotated[str | None, Depends(oauth2)]) -> Bearer:
    """Whoever comes, with whatever; counted."""
    if not token:
        raise ParleyError(Code.UNAUTHENTICATED, "send an access token as Authorization: Bearer")
    try:
        found = await use_cases.identity.bearer(token)
    except Unavailable as error:
        raise unavailable(str(error)) from error
    limiter, who = use_cases.limiter, found.counted
    if request.method == "GET":
        try:
            use_cases.count_read(who)
        finally:
            request.state.rate = ("reads", limiter.reads_left(who))
        request.state.answered = lambda size: limiter.was_read(who, size / READ_UNIT_BYTES)
    else:
        try:
            use_cases.count_request(who)
        finally:
            request.state.rate = ("requests", limiter.remaining(who))
    return found


AnyBearerArg = Annotated[Bearer, Depends(any_bearer)]


async def bearer(request: Request, use_cases: UseCasesArg, found: AnyBearerArg) -> Bearer:
    """A key does what its scopes say."""
    use_cases.keys.permit(found.scopes, KeyScope.READ if request.method == "GET" else KeyScope.WRITE)
    return found


async def reader(use_cases: UseCasesArg, found: AnyBearerArg) -> Bearer:
    """Of a call that changes nothing, whatever its method."""
    use_cases.keys.permit(found.scopes, KeyScope.READ)
    return found


async def session(found: AnyBearerArg) -> Bearer:
    """Keys, passwords and sessions are the affair of who signed in."""
    if found.scopes is not None:
        raise ParleyError(Code.NOT_ALLOWED, "not with a key: sign in")
    return found


BearerArg = Annotated[Bearer, Depends(bearer)]
ReaderArg = Annotated[Bearer, Depends(reader)]
SessionArg = Annotated[Bearer, Depends(session)]


async def public_url_of(request: Request) -> str:
    """Under which people reach the service, without a slash at its end."""
    given: str = request.app.state.public_url
    return given or f"{request.url.scheme}://{request.url.netloc}{request.scope.get('root_path', '').rstrip('/')}"


PublicUrlArg = Annotated[str, Depends(public_url_of)]
Limit = Annotated[int, Query(ge=1, le=100)]
FromDay = Annotated[date | None, Query(alias="from", description="the first day, in UTC; 30 days before `to`")]
ToDay = Annotated[date | None, Query(description="the day behind the last one, in UTC; tomorrow")]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", pattern=UUID_PATTERN, description="a UUID: the same one never acts twice"),
]
PathId = Id


def refuse_nulls(changes: BaseModel, but: Collection[str] = ()) -> None:
    """A field that is named takes a value; what stays is not named. but: those that take null."""
    for name in changes.model_fields_set:
        if getattr(changes, name) is None and name not in but:
            raise ParleyError(Code.INVALID, f"{name}: not null")


Made = TypeVar("Made")


def made(done: Done[Made], shown: Callable[[Made], Any], fresh: int = 200) -> Response:
    """What a command left. fresh: the status where this call did it; 200 where it was there already."""
    return answer(shown(done.value), fresh if done.made else 200, done.seq)


def answer(value: Any, status: int = 200, seq: int | None = None) -> Response:
    headers = {"Parley-Seq": str(seq)} if seq is not None else None
    return Response(encode_bytes(value), status_code=status, media_type="application/json", headers=headers)


def nothing(seq: int | None = None) -> Response:
    return Response(status_code=204, headers={"Parley-Seq": str(seq)} if seq is not None else None)
