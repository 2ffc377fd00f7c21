"""Whom answers come from: what PROVIDERS says beside OPENAI_BASE_URL, OPENAI_API_KEY and ASSISTANT_MODEL."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from app.application.ports.model import Price, Provider
from app.domain.ids import DEFAULT_PROVIDER
from app.infrastructure.settings import Settings, SettingsError

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_ONLY_ELSEWHERE = {"base_url": "OPENAI_BASE_URL", "key": "OPENAI_API_KEY", "model": "ASSISTANT_MODEL"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PriceSettings(_Strict):
    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class ProviderSettings(_Strict):
    """One of PROVIDERS. price: of a million tokens. concurrency: calls at once of one process, 0 for no bound. local: what is
    said stays with who runs the service. fallback: who is asked, where this one can't answer; fallback_model: by what model. rest_after: so many failures
    in a row, and it isn't asked for a while; 0: it always is."""

    base_url: str = ""
    key: str = ""
    model: str = ""
    models: tuple[str, ...] = Field((), strict=False)
    concurrency: int = Field(0, ge=0)
    price: PriceSettings | None = None
    local: bool = False
    done_ends: bool = False
    fallback: str = ""
    fallback_model: str = ""
    rest_after: int = Field(5, ge=0)


_PROVIDERS = TypeAdapter(dict[str, ProviderSettings])


def provider_settings(settings: Settings) -> dict[str, ProviderSettings]:
    """By name; `default` is always one of them. Raises SettingsError."""
    try:
        given = _PROVIDERS.validate_json(settings.providers) if settings.providers else {}
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join(("PROVIDERS", *filter(None, (".".join(map(str, first["loc"])),))))
        raise SettingsError(f"{where}: {first['msg']}") from None
    for name, one in given.items():
        if not _NAME.fullmatch(name):
            raise SettingsError(f"PROVIDERS: {name}: a name takes a-z, 0-9, _ . - and 64 characters at most")
        if name == DEFAULT_PROVIDER:
            for field, setting in _ONLY_ELSEWHERE.items():
                if getattr(one, field):
                    raise SettingsError(f"PROVIDERS: {name}.{field}: the setting {setting} says it")
        elif not one.base_url or not one.model:
            raise SettingsError(f"PROVIDERS: {name} takes a base_url and a model")
        if one.fallback and (one.fallback == name or one.fallback not in {*given, DEFAULT_PROVIDER}):
            raise SettingsError(f"PROVIDERS: {name}.fallback names no other provider: {one.fallback}")
    default = given.get(DEFAULT_PROVIDER, ProviderSettings())
    own = {
        "base_url": settings.openai_base_url,
        "key": settings.openai_api_key,
        "model": settings.assistant_model,
        "done_ends": settings.assistant_done_ends == "on" or default.done_ends,
    }
    return {**given, DEFAULT_PROVIDER: default.model_copy(update=own)}


def providers(settings: Settings) -> dict[str, Provider]:
    """As the application knows them. Raises SettingsError."""
    return {name: _provider(settings, name, one) for name, one in provider_settings(settings).items()}


def _provider(settings: Settings, name: str, one: ProviderSettings) -> Provider:
    is_demo = name == DEFAULT_PROVIDER and not settings.has_model
    return Provider(
        name=name,
        shown="demo" if is_demo else name,
        model="demo" if is_demo else one.model,
        models=one.models,
        concurrency=one.concurrency,
        price=Price(one.price.input, one.price.output) if one.price is not None else None,
        local=one.local or is_demo,
        fallback=one.fallback,
        fallback_model=one.fallback_model,
    )
