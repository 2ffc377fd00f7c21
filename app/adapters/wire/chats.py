"""Chats: as all members see them, and as one does."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import ANNA, AT, CHAT, COMMAND, REPLY
from app.adapters.wire.members import MEMBER, MemberJson, RoleName, member_json
from app.adapters.wire.messages import MESSAGE_JSON, MessageJson, message_json
from app.adapters.wire.values import AnyEvent, EventShape, Id, Request, Shown, Text
from app.application.ports.history import Membership
from app.domain.chats import ChatCreated as Created
from app.domain.text import TITLE_MAX, clean_name, rfc3339
from app.domain.values import Chat, ChatKind

Title = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=TITLE_MAX),
    AfterValidator(lambda name: clean_name(name, TITLE_MAX, "title")),
]
KindName = Literal["direct", "group", "assistant"]


class AssistantJson(TypedDict):
    user_id: str
    model: str | None
    instructions: str | None


HistoryName = Literal["all", "from_joining"]


class AgreedJson(TypedDict):
    by: str
    at: str


class ForkJson(TypedDict):
    chat_id: str
    seq: int


class SharedChatJson(TypedDict):
    """What is the same for all members: the chat as it stands in events. history, assistant_consent: of groups."""

    id: str
    kind: KindName
    title: str | None
    archived: bool
    created_at: str
    created_by: str
    head: int
    members_count: int
    assistant: NotRequired[AssistantJson]
    assistant_consent: NotRequired[AgreedJson | None]
    history: NotRequired[HistoryName]
    local_only: bool
    forked_from: NotRequired[ForkJson]


def shared_chat_json(chat: Chat) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "archived": chat.archived,
        "created_at": rfc3339(chat.created_at),
        "created_by": chat.created_by,
        "head": chat.head,
        "members_count": chat.members_count,
        "local_only": chat.terms.local_only,
    }
    if chat.kind == ChatKind.GROUP:
        made["history"] = chat.terms.history
        agreed = chat.terms.consent
        made["assistant_consent"] = {"by": agreed.by, "at": rfc3339(agreed.at)} if agreed is not None else None
    if chat.terms.forked_from is not None:
        made["forked_from"] = {"chat_id": chat.terms.forked_from.chat_id, "seq": chat.terms.forked_from.seq}
    if chat.assistant is not None:
        made["assistant"] = {
            "user_id": chat.assistant.user_id,
            "model": chat.assistant.model,
            "instructions": chat.assistant.instructions,
        }
    return made


class ChatJson(SharedChatJson):
    """A chat as one of its members sees it."""

    my_role: RoleName
    read_seq: int
    unread: int
    hidden: bool
    last_message: MessageJson | None


def chat_json(membership: Membership) -> dict[str, Any]:
    last = membership.last_message
    return shared_chat_json(membership.chat) | {
        "my_role": membership.member.role,
        "read_seq": membership.read_seq,
        "unread": membership.unread,
        "hidden": membership.hidden,
        "last_message": message_json(last) if last is not None else None,
    }


class NewAssistant(Request):
    user_id: Id | None = None
    model: Annotated[Text, Field(max_length=200)] | None = None
    instructions: Annotated[Text, Field(max_length=8_000)] | None = None


class NewChat(Request):
    kind: KindName
    title: Title | None = None
    member_ids: list[Id] = Field(default_factory=list, max_length=10_000)
    assistant: NewAssistant | None = None


class ChatChanges(Request):
    title: Title | None = None
    archived: Annotated[bool, Field(strict=True)] = False
    assistant: NewAssistant | None = None
    assistant_consent: Annotated[bool, Field(strict=True)] = False
    local_only: Annotated[bool, Field(strict=True)] = False
    history: HistoryName = "all"


class NewFork(Request):
    message_id: Id


class ChatCreated(AnyEvent):
    type: Literal["chat.created"]
    chat: SharedChatJson
    members: list[MemberJson]


class ChatUpdated(AnyEvent):
    type: Literal["chat.updated"]
    chat: SharedChatJson


class ChatHidden(TypedDict):
    """To one's own sessions. Hidden or not, a new message brings it back."""

    type: Literal["chat.hidden"]
    chat_id: str
    hidden: bool


def _created(created: Created) -> dict[str, Any]:
    return {"chat": shared_chat_json(created.chat), "members": [member_json(m) for m in created.members]}


def _whole(chat: Chat) -> dict[str, Any]:
    return {"chat": shared_chat_json(chat)}


SHARED_CHAT = {
    "id": CHAT, "kind": "group", "title": "Launch", "archived": False, "created_at": AT, "created_by": ANNA, "head": 2,
    "members_count": 2, "local_only": False, "history": "all", "assistant_consent": None,
}  # fmt: skip
CHAT_JSON = SHARED_CHAT | {
    "my_role": "owner", "read_seq": 2, "unread": 0, "hidden": False, "last_message": MESSAGE_JSON,
}  # fmt: skip

EVENTS = (
    EventShape(
        ChatCreated,
        _created,
        {"seq": 1, "command_id": COMMAND, "chat": SHARED_CHAT | {"head": 1}, "members": [MEMBER]},
    ),
    EventShape(ChatUpdated, _whole, {"seq": 9, "command_id": COMMAND, "chat": SHARED_CHAT | {"head": 9}}),
)
SIGNALS = (Shown(ChatHidden, {"chat_id": CHAT, "hidden": True}),)
BODIES = (
    Shown(NewChat, {"kind": "group", "title": "Launch"}),
    Shown(ChatChanges, {"title": "Launch day"}),
    Shown(NewFork, {"message_id": REPLY}),
    Shown(ChatJson, CHAT_JSON),
)
