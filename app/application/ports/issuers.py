"""Other issuers: who vouches for people beside us, by what tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Issuer:
    """As the settings say. id: its name in addresses. issuer: `iss` of its tokens. audiences: one of them has to be in a
    token's `aud`. host: the subject is the host's own id of the user (`external_id`). makes_people: who is seen for the
    first time becomes a person here. claims: which claim is which field (username, display_name, email, role,
    picture). operator: the value of the role's claim that makes an operator; "" for none. attributes: claims that policies may ask
    for. client_id: "" for one whose page nobody signs in at."""

    id: str
    name: str
    issuer: str
    audiences: tuple[str, ...]
    host: bool = False
    makes_people: bool = True
    claims: Mapping[str, str] = field(default_factory=dict)
    operator: str = ""
    attributes: tuple[str, ...] = ()
    client_id: str = ""
    client_secret: str = ""
    jwks_url: str = ""
    jwks_file: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a token says that is good. session: what the issuer calls the session it belongs to, or the token itself. until:
    monotonic seconds. issued_at: Unix seconds."""

    issuer: Issuer
    subject: str
    session: str
    until: float
    issued_at: float
    claims: Mapping[str, Any]


class IssuerTokens(Protocol):
    """What refuses raises ParleyError `unauthenticated`; where the issuer can't be asked and has to be, Unavailable."""

    @property
    def issuers(self) -> Mapping[str, Issuer]:
        """By id."""
        ...

    def is_theirs(self, token: str) -> bool:
        """Whether it says that it is one of theirs; not whether that is true."""
        ...

    async def access(self, token: str) -> Vouched:
        """An access token, or one that a host minted."""
        ...

    async def identity(self, token: str, nonce: str | None = None) -> Vouched:
        """An ID token for our client. nonce: that it has to hold."""
        ...

    async def logout(self, token: str) -> Vouched:
        """A logout token of the back channel. session: "" where all of the subject's are meant; subject: "" where only the
        session is named."""
        ...

    async def authorize_url(self, issuer: Issuer, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """The page where somebody signs in, and comes back with a code."""
        ...

    async def signed_in(self, issuer: Issuer, code: str, redirect_uri: str, verifier: str, nonce: str) -> Vouched:
        """By the code that somebody came back with: the ID token behind it, which holds this nonce, and what the issuer says
        beside it of who that is."""
        ...


@dataclass(frozen=True, slots=True)
class Known:
    """user_id: whom a subject means. signed_out_at: Unix seconds; what was issued before is good no more."""

    user_id: str
    signed_out_at: float = 0.0


class Identities(Protocol):
    """Each raises Transient."""

    async def find(self, issuer: str, subject: str) -> Known | None:
        """None where nobody was seen by it."""
        ...

    async def bind(self, issuer: str, subject: str, user_id: str) -> str:
        """For ever. Whom it means: somebody else where another process was faster."""
        ...

    async def vouch(self, session_id: str, user_id: str, issuer: str, issuer_session: str, used: bool) -> None:
        """Keep the session that this issuer speaks of; one that has ended stays over. used: by its own tokens, now: then it is
        one of those where somebody is signed in."""
        ...

    async def sign_out(self, issuer: str, subject: str, issuer_session: str) -> list[tuple[str, str]]:
        """End the session of that name, or all of the subject's where none is named. (session id, user id) of each."""
        ...

    async def follow(
        self, user_id: str, display_name: str | None, email: str | None, attributes: Mapping[str, object]
    ) -> bool:
        """What claims say now; None leaves it as it is, and attributes that aren't named stay. Of one that is erased nothing.
        Whether the name changed."""
        ...
