"""What is said on a socket beside the subjects' own: hello and welcome, how commands end, catching up, staying alive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from app.adapters.wire.chats import CHAT_JSON, ChatJson
from app.adapters.wire.examples import BEN, CHAT, SEND_ID, SESSION
from app.adapters.wire.messages import ReadMark
from app.adapters.wire.people import USER, UserJson
from app.adapters.wire.problems import Error, SocketCode
from app.adapters.wire.values import Id, RefRequest, Request, Seq, Shown, Text, type_of

# Requests that are no commands


class Resume(Request):
    epoch: Text
    chats: dict[Id, Seq] = Field(max_length=500)


class Hello(Request):
    type: Literal["hello"]
    ticket: Text | None = None
    token: Text | None = None
    resume: Resume | None = None


class Sync(RefRequest):
    type: Literal["sync"]
    chats: dict[Id, Seq] = Field(max_length=500)


class AuthRefresh(RefRequest):
    type: Literal["auth.refresh"]
    token: Text


class Ping(RefRequest):
    type: Literal["ping"]


class Typing(Request):
    type: Literal["typing"]
    chat_id: Id


# Answers


class LimitsJson(TypedDict):
    body_max: int
    frame_max: int
    group_members_max: int
    sockets_per_user: int


class Welcome(TypedDict):
    """The first frame. chats: the 200 latest and all named in resume; live events begin at their head."""

    type: Literal["welcome"]
    session_id: str
    user: UserJson
    epoch: str
    heartbeat_s: int
    limits: LimitsJson
    chats: list[ChatJson]
    chats_more: bool


class Synced(TypedDict):
    """All missed events of a named chat were given; live goes on."""

    type: Literal["synced"]
    ref: NotRequired[str]
    chat_id: str
    head: int


class Reset(TypedDict):
    """Load the chat back from head by REST; live goes on at head + 1."""

    type: Literal["reset"]
    ref: NotRequired[str]
    chat_id: str
    head: int
    code: Literal["too_far", "ahead", "epoch", "rejoined"]


class Gone(TypedDict):
    """Not a member, or no such chat: drop it."""

    type: Literal["gone"]
    ref: NotRequired[str]
    chat_id: str


class Accepted(TypedDict):
    """Safe in the broker: it will be committed or rejected, whatever crashes."""

    type: Literal["accepted"]
    ref: str
    client_message_id: NotRequired[str]
    command_id: NotRequired[str]


class Committed(TypedDict):
    """Done without a new event: a repeat, or nothing to change. seq: of the first result."""

    type: Literal["committed"]
    ref: NotRequired[str]
    chat_id: str
    client_message_id: NotRequired[str]
    command_id: NotRequired[str]
    seq: NotRequired[int]


class Rejected(TypedDict):
    """The rules refuse it, for ever: a new try takes a new id. policies: which decided."""

    type: Literal["rejected"]
    ref: NotRequired[str]
    chat_id: str
    client_message_id: NotRequired[str]
    command_id: NotRequired[str]
    code: SocketCode
    reason: str
    policies: list[str]


class Ok(TypedDict):
    """Of read.mark: chat_id, read_seq, unread. Of auth.refresh: expires_in, in seconds."""

    type: Literal["ok"]
    ref: str
    chat_id: NotRequired[str]
    read_seq: NotRequired[int]
    unread: NotRequired[int]
    expires_in: NotRequired[int]


class Pong(TypedDict):
    type: Literal["pong"]
    ref: str


class ChatJoined(TypedDict):
    """You were added, or made it: the events after `after` follow."""

    type: Literal["chat.joined"]
    chat: ChatJson
    after: int


class Draining(TypedDict):
    """This process goes down: close 1012 follows; reconnect anywhere and resume."""

    type: Literal["draining"]
    reconnect_after_ms: int


# Signals


class TypingSignal(TypedDict):
    type: Literal["typing"]
    chat_id: str
    user_id: str
    expires_in_ms: int


class AuthExpiring(TypedDict):
    """The token ends in so many seconds: send auth.refresh."""

    type: Literal["auth.expiring"]
    expires_in: int


@dataclass(frozen=True, slots=True)
class RequestShape:
    """A request that is no command. answers: the frames that repeat its ref. counted: against the limit of requests."""

    model: type[Request]
    example: dict[str, Any]
    answers: tuple[str, ...] = ()
    counted: bool = True

    @property
    def type(self) -> str:
        return type_of(self.model)


COMMAND_ANSWERS = ("accepted", "committed", "rejected", "error")
HELLO = RequestShape(Hello, {"token": "eyJhbGciOi…", "resume": {"epoch": "8f0e…", "chats": {CHAT: 2}}}, ("welcome",))
REQUESTS = (
    HELLO,
    RequestShape(Sync, {"ref": "s1", "chats": {CHAT: 2}}, ("synced", "reset", "gone", "error")),
    RequestShape(ReadMark, {"ref": "8", "chat_id": CHAT, "seq": 2}, ("ok", "error")),
    RequestShape(AuthRefresh, {"ref": "9", "token": "eyJhbGciOi…"}, ("ok", "error")),
    RequestShape(Ping, {"ref": "10"}, ("pong", "error"), counted=False),
    RequestShape(Typing, {"chat_id": CHAT}, counted=False),
)
ANSWERS = (
    Shown(
        Welcome,
        {
            "session_id": SESSION, "user": USER, "epoch": "8f0e…", "heartbeat_s": 20,
            "limits": {"body_max": 8000, "frame_max": 131072, "group_members_max": 1000, "sockets_per_user": 20},
            "chats": [CHAT_JSON], "chats_more": False,
        },
    ),
    Shown(Synced, {"chat_id": CHAT, "head": 2}),
    Shown(Reset, {"ref": "s1", "chat_id": CHAT, "head": 900, "code": "too_far"}),
    Shown(Gone, {"chat_id": CHAT}),
    Shown(Accepted, {"ref": "1", "client_message_id": SEND_ID}),
    Shown(Committed, {"ref": "1", "chat_id": CHAT, "client_message_id": SEND_ID, "seq": 2}),
    Shown(
        Rejected,
        {
            "ref": "1", "chat_id": CHAT, "client_message_id": SEND_ID, "code": "muted",
            "reason": "you are muted in this chat", "policies": ["muted-stay-silent"],
        },
    ),
    Shown(Ok, {"ref": "8", "chat_id": CHAT, "read_seq": 2, "unread": 0}),
    Shown(Pong, {"ref": "10"}),
    Shown(Error, {"ref": "1", "code": "rate_limited", "reason": "too many requests", "retry_after_ms": 400}),
    Shown(ChatJoined, {"chat": CHAT_JSON, "after": 0}),
    Shown(Draining, {"reconnect_after_ms": 500}),
)  # fmt: skip
SIGNALS = (
    Shown(TypingSignal, {"chat_id": CHAT, "user_id": BEN, "expires_in_ms": 6000}),
    Shown(AuthExpiring, {"expires_in": 60}),
)
