"""People, their accounts and sessions, and what operators see of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import ANNA, AT, BEN, COMMAND, SESSION
from app.adapters.wire.values import Request, Shown
from app.application.identity import Entrance, SignedIn
from app.application.ports.issuers import Issuer
from app.application.ports.people import Account, AuditEntry, LiveSession
from app.domain.text import NAME_MAX, check_text, clean_name, rfc3339, rfc3339_or_none
from app.domain.values import Person


class PersonJson(TypedDict):
    id: str
    username: str
    display_name: str
    kind: Literal["human", "assistant", "bot"]


def person_json(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "username": person.username,
        "display_name": person.display_name,
        "kind": person.kind,
    }


class UserJson(PersonJson):
    """Oneself."""

    role: Literal["user", "operator"]
    email: str | None
    preferences: dict[str, Any]


def user_json(account: Account) -> dict[str, Any]:
    return {
        **person_json(account.person),
        "role": account.role,
        "email": account.email,
        "preferences": account.preferences,
    }


class AccountJson(UserJson):
    """A person as operators see them. quotas: their own."""

    disabled: bool
    created_at: str
    quotas: dict[str, int]


def account_json(account: Account) -> dict[str, Any]:
    made = rfc3339_or_none(account.created_at)
    return {**user_json(account), "disabled": account.disabled, "created_at": made, "quotas": dict(account.quotas)}


class SessionJson(TypedDict):
    """current: the one that asks. last_used_at: of its last refresh. client: what the program called itself."""

    id: str
    created_at: str
    last_used_at: str | None
    client: str
    current: bool


def session_json(session: LiveSession, current_id: str) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": rfc3339(session.created_at),
        "last_used_at": rfc3339_or_none(session.last_used_at),
        "client": session.client,
        "current": session.id == current_id,
    }


class AuditJson(TypedDict):
    """What an operator did. actor_id: null at the command line."""

    id: str
    at: str
    actor_id: str | None
    act: str
    target_id: str | None
    details: dict[str, Any]


def audit_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": rfc3339(entry.at),
        "actor_id": entry.actor_id,
        "act": entry.act,
        "target_id": entry.target_id,
        "details": entry.details,
    }


class TokensJson(TypedDict):
    access_token: str
    token_type: Literal["bearer"]
    expires_in: int
    refresh_token: NotRequired[str]
    user: UserJson


def tokens_json(signed_in: SignedIn) -> dict[str, Any]:
    return {
        "user": user_json(signed_in.account),
        "access_token": signed_in.access_token,
        "token_type": "bearer",
        "expires_in": signed_in.expires_in,
        "refresh_token": signed_in.refresh_token,
    }


class TicketJson(TypedDict):
    ticket: str
    expires_in: int


def ticket_json(ticket: str, expires_in_s: int) -> dict[str, Any]:
    return {"ticket": ticket, "expires_in": expires_in_s}


Username = Annotated[
    str,
    Field(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$", description="capitals are lowered"),
]
Password = Annotated[str, Field(strict=True, min_length=10, max_length=256), AfterValidator(check_text)]
DisplayName = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=NAME_MAX),
    AfterValidator(lambda name: clean_name(name, NAME_MAX, "display_name")),
]


InvitationCode = Annotated[str, Field(strict=True, min_length=1, max_length=64), AfterValidator(check_text)]


class Registration(Request):
    username: Username
    password: Password
    display_name: DisplayName | None = None
    invitation: InvitationCode | None = None


Email = Annotated[
    str,
    Field(strict=True, max_length=254, pattern=r"^$|^[^\s@<>\x00-\x1f]+@[^\s@<>\x00-\x1f]+\.[^\s@<>\x00-\x1f]+$"),
    AfterValidator(check_text),
]


class ProfileChanges(Request):
    """email: where letters go; empty: nowhere."""

    display_name: DisplayName | None = None
    email: Email | None = None
    preferences: dict[str, Any] | None = None


class PasswordChange(Request):
    current_password: Annotated[str, Field(strict=True, max_length=256), AfterValidator(check_text)]
    new_password: Password


class Forgotten(Request):
    username: Annotated[str, Field(strict=True, min_length=1, max_length=64), AfterValidator(check_text)]


class PasswordReset(Request):
    code: Annotated[str, Field(strict=True, min_length=1, max_length=100), AfterValidator(check_text)]
    new_password: Password


class LinkJson(TypedDict):
    """A link that is good once."""

    url: str
    expires_at: str


def link_json(url: str, expires_at: datetime) -> dict[str, Any]:
    return {"url": url, "expires_at": rfc3339(expires_at)}


class ProviderJson(TypedDict):
    """Where one signs in beside here. start_url: where the browser goes, with `?return_to=` a path of ours."""

    id: str
    name: str
    start_url: str


class ProvidersJson(TypedDict):
    registration: Literal["open", "invite", "closed"]
    password: bool
    providers: list[ProviderJson]


def providers_json(entrance: Entrance, providers: Iterable[Issuer]) -> dict[str, Any]:
    return {
        "registration": entrance.registration if entrance.passwords else "closed",
        "password": entrance.passwords,
        "providers": [
            {"id": one.id, "name": one.name, "start_url": f"/v1/auth/providers/{one.id}/start"} for one in providers
        ],
    }


Quota = Annotated[int, Field(strict=True, ge=0, le=10**12)]


class Quotas(Request):
    """A person's own, in place of the settings'; 0: none; null: the settings' again."""

    replies_per_hour: Quota | None = None
    replies_per_day: Quota | None = None
    tokens_per_day: Quota | None = None


