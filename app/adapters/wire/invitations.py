"""Invitations by link."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import ANNA, AT, CHAT
from app.adapters.wire.values import Id, Request, Shown, Time
from app.application.ports.invitations import Invitation
from app.domain.text import rfc3339, rfc3339_or_none


class InvitationJson(TypedDict):
    """chat_id: null for one into the service. uses: how many may come by it; null: any number. used: how many did."""

    code: str
    url: str
    chat_id: str | None
    uses: int | None
    used: int
    created_at: str
    created_by: str
    expires_at: str | None


def invitation_json(invitation: Invitation, public_url: str) -> dict[str, Any]:
    return {
        "code": invitation.code,
        "url": f"{public_url}/invitation#code={invitation.code}",
        "chat_id": invitation.chat_id,
        "uses": invitation.uses,
        "used": invitation.used,
        "created_at": rfc3339(invitation.created_at),
        "created_by": invitation.made_by,
        "expires_at": rfc3339_or_none(invitation.expires_at),
    }


class NewInvitation(Request):
    chat_id: Id | None = None
    uses: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None
    expires_at: Time | None = None


BODIES = (
    Shown(
        InvitationJson,
        {
            "code": "u7TqXe…", "url": "https://chat.example.org/invitation#code=u7TqXe…", "chat_id": CHAT, "uses": 10,
            "used": 3, "created_at": AT, "created_by": ANNA, "expires_at": "2036-01-01T00:00:00.000Z",
        },
    ),
    Shown(NewInvitation, {"chat_id": CHAT, "uses": 10, "expires_at": "2036-01-01T00:00:00.000Z"}),
)  # fmt: skip
