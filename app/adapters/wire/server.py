"""The server API: what a host's backend says, and is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import ANNA, CHAT, SEND_ID
from app.adapters.wire.people import DisplayName, Username
from app.adapters.wire.values import Id, Request, Shown, Text
from app.application.ports.external import PutUser, WantedUser
from app.application.ports.people import Account
from app.application.server import USERS_MAX, HostedChat
from app.domain.ids import external_user_id
from app.domain.text import check_text, clean_name

ExternalId = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=255, pattern=r"^[^/]+$", description="what the host calls it"),
    AfterValidator(check_text),
]


class UserChanges(Request):
    """A user as the host has them; what isn't named stays as it is."""

    username: Username | None = None
    display_name: DisplayName | None = None
    attributes: dict[str, Any] | None = None
    disabled: Annotated[bool, Field(strict=True)] | None = None

    def wanted(self, external_id: str) -> WantedUser:
        return WantedUser(external_id, self.username, self.display_name, self.attributes, self.disabled)


class UserOfMany(UserChanges):
    external_id: ExternalId


class ManyUsers(Request):
    users: Annotated[list[UserOfMany], Field(min_length=1, max_length=USERS_MAX)]


class HostedUserJson(TypedDict):
    id: str
    external_id: str
    username: str
    display_name: str
    attributes: dict[str, Any]
    disabled: bool


def hosted_user_json(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "external_id": account.external_id,
        "username": account.username,
        "display_name": account.display_name,
        "attributes": dict(account.attributes),
        "disabled": account.disabled,
    }


class PutUserJson(TypedDict):
    """status: 201 made, 200 as it shall be, else why not, with its code."""

    external_id: str
    id: str
    status: int
    code: NotRequired[str]


class PutUsersJson(TypedDict):
    items: list[PutUserJson]


def put_users_json(asked: list[UserOfMany], put: list[PutUser], status_of: Any) -> dict[str, Any]:
    items = []
    for one, done in zip(asked, put, strict=True):
        item: dict[str, Any] = {"external_id": one.external_id, "id": external_user_id(one.external_id)}
        if done.code is None:
            items.append(item | {"status": 201 if done.made else 200})
        else:
            items.append(item | {"status": status_of(done.code), "code": done.code})
    return {"items": items}


class HostedMember(Request):
    external_id: ExternalId
    role: Literal["owner", "admin", "member", "reader"] = "member"


class HostedChatBody(Request):
    """The chat as it shall be. members: who isn't named stays, unless `exact`."""

    kind: Literal["direct", "group"] = "group"
    title: (
        Annotated[
            str,
            Field(strict=True, min_length=1, max_length=200),
            AfterValidator(lambda title: clean_name(title, 200, "title")),
        ]
        | None
    ) = None
    members: Annotated[list[HostedMember], Field(max_length=10_000)] = []
    exact: Annotated[bool, Field(strict=True)] = False


class HostedChatJson(TypedDict):
    id: str
    external_id: str
    kind: Literal["direct", "group"]
    title: str | None
    archived: bool
    head: int
    members_count: int


def hosted_chat_json(hosted: HostedChat) -> dict[str, Any]:
    chat = hosted.chat
    return {
        "id": chat.id,
        "external_id": hosted.external_id,
        "kind": chat.kind,
        "title": chat.title,
        "archived": chat.archived,
        "head": chat.head,
        "members_count": chat.members_count,
    }


class HostedMessage(Request):
    """as: the external id of the user who says it; absent: the key's own bot."""

    client_message_id: Id
    body: Text
    as_: Annotated[ExternalId | None, Field(alias="as")] = None


_USER = {
    "id": ANNA, "external_id": "u-1017", "username": "anna", "display_name": "Anna", "attributes": {"staff": True},
    "disabled": False,
}  # fmt: skip
_CHAT = {
    "id": CHAT, "external_id": "order-4711", "kind": "group", "title": "Order 4711", "archived": False, "head": 1,
    "members_count": 2,
}  # fmt: skip
_MEMBERS = [{"external_id": "u-1017", "role": "owner"}, {"external_id": "u-1018"}]

BODIES = (
    Shown(UserChanges, {"username": "anna", "display_name": "Anna", "attributes": {"staff": True}}),
    Shown(UserOfMany, {"external_id": "u-1017", "display_name": "Anna"}),
    Shown(ManyUsers, {"users": [{"external_id": "u-1017", "display_name": "Anna"}]}),
    Shown(HostedUserJson, _USER),
    Shown(PutUserJson, {"external_id": "u-1017", "id": ANNA, "status": 201}),
    Shown(PutUsersJson, {"items": [{"external_id": "u-1017", "id": ANNA, "status": 201}]}),
    Shown(HostedMember, {"external_id": "u-1017", "role": "owner"}),
    Shown(HostedChatBody, {"kind": "group", "title": "Order 4711", "members": _MEMBERS}),
    Shown(HostedChatJson, _CHAT),
    Shown(HostedMessage, {"client_message_id": SEND_ID, "body": "Your order is on its way.", "as": "u-1017"}),
)