class AccountChanges(Request):
    quotas: Quotas | None = None
    disabled: Annotated[bool, Field(strict=True)] | None = None
    role: Literal["user", "operator"] | None = None


class PreferencesChanged(TypedDict):
    """To one's own sessions: the preferences as they are now, whole."""

    type: Literal["preferences.changed"]
    preferences: dict[str, Any]


class UserUpdated(TypedDict):
    """To everyone who shares a chat with them, and to their own sessions: apply it to what is shown of them."""

    type: Literal["user.updated"]
    user: PersonJson


PERSON = {"id": BEN, "username": "ben", "display_name": "Ben", "kind": "human"}
USER = {
    "id": ANNA, "username": "anna", "display_name": "Anna", "kind": "human", "role": "user", "email": None,
    "preferences": {"theme": "dark"},
}  # fmt: skip

PROVIDER = {"id": "company", "name": "Company", "start_url": "/v1/auth/providers/company/start"}

SIGNALS = (
    Shown(PreferencesChanged, {"preferences": {"theme": "dark"}}),
    Shown(UserUpdated, {"user": PERSON | {"display_name": "Ben B."}}),
)
BODIES = (
    Shown(
        Registration, {"username": "anna", "password": "correct horse battery", "display_name": "Anna"},
    ),
    Shown(ProfileChanges, {"display_name": "Anna B.", "preferences": {"theme": "dark"}}),
    Shown(
        PasswordChange, {"current_password": "correct horse battery", "new_password": "another horse battery"},
    ),
    Shown(AccountChanges, {"disabled": True}),
    Shown(Forgotten, {"username": "anna"}),
    Shown(PasswordReset, {"code": "u7Tq…", "new_password": "another horse battery"}),
    Shown(LinkJson, {"url": "https://chat.example.org/password#code=u7Tq…", "expires_at": AT}),
    Shown(ProviderJson, PROVIDER),
    Shown(ProvidersJson, {"registration": "open", "password": True, "providers": [PROVIDER]}),
    Shown(Quotas, {"replies_per_day": 20, "tokens_per_day": None}),
    Shown(UserJson, USER),
    Shown(PersonJson, PERSON),
    Shown(AccountJson, USER | {"disabled": False, "created_at": AT, "quotas": {"replies_per_day": 20}}),
    Shown(
        SessionJson,
        {"id": SESSION, "created_at": AT, "last_used_at": None, "client": "Firefox", "current": True},
    ),
    Shown(
        AuditJson,
        {
            "id": COMMAND, "at": AT, "actor_id": ANNA, "act": "user.changed", "target_id": BEN,
            "details": {"disabled": True},
        },
    ),
    Shown(
        TokensJson,
        {
            "access_token": "eyJhbGciOi…", "token_type": "bearer", "expires_in": 900, "refresh_token": "k3Jx…",
            "user": USER,
        },
    ),
    Shown(TicketJson, {"ticket": "q8Zt…", "expires_in": 30}),
)  # fmt: skip
