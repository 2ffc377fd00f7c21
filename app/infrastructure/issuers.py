"""Who vouches for people beside us: what ISSUERS says, or OIDC_ISSUER in short."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.adapters.origins import is_loopback
from app.application.ports.issuers import Issuer
from app.infrastructure.settings import SECRET_MIN, Settings, SettingsError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_AUDIENCE = "parley"
_OIDC_CLAIMS = {"username": "preferred_username", "display_name": "name", "email": "email"}
_HOST_CLAIMS = {"username": "username", "display_name": "name", "picture": "picture"}
_SHORT = "oidc"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ClaimSettings(_Strict):
    username: str | None = None
    display_name: str | None = None
    email: str | None = None
    role: str | None = None
    picture: str | None = None


class IssuerSettings(_Strict):
    """One of ISSUERS. audience: that its access tokens are for us. people: `make`, or only those who are `known`. host: its
    subjects are the host's own ids of users. claims: which claim is which field. operator: the value of the role's claim that makes
    an operator. attributes: claims that policies may look at. jwks_url, jwks_file, secret: where keys come from, in place
    of what the issuer's own document says."""

    issuer: Annotated[str, Field(min_length=1)]
    name: str = ""
    client_id: str = ""
    client_secret: str = ""
    audience: str | list[str] = _AUDIENCE
    people: Literal["make", "known"] = "make"
    host: bool = False
    claims: ClaimSettings = ClaimSettings()
    operator: str = ""
    attributes: tuple[str, ...] = Field((), strict=False)
    jwks_url: str = ""
    jwks_file: str = ""
    secret: str = ""


_ISSUERS = TypeAdapter(dict[str, IssuerSettings])


def issuers(settings: Settings) -> list[Issuer]:
    """Raises SettingsError."""
    try:
        given = _ISSUERS.validate_json(settings.issuers) if settings.issuers else {}
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join(("ISSUERS", *filter(None, (".".join(map(str, first["loc"])),))))
        raise SettingsError(f"{where}: {first['msg']}") from None
    if settings.oidc_issuer:
        if not settings.oidc_client_id:
            raise SettingsError("OIDC_ISSUER asks for OIDC_CLIENT_ID too")
        given[_SHORT] = IssuerSettings(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
        )
    for name, one in given.items():
        _check(name, one)
    known = [one.issuer for one in given.values()]
    if len(known) != len(set(known)) or "parley" in known:
        raise SettingsError("ISSUERS: each has an issuer of its own, and `parley` is ours")
    if sum(one.host for one in given.values()) > 1:
        raise SettingsError("ISSUERS: one of them is the host, at most")
    return [_issuer(name, one) for name, one in given.items()]


def _check(name: str, one: IssuerSettings) -> None:
    if not _NAME.fullmatch(name):
        raise SettingsError(f"ISSUERS: {name}: a name takes a-z, 0-9, _ - and 32 characters at most")
    if sum(map(bool, (one.jwks_url, one.jwks_file, one.secret))) > 1:
        raise SettingsError(f"ISSUERS: {name}: one of jwks_url, jwks_file and secret")
    if one.secret and len(one.secret) < 2 * SECRET_MIN:
        raise SettingsError(f"ISSUERS: {name}.secret takes {2 * SECRET_MIN} characters or more")
    if one.jwks_file and not Path(one.jwks_file).is_file():
        raise SettingsError(f"ISSUERS: {name}.jwks_file: there is no {one.jwks_file}")
    has_own_keys = one.jwks_url or one.jwks_file or one.secret
    for url in filter(None, (one.jwks_url, "" if has_own_keys and not one.client_id else one.issuer)):
        if not _is_safe(url):
            raise SettingsError(f"ISSUERS: {name}: {url} has to be https://… (http only on this machine)")
    if one.client_id and has_own_keys:
        raise SettingsError(
            f"ISSUERS: {name}: who is signed in at says its keys by itself: no jwks_url, jwks_file, secret"
        )
    if one.operator and not one.claims.role:
        raise SettingsError(f"ISSUERS: {name}.operator asks for claims.role")


def _is_safe(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def _issuer(name: str, one: IssuerSettings) -> Issuer:
    said = {field: claim for field, claim in one.claims.model_dump().items() if claim is not None}
    claims = {**(_HOST_CLAIMS if one.host else _OIDC_CLAIMS), **said}
    return Issuer(
        id=name,
        name=one.name or name.capitalize(),
        issuer=one.issuer,
        audiences=(one.audience,) if isinstance(one.audience, str) else tuple(one.audience),
        host=one.host,
        makes_people=one.people == "make",
        claims={field: claim for field, claim in claims.items() if claim},
        operator=one.operator,
        attributes=one.attributes,
        client_id=one.client_id,
        client_secret=one.client_secret,
        jwks_url=one.jwks_url,
        jwks_file=one.jwks_file,
        secret=one.secret,
    )
