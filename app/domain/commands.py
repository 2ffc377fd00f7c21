"""What can be asked of a chat. Each is one value, decided in the order of its shard's queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.domain.message import Failure, Usage


@dataclass(frozen=True, slots=True)
class SendMessage:
    body: str
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class EditMessage:
    message_id: str
    body: str


@dataclass(frozen=True, slots=True)
class DeleteMessage:
    message_id: str


@dataclass(frozen=True, slots=True)
class AddReaction:
    message_id: str
    emoji: str


@dataclass(frozen=True, slots=True)
class RemoveReaction:
    message_id: str
    emoji: str


@dataclass(frozen=True, slots=True)
class CreateChat:
    kind: str
    title: str | None = None
    member_ids: tuple[str, ...] = ()
    model: str | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateChat:
    """given: names of the fields that the caller named; the others stay."""

    given: tuple[str, ...]
    title: str | None = None
    archived: bool = False
    model: str | None = None
    instructions: str | None = None


@dataclass(frozen=True, slots=True)
class AddMember:
    user_id: str
    role: str


@dataclass(frozen=True, slots=True)
class UpdateMember:
    """given: names of the fields that the caller named; the others stay."""

    user_id: str
    given: tuple[str, ...]
    role: str | None = None
    muted_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Of oneself: leaving."""

    user_id: str


@dataclass(frozen=True, slots=True)
class BanMember:
    user_id: str


@dataclass(frozen=True, slots=True)
class UnbanMember:
    user_id: str


@dataclass(frozen=True, slots=True)
class StopReply:
    message_id: str


@dataclass(frozen=True, slots=True)
class RegenerateReply:
    message_id: str


@dataclass(frozen=True, slots=True)
class CompleteReply:
    """The end of an attempt, told by the assistant worker that holds it. body: all its deltas."""

    message_id: str
    attempt: int
    status: str
    body: str
    failure: Failure | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class ExpireReply:
    """Ends a reply that made no progress while at `attempt`, whoever holds it."""

    message_id: str
    attempt: int


Action = (
    SendMessage
    | EditMessage
    | DeleteMessage
    | AddReaction
    | RemoveReaction
    | CreateChat
    | UpdateChat
    | AddMember
    | UpdateMember
    | RemoveMember
    | BanMember
    | UnbanMember
    | StopReply
    | RegenerateReply
    | CompleteReply
    | ExpireReply
)

TYPES: dict[str, type[Action]] = {
    "message.send": SendMessage,
    "message.edit": EditMessage,
    "message.delete": DeleteMessage,
    "reaction.add": AddReaction,
    "reaction.remove": RemoveReaction,
    "chat.create": CreateChat,
    "chat.update": UpdateChat,
    "member.add": AddMember,
    "member.update": UpdateMember,
    "member.remove": RemoveMember,
    "member.ban": BanMember,
    "member.unban": UnbanMember,
    "reply.stop": StopReply,
    "reply.regenerate": RegenerateReply,
    "reply.complete": CompleteReply,
    "reply.expire": ExpireReply,
}
TYPE_OF: dict[type[Action], str] = {action: name for name, action in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Command:
    """id: the client's message id or command id, one name space of (chat, actor), for ever.

    origin: the process that waits for the outcome, "" for none. wait: tell it every outcome, not only those
    that no new event shows. tag: which request of that process asked, 0 for none.
    trace, sent_at: for whoever watches: the W3C traceparent that it belongs to, and Unix seconds of its submission.
    """

    chat_id: str
    actor_id: str
    id: str
    action: Action
    origin: str = ""
    wait: bool = False
    tag: int = 0
    trace: str = ""
    sent_at: float = 0.0

    @property
    def type(self) -> str:
        return TYPE_OF[type(self.action)]

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.chat_id, self.actor_id, self.id)
