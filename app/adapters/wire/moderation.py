"""What operators do in chats, and what people report to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import ANNA, AT, BEN, CHAT, COMMAND, MESSAGE
from app.adapters.wire.values import Id, Request, Shown, Time
from app.application.ports.reports import Report
from app.domain.text import check_text, clean_name, rfc3339, rfc3339_or_none

REASON_MAX = 1_000


def _reason(text: str) -> str:
    return clean_name(text, REASON_MAX, "reason")


Reason = Annotated[str, Field(strict=True, max_length=REASON_MAX), AfterValidator(_reason)]


class Because(Request):
    """Why; it is kept, and the chat is told."""

    reason: Reason


class BecauseUntil(Because):
    """until: when it is over by itself; for ever without it."""

    until: Time | None = None


class NewOwner(Because):
    user_id: Id


class NewReport(Request):
    reason: Reason


class ReportJson(TypedDict):
    """What a person told operators of a message. closed_by: the operator who dealt with it; note: what they wrote of it."""

    id: str
    at: str
    chat_id: str
    message_id: str
    reporter_id: str
    reason: str
    closed_at: str | None
    closed_by: str | None
    note: str | None


def report_json(report: Report) -> dict[str, Any]:
    return {
        "id": report.id,
        "at": rfc3339(report.at),
        "chat_id": report.chat_id,
        "message_id": report.message_id,
        "reporter_id": report.reporter_id,
        "reason": report.reason,
        "closed_at": rfc3339_or_none(report.closed_at),
        "closed_by": report.closed_by,
        "note": report.note,
    }


class ReportChanges(Request):
    closed: Literal[True]
    note: Annotated[str, Field(strict=True, max_length=REASON_MAX), AfterValidator(check_text)] = ""


REASON = {"reason": "spam"}

BODIES = (
    Shown(Because, REASON),
    Shown(NewReport, REASON),
    Shown(BecauseUntil, REASON | {"until": AT}),
    Shown(NewOwner, REASON | {"user_id": BEN}),
    Shown(ReportChanges, {"closed": True, "note": "deleted"}),
    Shown(
        ReportJson,
        {
            "id": COMMAND, "at": AT, "chat_id": CHAT, "message_id": MESSAGE, "reporter_id": ANNA, "reason": "spam",
            "closed_at": AT, "closed_by": BEN, "note": "deleted",
        },
    ),
)  # fmt: skip
