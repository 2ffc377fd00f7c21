"""A socket as the core sees it: somewhere to send to, and the public words for what is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.application.ports.history import Membership, Page
from app.application.ports.people import Account
from app.domain.command import Command
from app.domain.errors import ParleyError
from app.domain.events import Event
from app.domain.state import Outcome
from app.domain.values import Person


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

    def event(self, event: Event) -> str:
        """A durable event, as every member hears it; of a type or form that we don't know its place alone."""
        ...

    def welcome(
        self, session_id: str, account: Account, epoch: str, listed: Sequence[Membership], chats_more: bool
    ) -> str:
        """Never over 1 MiB: what is long is left out of the later chats, for REST."""
        ...

    def synced(self, chat_id: str, ref: str | None, head: int) -> str:
        """One end of a catch-up: all up to head was given. ref: of the sync; None of a resume."""
        ...

    def reset(self, chat_id: str, ref: str | None, head: int, code: str) -> str:
        """One end of a catch-up: what was missed isn't given; the chat goes on from head. code: too_far, ahead, epoch or
        rejoined."""
        ...

    def gone(self, chat_id: str, ref: str | None) -> str:
        """One end of a catch-up: no such chat, for this user."""
        ...

    def chat_joined(self, membership: Membership, after: int) -> str:
        """The user is in a chat anew; its events follow from seq `after` + 1 on."""
        ...

    def page(self, page: Page) -> bytes:
        """A page of history as a list, as much of it as an answer takes."""
        ...

    def accepted(self, ref: str, command: Command) -> str:
        """It is safe, and will end."""
        ...

    def committed(self, ref: str, key: tuple[str, str, str], outcome: Outcome) -> str:
        """It ended, and no event of its own tells so: a repeat, or nothing to change. key: the command's (chat, actor,
        id)."""
        ...

    def rejected(self, ref: str | None, key: tuple[str, str, str], outcome: Outcome) -> str:
        """The rules said no, for good. ref: None to who didn't ask here."""
        ...

    def error(self, ref: str | None, error: ParleyError) -> str:
        """A request came to nothing. ref: None where it had no good one."""
        ...

    def delta(self, chat_id: str, message_id: str, attempt: int, index: int, text: str) -> str:
        """A piece of an answer: number `index` of the attempt, from 0."""
        ...

    def snapshot(self, chat_id: str, message_id: str, attempt: int, next_index: int, text: str) -> str:
        """An answer's text so far, in place of the deltas before `next_index`."""
        ...

    def reply_thinking(self, chat_id: str, message_id: str, attempt: int, chars: int) -> str:
        """The model thinks before it answers: so many characters so far, which aren't part of the answer."""
        ...

    def about(self, line: str) -> tuple[int, str, str]:
        """Of an event's line: (the seq of the message that it carries, or its own; the id of the reply that it is about, "" for
        none; its place alone, for who doesn't see that message)."""
        ...

    def reply_of(self, text: str) -> str:
        """The id of the reply that a signal is about, "" for none."""
        ...

    def reply_waiting(
        self, chat_id: str, message_id: str, attempt: int, code: str, retry_in_ms: int, instead: str | None
    ) -> str:
        """The model's provider can't answer just now, and is asked again after so many milliseconds; or `instead` is, its
        fallback. code: as of a failure."""
        ...

    def typing(self, chat_id: str, user_id: str, expires_in_ms: int) -> str:
        """This user types, for so long unless it is said again."""
        ...

    def read_marked(self, chat_id: str, user_id: str, read_seq: int) -> str:
        """This user has read up to read_seq."""
        ...

    def preferences_changed(self, preferences: dict[str, object]) -> str:
        """The user's own preferences, whole, as they are now."""
        ...

    def chat_hidden(self, chat_id: str, hidden: bool) -> str:
        """The user hid this chat from their list, or shows it again."""
        ...

    def user_updated(self, person: Person) -> str:
        """What is shown of this person from now on."""
        ...

    def draining(self, reconnect_after_ms: int) -> str:
        """The process goes down: connect elsewhere after so many milliseconds."""
        ...
