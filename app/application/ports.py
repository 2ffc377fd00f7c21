"""What the core asks of the world, in the core's words. Each docstring states guarantee, order, atomicity and what
the caller owes. Every port has an embedded implementation that is a product choice, and one on a real server;
one contract suite (tests/contracts) runs over both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.domain.chat import Chat, Member, Person
from app.domain.commands import Command
from app.domain.events import Event
from app.domain.message import Message, Usage
from app.domain.rules import Answer, Question
from app.domain.state import Decided, Outcome, Pair, State


class Transient(Exception):
    """The world failed in a way that may pass: connection, lock, serialization, deadline. Nothing is known to be
    done, though a commit may have been. Retry in place."""


class DeadlineMissed(Transient):
    """It took longer than it may. Retried too, but a batch that misses again and again may be too large."""


class Unavailable(Exception):
    """Nothing was accepted; the caller may try again."""


class OutcomeUnknown(Exception):
    """It may or may not have been accepted; only the same id again is safe."""


class NewerEnvelope(Exception):
    """Written by a newer version than this process understands: leave it for those who do."""


# ---- The command bus


class CommandBus(Protocol):
    def submit(self, command: Command) -> asyncio.Future[None]:
        """Queue a command for its shard. Synchronous, so that nothing overtakes between reading and queueing.

        The future ends with None once the command is safe (accepted), with Unavailable where it surely isn't, with
        OutcomeUnknown where that can't be told. Commands of one chat are decided in the order of submit, but for
        those that ended with an error. Bounded: past the bound the future ends with Unavailable at once.
        """
        ...

    def ready(self) -> bool: ...


@dataclass(slots=True)
class Delivery:
    """Commands that came together. seen: how often the broker had delivered them before; retried: went through
    a worker that didn't finish."""

    shard: int
    commands: list[Command]
    seen: int = 0


Process = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Decides a batch, in order. Returns when all of it is committed and announced; raises only when cancelled."""


# ---- The store


@dataclass(frozen=True, slots=True)
class Hints:
    """What a transaction tells the gateways' poll, beside the heads it moved."""

    users: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()


class LogTransaction(Protocol):
    async def read(self, commands: Sequence[Command]) -> State:
        """Facts for these commands, read after the shards' locks were taken."""
        ...

    async def write(self, decided: Decided) -> None:
        """Rows of events, heads, traces, and what the poll finds. All or nothing with the transaction."""
        ...


class CommandLog(Protocol):
    def transaction(self, shards: Sequence[int]) -> AbstractAsyncContextManager[LogTransaction]:
        """One transaction holding these shards' locks, committed on leaving. Raises Transient."""
        ...

    async def note_try(self, command: Command) -> int:
        """How often this command had been tried before, counting this try for the next time. Own transaction."""
        ...

    async def answers(self) -> bool:
        """Whether the store does small things in time."""
        ...

    async def prune(self) -> None:
        """Forget refusals and no-ops after 24 h, and what the poll no longer needs."""
        ...


@dataclass(frozen=True, slots=True)
class Membership:
    chat: Chat
    member: Member
    read_seq: int
    unread: int
    last_message: Message | None


class Timeline(Protocol):
    """Reads of the log that deliver depends on: always the primary, never behind a commit that was announced."""

    async def events(self, chat_id: str, after: int, limit: int) -> list[Event]:
        """Events with seq > after, oldest first, contiguous, messages as they are now."""
        ...

    async def joined(self, user_id: str, chat_ids: Sequence[str] | None) -> dict[str, tuple[int, int]]:
        """chat id → (joined_seq, head) of the chats that the user is in; all of them for None."""
        ...

    async def removed_after(self, user_id: str, chat_id: str, after: int) -> bool:
        """Whether this user was removed from the chat by an event with seq > after."""
        ...

    async def open_replies(self, chat_ids: Sequence[str]) -> list[Pair]:
        """(chat, message) of the replies that are claimed and not finished."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    chat_id: str
    actor_id: str
    id: str
    outcome: Outcome


@dataclass(slots=True)
class Healing:
    """What the poll found since the last one, each thing once."""

    epoch: str
    now: datetime
    too_late: bool
    heads: dict[str, int] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    refused: list[Refusal] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)


class Heal(Protocol):
    async def epoch(self) -> str:
        """Names the database's life: another value after a restore or a promotion."""
        ...

    async def poll(self) -> Healing | None:
        """What was committed since the last call, each row exactly once; None where nothing can be missed."""
        ...


# ---- Fan-out


