"""Refusals: RFC 9457 problems for REST, `error` frames for the socket. The one place where a code has an HTTP status."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import ValidationError
from typing_extensions import TypedDict

from app.adapters.wire.values import Shown
from app.domain.errors import Code, ParleyError

PROBLEM_TYPE = "application/problem+json"

HTTP_STATUS: dict[str, int] = {
    Code.BAD_JSON: 400,
    Code.UNKNOWN_TYPE: 400,
    Code.INVALID: 422,
    Code.EMPTY: 422,
    Code.TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.UNAUTHENTICATED: 401,
    Code.NOT_FOUND: 404,
    Code.NOT_ALLOWED: 403,
    Code.MUTED: 403,
    Code.BANNED: 403,
    Code.ARCHIVED: 403,
    Code.CONFLICT: 409,
    Code.RATE_LIMITED: 429,
    Code.QUOTA_EXCEEDED: 429,
    Code.UNAVAILABLE: 503,
    Code.OUTCOME_UNKNOWN: 202,
}

SocketCode: Any = Literal[tuple(code.value for code in Code if code is not Code.UNSUPPORTED_MEDIA_TYPE)]


class ProblemJson(TypedDict):
    """RFC 9457. `policies`: ids of the policies that refused."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    policies: NotRequired[list[str]]
    retry_after_ms: NotRequired[int]


def status_of(code: str) -> int:
    """409 for a code that a newer version stored: what the rules refused, whatever for."""
    return HTTP_STATUS.get(code, 409)


def problem_json(error: ParleyError, status: int | None = None) -> dict[str, Any]:
    """status: where it is another than the code's."""
    body: dict[str, Any] = {
        "type": f"urn:parley:problem:{error.code}",
        "title": error.code.replace("_", " "),
        "status": status or status_of(error.code),
        "detail": error.reason,
        "code": error.code,
    }
    if error.policies:
        body["policies"] = list(error.policies)
    if error.retry_after_ms is not None:
        body["retry_after_ms"] = error.retry_after_ms
    return body


def token_error_json(error: str, description: str) -> dict[str, str]:
    """Of the token form: RFC 6749, 5.2."""
    return {"error": error, "error_description": description}


INTERNAL = {
    "type": "about:blank",
    "title": "internal",
    "status": 500,
    "detail": "a defect of ours",
    "code": "internal",
}
"""Of a defect: no code of the contract's table."""


class Error(TypedDict):
    """Not accepted; the socket stays open, and the same id is good for another try."""

    type: Literal["error"]
    ref: NotRequired[str]
    code: SocketCode
    reason: str
    retry_after_ms: NotRequired[int]


def error_frame(ref: str | None, error: ParleyError) -> dict[str, Any]:
    frame: dict[str, Any] = {"type": "error"}
    if ref is not None:
        frame["ref"] = ref
    frame |= {"code": error.code, "reason": error.reason}
    if error.retry_after_ms is not None:
        frame["retry_after_ms"] = error.retry_after_ms
    return frame


def invalid(error: ValidationError) -> ParleyError:
    """Where it is wrong and how, without what was sent."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return ParleyError(Code.INVALID, invalid_reason(found["loc"], found["msg"], "the request"))


def invalid_reason(loc: tuple[Any, ...], words: str, whole: str = "") -> str:
    where = ".".join(str(part) for part in loc) or whole
    return f"{where[:100]}: {words}"


BODIES = (
    Shown(
        ProblemJson,
        {
            "type": "urn:parley:problem:muted", "title": "muted", "status": 403, "detail": "you are muted in this chat",
            "code": "muted", "policies": ["muted-stay-silent"],
        },
    ),
)  # fmt: skip
