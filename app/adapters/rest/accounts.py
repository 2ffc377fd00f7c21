"""Identity over REST: register, the token form, logout, tickets, oneself, others."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from app.adapters.rest.browser_session import SIGN_IN_COOKIE, BrowserSession, BrowserSessionArg
from app.adapters.rest.cursors import Paging
from app.adapters.rest.door import (
    BearerArg,
    CursorsArg,
    FromDay,
    Limit,
    PathId,
    PublicUrlArg,
    ReaderArg,
    Route,
    SessionArg,
    ToDay,
    UseCasesArg,
    address_of,
    answer,
    nothing,
    refuse_nulls,
)
from app.adapters.rest.problems import responses
from app.adapters.wire import people as wire
from app.adapters.wire import replies
from app.adapters.wire.problems import token_error_json
from app.adapters.wire.values import Listed
from app.application.identity import EXCHANGE, TICKET_TTL_S, TOKEN_TYPE, SignedIn, SignInRefused
from app.application.ports.errors import Unavailable
from app.application.ports.people import LiveSession
from app.application.sign_in import SIGN_IN_TTL_S
from app.domain.errors import Code, ParleyError, unavailable
from app.domain.text import check_text
from app.domain.values import Person

router = APIRouter(route_class=Route, prefix="/v1", tags=["identity"])


ProviderId = Annotated[str, Path(min_length=1, max_length=64)]


def client_of(request: Request) -> str:
    return "".join(filter(str.isprintable, request.headers.get("user-agent", "")))


@router.post(
    "/auth/register",
    status_code=201,
    summary="Make an account",
    response_model=wire.TokensJson,
    responses=responses(Code.CONFLICT, Code.NOT_ALLOWED),
)
async def register(
    request: Request, body: wire.Registration, use_cases: UseCasesArg, browser: BrowserSessionArg
) -> Response:
    signed_in = await use_cases.identity.register(
        body.username, body.password, body.display_name, address_of(request.scope), client_of(request), body.invitation
    )
    return _tokens(signed_in, browser, 201)


@router.post("/auth/token", summary="Sign in, or refresh (OAuth 2)", response_model=wire.TokensJson)
async def token(
    request: Request,
    use_cases: UseCasesArg,
    browser: BrowserSessionArg,
    grant_type: Annotated[str, Form()] = "",
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    refresh_token: Annotated[str, Form()] = "",
    device: Annotated[
        str, Form(description="a refresh token of this account: others' failed sign-ins don't hold this one up")
    ] = "",
    subject_token: Annotated[str, Form(description="of another issuer, to be exchanged (RFC 8693)")] = "",
    subject_token_type: Annotated[str, Form(description=f"{TOKEN_TYPE}access_token, id_token or jwt")] = "",
    code: Annotated[str, Form(description="that a sign-in at another issuer's page came back with")] = "",
) -> Response:
    identity, exchanged = use_cases.identity, ""
    try:
        if grant_type == "password" and username and password:
            check_text(username + password + device)
            signed_in = await identity.sign_in(
                username, password, address_of(request.scope), client_of(request), device or browser.token
            )
        elif grant_type == "refresh_token" and (given := refresh_token or browser.token):
            check_text(given)
            signed_in = await identity.refresh(given)
        elif grant_type == EXCHANGE and ((subject_token and subject_token_type) or not identity.has_others):
            check_text(subject_token)
            exchanged = subject_token_type
            signed_in = await identity.exchange(subject_token, subject_token_type, client_of(request))
        elif grant_type == "authorization_code" and code:
            check_text(code)
            is_browser = "origin" in request.headers
            cookie = request.cookies.get(SIGN_IN_COOKIE)
            signed_in = await use_cases.sign_in.by_code(code, client_of(request), cookie, is_browser)
        elif grant_type in ("password", "refresh_token", "authorization_code", EXCHANGE, ""):
            raise SignInRefused("invalid_request", "a field is missing")
        else:
            raise SignInRefused(
                "unsupported_grant_type", "password, refresh_token, authorization_code or token-exchange"
            )
    except SignInRefused as refused:
        refusal = _refused(refused)
        ended = grant_type == "refresh_token" and refused.error == "invalid_grant"
        return browser.forget(refusal) if ended else refusal
    except ParleyError as error:
        return _refused(SignInRefused("invalid_request", error.reason))
    except Unavailable as error:
        return _refused(SignInRefused("temporarily_unavailable", str(error), 1))
    return _tokens(signed_in, browser, 200, exchanged)


def _tokens(signed_in: SignedIn, browser: BrowserSession, status: int, exchanged: str = "") -> Response:
    """exchanged: the type of the token that was given for it."""
    body = wire.tokens_json(signed_in)
    if exchanged:
        body["issued_token_type"] = f"{TOKEN_TYPE}access_token"
    return browser.keep(body, answer(browser.without_token(body), status))


def _refused(refused: SignInRefused) -> Response:
    body = token_error_json(refused.error, refused.description)
    headers: dict[str, str] = {}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    status = {"rate_limited": 429, "temporarily_unavailable": 503}.get(refused.error, 400)
    return JSONResponse(body, status_code=status, headers=headers)


@router.get("/auth/providers", summary="How one gets in here", response_model=wire.ProvidersJson,
            responses=responses())  # fmt: skip
async def providers(use_cases: UseCasesArg) -> Response:
    return answer(wire.providers_json(use_cases.identity.entrance, use_cases.sign_in.providers))


@router.get("/auth/providers/{provider_id}/start", status_code=302, response_class=RedirectResponse,
            summary="To another issuer's page, for a browser",
            description="Comes back to `return_to`, with `#code=` for `grant_type=authorization_code`, or `#error=`.",
            responses=responses(Code.NOT_FOUND))  # fmt: skip
async def start_sign_in(
    provider_id: ProviderId,
    use_cases: UseCasesArg,
    public_url: PublicUrlArg,
    request: Request,
    return_to: Annotated[str, Query(max_length=500, description="a path of ours")] = "/",
) -> Response:
    try:
        started = await use_cases.sign_in.start(provider_id, return_to, public_url)
    except Unavailable as error:
        raise unavailable(str(error)) from error
    redirect = RedirectResponse(started.url, status_code=302)
    BrowserSession(request, True).remember(redirect, SIGN_IN_COOKIE, started.cookie, SIGN_IN_TTL_S)
    return redirect


@router.get("/auth/providers/{provider_id}/callback", status_code=302, response_class=RedirectResponse,
            summary="Where another issuer's page comes back to", responses=responses(Code.NOT_FOUND))  # fmt: skip
async def end_sign_in(
    provider_id: ProviderId,
    use_cases: UseCasesArg,
    public_url: PublicUrlArg,
    request: Request,
    state: Annotated[str, Query(max_length=200, description="as it was sent there")] = "",
    code: Annotated[str, Query(max_length=4_000, description="the issuer's, good once")] = "",
    error: Annotated[str, Query(max_length=200, description="why there is none")] = "",
) -> Response:
    cookie = request.cookies.get(SIGN_IN_COOKIE, "")
    ended = await use_cases.sign_in.end(provider_id, cookie, state, code, error, public_url)
    redirect = RedirectResponse(ended.url, status_code=302)
    BrowserSession(request, True).remember(redirect, SIGN_IN_COOKIE, ended.cookie, SIGN_IN_TTL_S)
    return redirect


@router.post("/auth/providers/{provider_id}/backchannel-logout", summary="An issuer says that somebody signed out",
             description="OpenID Connect Back-Channel Logout: a form with `logout_token`. Errors as RFC 6749 has them.",
             response_class=Response, responses=responses(Code.NOT_FOUND))  # fmt: skip
async def backchannel_logout(
    provider_id: ProviderId,
    use_cases: UseCasesArg,
    logout_token: Annotated[str, Form(description="the issuer's, signed")] = "",
) -> Response:
    try:
        await use_cases.sign_in.signed_out(provider_id, logout_token)
    except ParleyError as error:
        if error.code == Code.NOT_FOUND:
            raise
        return _refused(SignInRefused("invalid_request", error.reason))
    except Unavailable as error:
        return _refused(SignInRefused("temporarily_unavailable", str(error), 1))
    return Response(status_code=200)


@router.post("/auth/password-forgotten", status_code=202, response_class=Response, summary="Have a link sent, where there is an address",
             description="Always 202: whether anybody is called so isn't told.", responses=responses())  # fmt: skip
async def password_forgotten(body: wire.Forgotten, use_cases: UseCasesArg, public_url: PublicUrlArg) -> Response:
    await use_cases.recovery.forgotten(body.username, public_url)
    return Response(status_code=202)


@router.post("/auth/password-reset", status_code=204, summary="A new password, by a link",
             description="Ends all sessions.", responses=responses(Code.NOT_FOUND))  # fmt: skip
async def password_reset(request: Request, body: wire.PasswordReset, use_cases: UseCasesArg) -> Response:
    await use_cases.recovery.reset(body.code, body.new_password, address_of(request.scope))
    return nothing()


@router.post("/auth/logout", status_code=204, summary="End this session", responses=responses(Code.NOT_ALLOWED))
async def logout(who: SessionArg, use_cases: UseCasesArg, browser: BrowserSessionArg) -> Response:
    await use_cases.identity.logout(who)
    return browser.forget(nothing())


@router.post(
    "/ws-tickets",
    status_code=201,
    summary="A ticket for one socket of a browser",
    response_model=wire.TicketJson,
    responses=responses(),
)
async def ticket(who: ReaderArg, use_cases: UseCasesArg) -> Response:
    return answer(wire.ticket_json(await use_cases.identity.ticket(who), TICKET_TTL_S), 201)


@router.get("/me", summary="Oneself", response_model=wire.UserJson, responses=responses())
async def me(who: BearerArg, use_cases: UseCasesArg) -> Response:
    return answer(wire.user_json(await use_cases.profiles.account(who.user_id)))


@router.patch("/me", summary="Change oneself", response_model=wire.UserJson, responses=responses(Code.NOT_ALLOWED))
async def change_me(body: wire.ProfileChanges, who: BearerArg, use_cases: UseCasesArg) -> Response:
    refuse_nulls(body)
    if body.email is not None and who.scopes is not None:
        raise ParleyError(Code.NOT_ALLOWED, "email: not with a key, for a forgotten password comes back by it")
    return answer(
        wire.user_json(await use_cases.profiles.change(who.user_id, body.display_name, body.preferences, body.email))
    )


@router.post(
    "/me/password",
    status_code=204,
    summary="Change the password",
    description="Ends the user's other sessions. A wrong current password is `not_allowed`, and counts as a failed sign-in.",
    responses=responses(Code.NOT_ALLOWED),
)
async def change_password(
    request: Request, body: wire.PasswordChange, who: SessionArg, use_cases: UseCasesArg
) -> Response:
    await use_cases.identity.change_password(who, body.current_password, body.new_password, address_of(request.scope))
    return nothing()


@router.get("/me/usage", summary="What my answers took, and my quotas", response_model=replies.UseJson,
            responses=responses())  # fmt: skip
async def usage(who: BearerArg, use_cases: UseCasesArg, from_: FromDay = None, to: ToDay = None) -> Response:
    return answer(replies.use_json(await use_cases.answers.use(who.user_id, from_, to)))


@router.get("/me/sessions", summary="Where I am signed in", response_model=Listed[wire.SessionJson],
            responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def sessions(
    who: SessionArg, use_cases: UseCasesArg, cursors: CursorsArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    paging: Paging[LiveSession] = Paging(cursors, who.user_id, "sessions", cursor, limit, str)
    before_id = paging.place[0] if paging.place else None
    found = await use_cases.identity.sessions(who, before_id, paging.to_ask)
    return answer(paging.page(found, lambda one: wire.session_json(one, who.session_id), lambda one: [one.id]))


@router.delete("/me/sessions", status_code=204, summary="End all sessions of mine but this one",
               responses=responses(Code.NOT_ALLOWED))  # fmt: skip
async def end_other_sessions(
    who: SessionArg,
    use_cases: UseCasesArg,
    others: Annotated[Literal["true"], Query(description="all but the one that asks")],
) -> Response:
    await use_cases.identity.end_other_sessions(who)
    return nothing()


@router.delete("/me/sessions/{session_id}", status_code=204, summary="End a session of mine",
               responses=responses(Code.NOT_FOUND, Code.NOT_ALLOWED))  # fmt: skip
async def end_session(session_id: PathId, who: SessionArg, use_cases: UseCasesArg) -> Response:
    await use_cases.identity.end_session(who, session_id)
    return nothing()


@router.get("/users/{user_id}", summary="A person", response_model=wire.PersonJson, responses=responses(Code.NOT_FOUND))
async def user(user_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    return answer(wire.person_json((await use_cases.profiles.account(user_id)).person))


@router.get("/users", summary="Find people", response_model=Listed[wire.PersonJson], responses=responses())
async def users(
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    query: Annotated[str, Query(min_length=2, max_length=100, description="prefix of username or display name")],
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
) -> Response:
    asked = check_text(query, "query")
    paging: Paging[tuple[int, Person]] = Paging(cursors, who.user_id, f"users {asked}", cursor, limit, int, str)
    after = (paging.place[0], paging.place[1]) if paging.place else None
    found = await use_cases.profiles.find(asked, after, paging.to_ask)
    return answer(paging.page(found, lambda one: wire.person_json(one[1]), lambda one: [one[0], one[1].username]))
