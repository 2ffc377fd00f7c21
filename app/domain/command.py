"""A command: one thing asked of a chat by somebody, decided in the order of its lane.

What can be asked are actions, each in the file of its subject; `decide` knows them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from app.domain.scopes import Scopes
from app.domain.value import value

if TYPE_CHECKING:
    from app.domain.state import Needs


class Action(Protocol):
    """type: its public name. Fields hold what may be asked of values; an absent one has its default."""

    type: ClassVar[str]

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        """Name the facts that its rule looks at, beside the chat and the actor's membership."""
        ...


@dataclass(frozen=True, slots=True)
class Cost:
    """What an action makes that is limited by the hour: so many chats, so many memberships."""

    chats: int = 0
    members: int = 0


@dataclass(frozen=True, slots=True)
class UnknownAction:
    """Of a newer version: carried as it came, left for who knows it. fields: the action's, unread."""

    type: str
    fields: Any = field(default=None, hash=False)

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        pass


@value(frozen=True, slots=True)
class Command:
    """id: the client's message id or command id, one name space of (chat, actor), for ever.

    origin: the process that waits for the outcome, "" for none. wait: tell it every outcome, not only those
    that no new event shows. tag: which request of that process asked, 0 for none.
    trace, sent_at: for whoever watches: the W3C traceparent that it belongs to, and Unix seconds of its submission.
    scopes: of the key that it came with; None without one.
    """

    chat_id: str
    actor_id: str
    id: str
    action: Action | UnknownAction
    origin: str = ""
    wait: bool = False
    tag: int = 0
    trace: str = ""
    sent_at: float = 0.0
    scopes: Scopes = None

    @property
    def type(self) -> str:
        return self.action.type

    def stamped(self, trace: str, sent_at: float) -> Command:
        """As `replace`, at a third of its price: done for every command."""
        return Command(
            self.chat_id,
            self.actor_id,
            self.id,
            self.action,
            self.origin,
            self.wait,
            self.tag,
            trace,
            sent_at,
            self.scopes,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.chat_id, self.actor_id, self.id)
