"""Accounts, their sessions, and what proves who somebody is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.application.ports.held import Held
from app.domain.scopes import Scopes
from app.domain.values import Attributes, Person


@dataclass(frozen=True, slots=True)
class Account:
    """external_id: who they are in the host's own product. attributes: what the host, or an issuer, says of them. made_by: of a
    bot, who made it."""

    id: str
    username: str
    display_name: str
    kind: str
    role: str
    preferences: dict[str, object]
    password_hash: str | None = None
    disabled: bool = False
    created_at: datetime | None = None
    quotas: Mapping[str, int] = field(default_factory=dict)
    """Of answers, by name; those that aren't there are the settings'."""
    email: str | None = None
    external_id: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)
    made_by: str | None = None

    @property
    def person(self) -> Person:
        return Person(self.id, self.username, self.display_name, self.kind)

    @property
    def told(self) -> Attributes:
        """To rules: plain values."""
        return tuple(sorted((k, v) for k, v in self.attributes.items() if isinstance(v, (bool, int, str))))


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


@dataclass(frozen=True, slots=True)
class TicketUse:
    """Whose it was. scopes, expires_in_s: of the key that it was made with."""

    session_id: str
    user_id: str
    scopes: Scopes = None
    expires_in_s: float | None = None


VouchedSession = tuple[str, str, str]
"""(issuer, what it calls the session, the id of that session here)."""


class LastOperator(Exception):
    """Without this account nobody could administer any more."""


class Accounts(Protocol):
    """Of every secret only a hash is given, and kept. Each raises Transient."""

    async def create(self, account: Account) -> bool:
        """False where the name is taken."""
        ...

    async def by_name(self, username: str) -> Account | None:
        """By the whole name, in lower case; a disabled one too; None where nobody has it."""
        ...

    async def of_session(self, session_id: str, user_id: str) -> Account | None:
        """The account, if this session is theirs and lives."""
        ...

    async def by_id(self, user_id: str) -> Account | None:
        """A disabled one too."""
        ...

    async def search(self, query: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, Account]]:
        """Enabled ones whose username or display name begins so, as texts are compared (`folded`); assistants too. Each
        with its rank: 0 who is called exactly so, 1 whose display name it is, 2 all others; by rank and username. after:
        (rank, username) of the last one seen."""
        ...

    async def fold_names(self) -> None:
        """Of all rows that older versions wrote: display names as they are stored today (of one that leaves nothing to see,
        the username), and what they are compared by. Can be broken off, and begun by several at once."""
        ...

    async def update(
        self,
        user_id: str,
        display_name: str | None,
        preferences: Callable[[dict[str, object]], dict[str, object]] | None,
        email: str | None = None,
    ) -> None:
        """None leaves it as it is; an empty email takes it away. preferences: from those that there are to those that shall be, in one transaction;
        what it raises leaves all as it was. Of a stranger nothing is changed."""
        ...

    async def page(self, prefix: str, after_name: str, limit: int) -> list[Account]:
        """At most limit by username, after that one; disabled ones too; an empty prefix finds all."""
        ...

    async def change_password(self, user_id: str, password_hash: str, keep_session: str | None) -> list[str]:
        """Ends all other sessions in the same transaction, keys not; their ids."""
        ...

    async def rehash(self, account: Account, password_hash: str) -> bool:
        """The same password, hashed anew; sessions stay. False where it was changed since the account was read."""
        ...

    async def administer(
        self,
        actor_id: str | None,
        user_id: str,
        disabled: bool | None,
        role: str | None,
        quotas: Mapping[str, int | None] | None = None,
    ) -> list[str]:
        """Disable (which ends all sessions), change the role or the quotas that are named (None: as the settings say), and
        write it down, in one transaction. Ids of the ended sessions. Raises LastOperator."""
        ...

    async def write_down(self, actor_id: str | None, act: str, target_id: str, **details: object) -> None:
        """What was done, into the audit. actor_id: None at the command line."""
        ...

    async def audit(self, before_id: str | None, limit: int) -> list[AuditEntry]:
        """At most limit, newest first, before that one (exclusive)."""
        ...

    async def made_by(self, user_id: str, after_name: str, limit: int) -> list[Account]:
        """Bots of this person's making, by username, after that one; disabled ones too."""
        ...

    async def end_keys(self, user_id: str) -> list[str]:
        """All of this user's; their ids."""
        ...

    async def prune(self) -> None:
        """Forget tokens, tickets and codes that are over, and sessions and keys that ended a week ago."""
        ...

    async def start_session(
        self,
        account: Account,
        refresh_hash: str,
        refresh_ttl_s: float,
        client: str,
        vouched: VouchedSession | None = None,
    ) -> str | None:
        """The new session's id; vouched: the session of an issuer that says who it is: where that has ended, None; of more than 50 live ones the oldest is ended. None where the account was disabled, or got another password, since it was read."""
        ...

    async def sessions(self, user_id: str, before_id: str | None, limit: int) -> list[LiveSession]:
        """At most limit that can still be refreshed, newest first, before that one (exclusive)."""
        ...

    async def owns_session(self, user_id: str, session_id: str) -> bool:
        """Whether it is this user's, and not ended."""
        ...

    async def use_refresh(self, refresh_hash: str, new_hash: str, grace_s: float, ttl_s: float) -> RefreshTry | None:
        """Rotate: mark the token used and keep the new one. None for a token that is unknown, expired, or of an
        ended session. Replayed: the session is ended in the same transaction."""
        ...

    async def was_refreshed_by(self, user_id: str, refresh_hash: str) -> bool:
        """Whether this refresh token is or was one of this user's sessions, used, expired or ended ones too as long as
        they are kept."""
        ...

    async def session_alive(self, session_id: str, user_id: str | None = None) -> bool:
        """Whether it was started (by this user, where one is named), and neither ended nor its account disabled."""
        ...

    async def end_session(self, session_id: str) -> None:
        """Its tokens and tickets are no good from here on; the poll finds it. Ending it again does nothing."""
        ...

    async def end_other_sessions(self, user_id: str, keep_session: str) -> list[str]:
        """All of this user's but one; their ids."""
        ...

    async def add_ticket(self, ticket_hash: str, session_id: str, ttl_s: float) -> None:
        """Keep it for so many seconds, by the database's clock."""
        ...

    async def use_ticket(self, ticket_hash: str) -> TicketUse | None:
        """The first time, within its life; None ever after."""
        ...


class Passwords(Held, Protocol):
    """Slow on purpose, so off the event loop, and few at once."""

    async def hash(self, password: str, who: str) -> str:
        """With its parameters and a salt of its own, so that `verify` needs nothing else. who: whose turn it takes, among
        those that wait; all that verify are before it. Raises Unavailable where too many wait."""
        ...

    async def verify(self, password: str, hashed: str | None, who: str) -> bool:
        """With None as hash it takes as long, and is False. Raises Unavailable where too many wait."""
        ...


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a valid access token, or a key, names. until: monotonic seconds: a wall clock that is set ends nothing, and lets
    nothing live on. scopes: of a key, whose id is the session's; None of a token."""

    user_id: str
    session_id: str
    until: float
    scopes: Scopes = None

    @property
    def counted(self) -> str:
        """Whose limits it counts against: a key has its own."""
        return self.user_id if self.scopes is None else self.session_id


class Tokens(Protocol):
    """ttl_s: life of an access token, seconds."""

    ttl_s: int

    def issue(self, user_id: str, session_id: str) -> str:
        """Good from now on, for ttl_s."""
        ...

    def verify(self, token: str) -> Bearer:
        """Whoever signed it, whether or not the session lives. Raises ParleyError `unauthenticated`."""
        ...
