"""The sockets of this process and what each knows: where it stands in its chats, what it waits for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.application.bounded import Bounded
from app.application.ports.socket import Close, Sink
from app.domain.scopes import Scopes

_PENDING_MAX = 1_000
LOOK_UP_AFTER_S = 1.0

Key = tuple[str, str, str]
"""Of a command: chat, actor, id."""


@dataclass(slots=True)
class CatchUp:
    """What a session is to be given of a chat before it goes on live.

    refs: who named it and awaits one end each (None: the resume); none: only the session fell behind.
    """

    chat_id: str
    after: int = 0
    refs: tuple[str | None, ...] = ()
    wrong_epoch: bool = False


@dataclass(slots=True)
class Asked:
    """A request of this session whose end was not told. at: when, monotonic seconds; look_at: when its outcome is looked
    up next."""

    key: Key
    ref: str
    is_send: bool
    at: float
    look_at: float


@dataclass(slots=True, eq=False)
class Session:
    """One socket of a signed-in person.

    scopes: of the key that it came with; None without one.
    cursors: the last seq given, of each chat that it hears. behind: the chats that are not live for it now.
    replies: message id → (attempt, next index) of the deltas given. asked, over: by tag, requests whose end was not
    told, and those whose rejection was. joining, recheck: chats whose membership is being read, or must be once opened.
    typed: chat id → when its typing was told last, monotonic seconds.
    floors: chat id → the first seq that this person sees, where that isn't all. shown: of such chats the open replies, by their
    seqs. looking: those of which it is being read which are open.
    """

    id: str
    user_id: str
    auth_session_id: str
    sink: Sink
    scopes: Scopes = None
    cursors: dict[str, int] = field(default_factory=dict)
    behind: dict[str, CatchUp] = field(default_factory=dict)
    replies: dict[str, tuple[int, int]] = field(default_factory=dict)
    asked: Bounded[int, Asked] = field(default_factory=lambda: Bounded(_PENDING_MAX))
    over: Bounded[int, None] = field(default_factory=lambda: Bounded(_PENDING_MAX))
    joining: set[str] = field(default_factory=set)
    recheck: set[str] = field(default_factory=set)
    typed: Bounded[str, float] = field(default_factory=lambda: Bounded(_PENDING_MAX))
    floors: dict[str, int] = field(default_factory=dict)
    shown: Bounded[str, int] = field(default_factory=lambda: Bounded(_PENDING_MAX))
    looking: set[str] = field(default_factory=set)
    opened: bool = False
    closed: bool = False
    catching: bool = False

    @property
    def counted(self) -> str:
        """Whose limits it counts against: a key has its own."""
        return self.user_id if self.scopes is None else self.auth_session_id

    def refused(self, tag: int) -> None:
        """Its rejection was told: no `accepted` after it."""
        self.over[tag] = None

    def asked_for(self, key: Key) -> list[int]:
        return [tag for tag, asked in self.asked.items() if asked.key == key]


class Sessions:
    """By user."""

    def __init__(self) -> None:
        self._users: dict[str, dict[Session, None]] = {}

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._users

    def add(self, session: Session) -> None:
        self._users.setdefault(session.user_id, {})[session] = None

    def remove(self, session: Session) -> bool:
        """Whether it was the user's last."""
        mine = self._users.get(session.user_id, {})
        if session not in mine:
            return False
        del mine[session]
        if not mine:
            del self._users[session.user_id]
        return not mine

    def of(self, user_id: str) -> list[Session]:
        return list(self._users.get(user_id, ()))

    def all(self) -> list[Session]:
        return [session for sessions in self._users.values() for session in sessions]

    def evict(self, user_id: str, session_ids: Sequence[str]) -> None:
        """Make room for newer sockets of the same user."""
        for session in self.of(user_id):
            if session.id in session_ids:
                session.sink.close(Close.TOO_MANY_SOCKETS, "too many sockets of this user")

    def revoke(self, auth_session_ids: set[str]) -> None:
        for session in self.all():
            if session.auth_session_id in auth_session_ids:
                session.sink.close(Close.UNAUTHENTICATED, "the session has ended")
