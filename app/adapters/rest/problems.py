"""Every refusal as RFC 9457 problem+json with a stable code; never a stack trace, never a 500 for what a client sent."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.adapters.wire.problems import (
    PROBLEM_TYPE,
    ProblemJson,
    invalid_reason,
    problem_json,
    status_of,
    token_error_json,
)
from app.application.ports.errors import Transient
from app.application.submit import StillOpen
from app.domain.errors import CODES, Code, ParleyError, unavailable


def problem(error: ParleyError, status: int | None = None) -> JSONResponse:
    """status: where it is another than the code's."""
    headers = {}
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(max(1, -(-error.retry_after_ms // 1000)))
    if error.code == Code.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    body = problem_json(error, status)
    return JSONResponse(body, status_code=body["status"], media_type=PROBLEM_TYPE, headers=headers)


TOKEN_PATH = "/v1/auth/token"
"""The one form among the calls; its errors are RFC 6749's."""


def _is_token_form(request: Request) -> bool:
    return request.url.path == TOKEN_PATH and request.method == "POST"


def _invalid_form() -> JSONResponse:
    return JSONResponse(token_error_json("invalid_request", "not a good form"), status_code=400)


_BY_STATUS = {404: Code.NOT_FOUND, 405: Code.INVALID, 401: Code.UNAUTHENTICATED, 413: Code.TOO_LARGE}


def install(app: FastAPI) -> None:
    @app.exception_handler(ParleyError)
    async def _refused(request: Request, error: ParleyError) -> JSONResponse:
        return problem(error)

    @app.exception_handler(StillOpen)
    async def _still_open(request: Request, error: StillOpen) -> JSONResponse:
        return JSONResponse({"command_id": error.command_id}, status_code=202)

    @app.exception_handler(Transient)
    async def _unavailable(request: Request, error: Transient) -> JSONResponse:
        return problem(unavailable(away_s=error.away_s))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if _is_token_form(request):
            return _invalid_form()
        found = error.errors()[0]
        return problem(ParleyError(Code.INVALID, invalid_reason(found["loc"], found["msg"])))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if _is_token_form(request):
            return _invalid_form()
        if isinstance(error.__cause__, ParleyError):  # raised while FastAPI read the body
            return problem(error.__cause__)
        code = _BY_STATUS.get(error.status_code, Code.INVALID)
        answer = problem(ParleyError(code, str(error.detail)), error.status_code)
        answer.headers.update(error.headers or {})
        return answer


def responses(*codes: Code) -> dict[int | str, dict[str, Any]]:
    """The refusals of a call, for OpenAPI: those named, and those that every call may answer. By their words, not by their
    model, of which FastAPI would make a checker for each call and status, half a second of each start."""
    made: dict[int | str, dict[str, Any]] = {}
    for code in (Code.BAD_JSON, Code.INVALID, Code.UNAUTHENTICATED, Code.RATE_LIMITED, Code.UNAVAILABLE, *codes):
        status = status_of(code)
        before = made.get(status, {}).get("description")
        words = f"`{code}`: {CODES[code].meaning}"
        made[status] = {
            "description": f"{before}; {words}" if before else words,
            "content": {PROBLEM_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemJson.__name__}"}}},
        }
    return made
