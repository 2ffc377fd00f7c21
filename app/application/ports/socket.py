"""A socket as the core sees it: somewhere to send to, and the public words for what is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.application.ports.history import Membership
from app.application.ports.people import Account
from app.domain.command import Command
from app.domain.errors import ParleyError
from app.domain.events import Event
from app.domain.state import Outcome


class Close:
    """Why a socket is closed, as RFC 6455 codes; what a client does about it stands in docs/protocol.md."""

    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    INTERNAL = 1011
    RESTART = 1012
    BAD_HELLO = 4400
    UNAUTHENTICATED = 4401
    HELLO_TIMEOUT = 4408
    TOO_MANY_SOCKETS = 4409
    TOO_SLOW = 4413
    OVER_LIMITS = 4429


class Sink(Protocol):
    """A socket's outgoing side. Bounded; one that reads too slowly is closed by itself."""

    def send(self, text: str) -> None:
        """One frame, or several joined by newlines. Never waits, never raises; in this order."""
        ...

    def close(self, code: int, reason: str) -> None:
        """After what was sent before, if the peer still reads; at once if it doesn't."""
        ...

    async def drained(self) -> None:
        """Returns when there is room again, or the socket is gone."""
        ...


class Codec(Protocol):
    """The public words, one method for each thing that the core says. Each gives one line without a newline."""

    def event(self, event: Event) -> str: ...

    def welcome(
        self, session_id: str, account: Account, epoch: str, listed: Sequence[Membership], chats_more: bool
    ) -> str:
        """Never over 1 MiB: what is long is left out of the later chats, for REST."""
        ...

    def synced(self, chat_id: str, ref: str | None, head: int) -> str: ...

    def reset(self, chat_id: str, ref: str | None, head: int, code: str) -> str:
        """code: too_far, ahead, epoch or rejoined."""
        ...

    def gone(self, chat_id: str, ref: str | None) -> str: ...

    def chat_joined(self, membership: Membership, after: int) -> str: ...

    def accepted(self, ref: str, command: Command) -> str: ...

    def committed(self, ref: str, key: tuple[str, str, str], outcome: Outcome) -> str:
        """key: the command's (chat, actor, id)."""
        ...

    def rejected(self, ref: str | None, key: tuple[str, str, str], outcome: Outcome) -> str: ...

    def error(self, ref: str | None, error: ParleyError) -> str: ...

    def delta(self, chat_id: str, message_id: str, attempt: int, index: int, text: str) -> str: ...

    def snapshot(self, chat_id: str, message_id: str, attempt: int, next_index: int, text: str) -> str: ...

    def typing(self, chat_id: str, user_id: str, expires_in_ms: int) -> str: ...

    def read_marked(self, chat_id: str, user_id: str, read_seq: int) -> str: ...

    def draining(self, reconnect_after_ms: int) -> str: ...
