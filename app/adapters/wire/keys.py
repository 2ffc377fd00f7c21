"""Keys, and the bots that have them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import AT, BEN, COMMAND
from app.adapters.wire.people import DisplayName, PersonJson, Username, person_json
from app.adapters.wire.values import Request, Shown, Time
from app.application.bots import MadeBot
from app.application.ports.keys import Key
from app.domain.scopes import Scope, ServiceScope
from app.domain.text import NAME_MAX, clean_name, rfc3339, rfc3339_or_none

_Name = Annotated[
    str,
    Field(strict=True, min_length=1, max_length=NAME_MAX),
    AfterValidator(lambda name: clean_name(name, NAME_MAX, "name")),
]
_ScopeWord = Literal["read", "write", "ask"]
_ServiceScopeWord = Literal["users", "chats", "messages", "feed", "tokens"]


class KeyJson(TypedDict):
    """Without itself."""

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: str
    expires_at: str | None
    last_used_at: str | None


def key_json(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": [scope for scope in (*Scope, *ServiceScope) if scope in key.scopes],
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339_or_none(key.expires_at),
        "last_used_at": rfc3339_or_none(key.last_used_at),
    }


class MadeKeyJson(KeyJson):
    """With itself: shown here, and never again."""

    key: str


def made_key_json(key: Key, secret: str) -> dict[str, Any]:
    return {**key_json(key), "key": secret}


class NewKey(Request):
    name: _Name
    scopes: Annotated[list[_ScopeWord], Field(min_length=1, max_length=3)]
    expires_at: Time | None = None


class NewServiceKey(Request):
    name: _Name
    scopes: Annotated[list[_ServiceScopeWord], Field(min_length=1, max_length=5)]
    expires_at: Time | None = None


class NewBot(Request):
    username: Username
    display_name: DisplayName


class MadeBotJson(TypedDict):
    """key: what the bot signs in with; shown here, and never again."""

    user: PersonJson
    key: str


def made_bot_json(made: MadeBot) -> dict[str, Any]:
    return {"user": person_json(made.account.person), "key": made.secret}


_KEY = {
    "id": COMMAND, "name": "my script", "prefix": "parley_u7TqXe", "scopes": ["read", "write"], "created_at": AT,
    "expires_at": None, "last_used_at": None,
}  # fmt: skip
_BOT = {"id": BEN, "username": "buildbot", "display_name": "Build", "kind": "bot"}
_EXPIRES = "2036-01-01T00:00:00.000Z"

BODIES = (
    Shown(KeyJson, _KEY),
    Shown(MadeKeyJson, _KEY | {"key": "parley_u7TqXe…"}),
    Shown(NewKey, {"name": "my script", "scopes": ["read", "write"], "expires_at": _EXPIRES}),
    Shown(NewServiceKey, {"name": "our backend", "scopes": ["users", "tokens"]}),
    Shown(NewBot, {"username": "buildbot", "display_name": "Build"}),
    Shown(MadeBotJson, {"user": _BOT, "key": "parley_u7TqXe…"}),
)