class FanOut(Protocol):
    """At most once, in order per channel from one publisher, silently lossy: nobody trusts it.

    handler is called in the event loop for each message of a subscribed channel; `reset` after the connection was
    lost and made anew, when anything may have been missed.
    """

    def listen(self, handler: Callable[[str, bytes], None], reset: Callable[[], None]) -> None: ...

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """One try of at most 500 ms; what fails is dropped."""
        ...

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Returns when messages published from now on will arrive, or the server can't be reached (the
        subscription is made when it can)."""
        ...

    async def unsubscribe(self, channels: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class LiveText:
    """A reply's text so far, for who comes late: deltas 0 … next_index-1 of the attempt."""

    attempt: int
    next_index: int
    text: str


class LiveTexts(Protocol):
    """Texts of replies while they stream. May be lost at any time: the holder writes the whole anew."""

    async def append(self, key: Pair, attempt: int, index: int, delta: str, whole: str) -> bool:
        """Append delta `index` of the attempt and publish it, in one atomic step. False where that attempt is
        superseded or ended. A lost text is replaced by `whole`. Raises Transient."""
        ...

    async def get(self, key: Pair) -> LiveText | None: ...

    async def end(self, key: Pair) -> None:
        """The reply is over: no delta is taken any more."""
        ...


class OpenSockets(Protocol):
    """Which sockets a user has open. Best effort: what a dead process left is forgotten after a while."""

    async def opened(self, user_id: str, session_id: str, most: int) -> list[str]:
        """Count this one in; session ids of the oldest beyond `most`, on whatever gateway."""
        ...

    def closed(self, user_id: str, session_id: str) -> None: ...


# ---- Policies


class Policies(Protocol):
    """The decision point. Pure and synchronous; fails closed."""

    version: str

    def decide(self, question: Question) -> Answer: ...


# ---- Replies as jobs


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed reply: attempt is the fence for all that its holder does. trace: of the command that asked."""

    chat_id: str
    message_id: str
    question_id: str
    attempt: int
    stop_requested: bool = False
    trace: str = ""
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """role: user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    turns: tuple[Turn, ...]
    model: str | None
    instructions: str | None


class Jobs(Protocol):
    async def claim(self, holder: str, most: int, lease_s: float) -> list[Job]:
        """Take unfinished replies whose lease is over, oldest first; each attempt is one higher than before."""
        ...

    async def renew(self, holder: str, job: Job, lease_s: float, progressed: bool) -> str:
        """ "held", "stop" where a stop was asked, "lost" where the attempt is no longer its holder's,
        "busy" where the row could not be had just now."""
        ...

    async def release(self, job: Job) -> None:
        """Give an unfinished reply back at once."""
        ...

    async def prompt(self, job: Job, turns_max: int) -> Prompt: ...

    async def stuck(self, no_progress_s: float) -> list[Job]:
        """Unfinished replies that made no progress for so long."""
        ...


