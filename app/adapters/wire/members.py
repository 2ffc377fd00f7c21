"""Who is in a chat."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import AT, BEN, COMMAND
from app.adapters.wire.people import PERSON, PersonJson, person_json
from app.adapters.wire.values import AnyEvent, EventShape, Id, Request, Shown, Time
from app.domain.members import MemberRemoved as Removed
from app.domain.members import MemberUnbanned as Unbanned
from app.domain.text import rfc3339, rfc3339_or_none
from app.domain.values import Member, UserKind

RoleName = Literal["owner", "admin", "member", "reader"]


AttentionName = Literal["addressed", "ambient", "off"]


class MemberJson(TypedDict):
    """attention, budget_per_hour: of an assistant: when it speaks, and how often an hour; null for no bound."""

    user: PersonJson
    role: RoleName
    muted_until: str | None
    joined_at: str
    attention: NotRequired[AttentionName]
    budget_per_hour: NotRequired[int | None]


def member_json(member: Member) -> dict[str, Any]:
    made: dict[str, Any] = {
        "user": person_json(member.user),
        "role": member.role,
        "muted_until": rfc3339_or_none(member.muted_until),
        "joined_at": rfc3339(member.joined_at),
    }
    if member.user.kind == UserKind.ASSISTANT:
        made |= {"attention": member.attention, "budget_per_hour": member.budget_per_hour}
    return made


class NewMember(Request):
    user_id: Id
    role: RoleName = "member"


class MemberChanges(Request):
    role: RoleName | None = None
    muted_until: Time | None = None
    attention: AttentionName | None = None
    budget_per_hour: Annotated[int, Field(strict=True, ge=0, le=10_000)] | None = None


class MemberAdded(AnyEvent):
    type: Literal["member.added"]
    member: MemberJson


class MemberUpdated(AnyEvent):
    type: Literal["member.updated"]
    member: MemberJson


class MemberRemoved(AnyEvent):
    """The one that names you is the last frame of that chat."""

    type: Literal["member.removed"]
    user_id: str
    reason: Literal["left", "removed", "banned"]


class MemberUnbanned(AnyEvent):
    type: Literal["member.unbanned"]
    user_id: str


def _whole(member: Member) -> dict[str, Any]:
    return {"member": member_json(member)}


def _removed(removed: Removed) -> dict[str, Any]:
    return {"user_id": removed.user_id, "reason": removed.reason}


def _unbanned(unbanned: Unbanned) -> dict[str, Any]:
    return {"user_id": unbanned.user_id}


MEMBER = {"user": PERSON, "role": "member", "muted_until": None, "joined_at": AT}

EVENTS = (
    EventShape(MemberAdded, _whole, {"seq": 10, "command_id": COMMAND, "member": MEMBER}),
    EventShape(MemberUpdated, _whole, {"seq": 11, "command_id": COMMAND, "member": MEMBER | {"role": "admin"}}),
    EventShape(MemberRemoved, _removed, {"seq": 12, "command_id": COMMAND, "user_id": BEN, "reason": "removed"}),
    EventShape(MemberUnbanned, _unbanned, {"seq": 13, "command_id": COMMAND, "user_id": BEN}),
)
BODIES = (
    Shown(NewMember, {"user_id": BEN, "role": "member"}),
    Shown(MemberChanges, {"role": "reader", "muted_until": None}),
    Shown(MemberJson, MEMBER),
)