@dataclass(frozen=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The model said that it is done."""

    usage: Usage | None


class ModelFailed(Exception):
    """The answer can't be had or went wrong. before_text: nothing was said yet, and trying again may help."""

    def __init__(self, code: str, reason: str, *, retry: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(code, reason)
        self.code, self.reason, self.retry, self.retry_after_s = code, reason, retry, retry_after_s


class Model(Protocol):
    def stream(self, prompt: Prompt) -> AsyncIterator[Delta | Finish]:
        """The answer's deltas, then exactly one Finish; ends without a Finish only by ModelFailed. Closing the
        iterator ends the request upstream."""
        ...


# ---- People


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    username: str
    display_name: str
    kind: str
    role: str
    preferences: dict[str, object]
    password_hash: str | None = None
    disabled: bool = False
    created_at: datetime | None = None

    @property
    def person(self) -> Person:
        return Person(self.id, self.username, self.display_name, self.kind)


@dataclass(frozen=True, slots=True)
class RefreshTry:
    """What became of a refresh token that was shown. replayed: used before, and not within the grace."""

    session_id: str
    user_id: str
    replayed: bool


@dataclass(frozen=True, slots=True)
class LiveSession:
    """last_used_at: of its last refresh. client: what the program called itself when it signed in."""

    id: str
    created_at: datetime
    last_used_at: datetime | None
    client: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What an operator did. actor_id: None at the command line."""

    id: str
    at: datetime
    actor_id: str | None
    act: str
    target_id: str | None
    details: dict[str, object]


class LastOperator(Exception):
    """Without this account nobody could administer any more."""


class Accounts(Protocol):
    async def create(self, account: Account) -> bool:
        """False where the name is taken."""
        ...

    async def by_name(self, username: str) -> Account | None: ...

    async def by_id(self, user_id: str) -> Account | None: ...

    async def search(self, prefix: str, limit: int) -> list[Account]: ...

    async def update(self, user_id: str, display_name: str | None, preferences: dict[str, object] | None) -> None: ...

    async def page(self, prefix: str, after_name: str, limit: int) -> list[Account]:
        """By username, disabled ones too; an empty prefix finds all."""
        ...

    async def change_password(self, user_id: str, password_hash: str, keep_session: str) -> list[str]:
        """Ends all other sessions in the same transaction; their ids."""
        ...

    async def administer(
        self, actor_id: str | None, user_id: str, disabled: bool | None, role: str | None
    ) -> list[str]:
        """Disable (which ends all sessions) or change the role, and write it down, in one transaction. Ids of the
        ended sessions. Raises LastOperator."""
        ...

    async def audit(self, before_id: str | None, limit: int) -> list[AuditEntry]:
        """Newest first."""
        ...

    async def start_session(self, account: Account, refresh_hash: str, refresh_ttl_s: float, client: str) -> str | None:
        """None where the account was disabled, or got another password, since it was read."""
        ...

    async def sessions(self, user_id: str) -> list[LiveSession]:
        """Those that can still be refreshed, newest first."""
        ...

    async def owns_session(self, user_id: str, session_id: str) -> bool: ...

    async def use_refresh(self, refresh_hash: str, new_hash: str, grace_s: float, ttl_s: float) -> RefreshTry | None:
        """Rotate: mark the token used and keep the new one. None for a token that is unknown, expired, or of an
        ended session. Replayed: the session is ended in the same transaction."""
        ...

    async def session_alive(self, session_id: str) -> bool: ...

    async def end_session(self, session_id: str) -> None: ...

    async def add_ticket(self, ticket_hash: str, session_id: str, ttl_s: float) -> None: ...

    async def use_ticket(self, ticket_hash: str) -> tuple[str, str] | None:
        """(session id, user id) the first time, within its life; None ever after."""
        ...


# ---- History


@dataclass(frozen=True, slots=True)
class Page:
    messages: list[Message]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Search:
    """words: at least one. since, until: of creation, inclusive and exclusive. before: (created_at,
    id) of the last one seen."""

    words: tuple[str, ...]
    chat_id: str | None = None
    sender_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: tuple[datetime, str] | None = None


class History(Protocol):
    """Reads for people. May be served by a replica, but for `outcome`, `chat_for` and `member`."""

    async def chat_for(self, chat_id: str, user_id: str) -> tuple[Chat | None, Member | None]:
        """The chat and this user's membership in it, on the primary: what the door's question is asked with."""
        ...

    async def memberships(
        self,
        user_id: str,
        *,
        archived: bool | None,
        before: tuple[datetime, str] | None,
        limit: int,
        unread_max: int,
        chat_ids: Sequence[str] | None = None,
    ) -> list[Membership]:
        """The user's chats, latest activity first; before: (last_at, chat id) of the last one seen."""
        ...

    async def members(self, chat_id: str, after: str | None, limit: int) -> list[Member]: ...

    async def member(self, chat_id: str, user_id: str) -> Member | None: ...

    async def bans(self, chat_id: str, after: str | None, limit: int) -> list[Person]: ...

    async def messages(self, chat_id: str, before: int | None, after: int | None, limit: int) -> Page: ...

    async def message(self, chat_id: str, message_id: str) -> Message | None: ...

    async def message_at(self, chat_id: str, seq: int) -> Message | None: ...

    async def search(self, user_id: str, search: Search, limit: int) -> list[Message]:
        """Messages of this user's chats that hold all the words, newest first; deleted ones never."""
        ...

    async def outcome(self, chat_id: str, actor_id: str, id: str) -> Outcome | None:
        """How a command ended; None while it has not."""
        ...

    async def mark_read(self, user_id: str, chat_id: str, seq: int, head: int) -> tuple[int, int]:
        """(read_seq, unread) after moving the mark forward, never beyond head."""
        ...


# ---- Sockets


class Codec(Protocol):
    """The public JSON, as the core sees it."""

    def event(self, event: Event) -> str: ...

    def frame(self, fields: dict[str, object]) -> str: ...

    def chat(self, membership: Membership) -> dict[str, object]: ...


class Sink(Protocol):
    """A socket's outgoing side. Bounded; one that reads too slowly is closed by itself."""

    def send(self, text: str) -> None: ...

    def close(self, code: int, reason: str) -> None: ...

    async def drained(self) -> None:
        """Returns when there is room again, or the socket is gone."""
        ...
