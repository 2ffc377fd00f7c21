"""All settings, read in one place. .env.example lists them; a test compares the two."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRET_MIN = 16
SILENCE_MARGIN_S = 5.0
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?", re.IGNORECASE)


class SettingsError(Exception):
    """The settings don't make a world; the message says which and why."""


class Settings(BaseSettings):
    """Names are the environment's. One world is embedded (nothing beside this process), the other is on servers."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", case_sensitive=False)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="where /metrics is served, there alone, with the probes; 0: on PORT"
    )
    data_dir: Path = Field(Path("data"), description="the embedded world's files, locked by one process")
    database_url: str = Field("", description="postgresql://… ; empty: a SQLite file in DATA_DIR")
    database_read_url: str = Field("", description="a replica for history, lists and search; empty: the primary")
    database_pool: int = Field(8, ge=2, le=100, description="connections of one process to the database")
    broker_url: str = Field("memory://", description="memory:// or amqp://…")
    redis_url: str = Field("", description="redis://… ; empty: in process")
    public_url: str = Field(
        "", description="under which people reach the service, for links: https://chat.example.org; empty: as they came"
    )
    registration: Literal["open", "invite", "closed"] = Field(
        "open", description="who may make an account: open (anybody), invite (by an operator's link), closed"
    )
    passwords: Literal["on", "off"] = Field("on", description="off: no local accounts, only other issuers' people")
    issuers: str = Field("", description="who else vouches for people: JSON by name, see docs/identity.md")
    oidc_issuer: str = Field("", description="one OpenID Connect provider, in short: its issuer")
    oidc_client_id: str = Field("", description="as which client people sign in there")
    oidc_client_secret: str = Field("", description="that client's secret; empty: a public one")
    smtp_url: str = Field("", description="smtp://user:password@host:587 or smtps://…; empty: no letters are sent")
    mail_from: str = Field("", description="whom letters come from")
    policies_dir: str = Field(
        "",
        description="a folder of policies and their schema, in place of policies/; a change in it holds at once",
    )
    jwt_secret: str = Field("", description="comma-separated: the first signs, all verify; empty: made in DATA_DIR")
    access_token_ttl_s: int = Field(900, ge=10, le=86_400, description="life of an access token, seconds")
    command_shards: int = Field(8, ge=1, le=256, description="stored at first start; see `python -m app shards`")
    command_lanes: int = Field(2, ge=1, le=256, description="counts at first start; see `python -m app lanes`")
    allowed_origins: str = Field("", description="comma-separated origins of browsers beside our own")
    web: Literal["on", "off"] = Field("on", description="whether / serves the web client: on, off")
    trusted_proxies: str = Field("", description="comma-separated addresses whose X-Forwarded-* count")
    openai_api_key: str = Field("", description="with it, or OPENAI_BASE_URL, a model answers; else the demo assistant")
    openai_base_url: str = Field("", description="any OpenAI-compatible API, for instance http://localhost:11434/v1")
    assistant_model: str = Field("gpt-4o-mini", description="the model's name, where a chat names none")
    assistant_silence_s: float = Field(170.0, gt=0, description="how long the model's server may say nothing, or load")
    assistant_answer_s: float = Field(900.0, gt=0, description="how long one answer may take in all")
    assistant_context_tokens: int = Field(
        16_000, ge=100, description="so many tokens of a chat are sent, as estimated; newest turns first"
    )
    assistant_max_tokens: int = Field(0, ge=0, description="how long an answer may be, told to the model; 0: not told")
    assistant_temperature: float = Field(-1.0, ge=-1, le=2, description="told to the model; -1: not told")
    assistant_titles: Literal["on", "off"] = Field(
        "on", description="on: a chat with an assistant is named behind its first answer, by a call of its own"
    )
    assistant_title_model: str = Field("", description="the model that names chats; empty: the chat's")
    assistant_summaries: Literal["on", "off"] = Field(
        "off", description="on: of a long chat a summary is made behind an answer, and sent with later questions"
    )
    assistant_done_ends: Literal["on", "off"] = Field(
        "off", description="on: the model's server ends a whole answer with [DONE] alone, without a finish reason"
    )
    providers: str = Field(
        "", description="more providers, and what is said of `default`: JSON by name, see docs/assistants.md"
    )
    assistant_consent: Literal["on", "off"] = Field(
        "off", description="on: a group's text goes to a provider outside only when one of its owners agreed"
    )
    assistant_quiet_s: float = Field(
        20.0, gt=0, description="an ambient assistant speaks when a group was silent for so long"
    )
    reply_no_progress_s: float = Field(175.0, gt=0, description="a reply without progress for so long has failed")
    unknown_command_s: float = Field(
        600.0,
        ge=0,
        le=43_200,
        description="a command that no worker knew for so long is refused; till then it waits for a newer one",
    )
    body_max: int = Field(8_000, ge=1, le=100_000, description="characters of a message")
    frame_max: int = Field(131_072, ge=1024, description="bytes of a frame to the server")
    group_members_max: int = Field(1_000, ge=2, description="members of a chat")
    sockets_per_user: int = Field(20, ge=1, description="one more closes the oldest")
    requests_per_s: int = Field(50, ge=1, description="requests of a user, with bursts of ten times as many")
    reads_per_s: int = Field(100, ge=1, description="reads of a user by REST, with bursts of ten times as many")
    rejections_per_min: int = Field(100, ge=1, description="rejected commands of a user, then rate_limited")
    chats_per_h: int = Field(100, ge=1, description="new chats of a user")
    added_by: Literal["everyone", "shared", "nobody"] = Field(
        "everyone", description="who may add people that chose nothing: everyone, shared (a chat), nobody"
    )
    open_questions_max: int = Field(
        100, ge=1, description="a person's questions that wait for their answers, then quota_exceeded"
    )
    quota_replies_per_hour: int = Field(0, ge=0, description="answers a person may ask for in an hour; 0: no quota")
    quota_replies_per_day: int = Field(0, ge=0, description="answers a person may ask for in a day (UTC); 0: no quota")
    quota_tokens_per_day: int = Field(
        0, ge=0, description="tokens that a person's answers may take in a day (UTC), sent and written; 0: no quota"
    )
    members_per_h: int = Field(10_000, ge=1, description="people that a user adds")
    heartbeat_s: int = Field(20, ge=1, description="seconds between pings of a socket")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    otel_exporter_otlp_endpoint: str = Field("", description="OTLP over HTTP; empty: no traces")
    otel_traces_sampler_arg: float = Field(1.0, ge=0, le=1, description="the share of traces that is kept")

    @property
    def embedded(self) -> bool:
        return self.broker_url == "memory://"

    @property
    def has_model(self) -> bool:
        """Else the demo assistant answers."""
        return bool(self.openai_api_key or self.openai_base_url)


def load_settings(**given: object) -> Settings:
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise SettingsError("; ".join(lines)) from None


def check_world(settings: Settings, role: str) -> None:
    """Half a world refuses to start and says why."""
    given = listed(settings.jwt_secret)
    if settings.jwt_secret and (not given or any(len(secret) < SECRET_MIN for secret in given)):
        raise SettingsError(f"JWT_SECRET: each secret takes {SECRET_MIN} characters or more")
    for origin in listed(settings.allowed_origins):
        if not _ORIGIN.fullmatch(origin):
            raise SettingsError(
                f"ALLOWED_ORIGINS: {origin} is no origin: http(s)://host or http(s)://host:port, no path"
            )
    if settings.public_url and not _ORIGIN.match(settings.public_url):
        raise SettingsError("PUBLIC_URL: http(s)://host, with a path where the service stands under one")
    if settings.smtp_url and not (settings.mail_from and settings.public_url):
        raise SettingsError("SMTP_URL asks for MAIL_FROM and PUBLIC_URL too: letters hold links")
    if settings.smtp_url and not settings.smtp_url.startswith(("smtp://", "smtps://")):
        raise SettingsError("SMTP_URL: smtp://… or smtps://…")
    for proxy in listed(settings.trusted_proxies):
        try:
            ipaddress.ip_network(proxy if proxy != "*" else "::/0", strict=False)
        except ValueError:
            raise SettingsError(f"TRUSTED_PROXIES: {proxy} is no address and no network") from None
    if settings.reply_no_progress_s < settings.assistant_silence_s + SILENCE_MARGIN_S:
        raise SettingsError(
            f"REPLY_NO_PROGRESS_S has to be {SILENCE_MARGIN_S:.0f} seconds above ASSISTANT_SILENCE_S, or who waits for a"
            " model that thinks is told that it failed"
        )
    if settings.embedded:
        if role not in ("all", "migrate"):
            raise SettingsError(f"the role {role} alone asks for BROKER_URL=amqp://…: alone it would talk to nobody")
        for name, value in (("REDIS_URL", settings.redis_url),):
            if value:
                raise SettingsError(f"{name} is set, but BROKER_URL is memory://: set BROKER_URL=amqp://… too")
        if settings.database_url.startswith("postgres"):
            raise SettingsError("DATABASE_URL is PostgreSQL, but BROKER_URL is memory://: set BROKER_URL=amqp://… too")
        return
    if not settings.broker_url.startswith(("amqp://", "amqps://")):
        raise SettingsError("BROKER_URL: memory:// or amqp://…")
    missing = []
    if not settings.database_url.startswith("postgres"):
        missing.append("DATABASE_URL=postgresql://…")
    if not settings.redis_url.startswith(("redis://", "rediss://", "unix://")):
        missing.append("REDIS_URL=redis://…")
    if not settings.jwt_secret:
        missing.append(f"JWT_SECRET ({SECRET_MIN} characters or more each)")
    if missing:
        raise SettingsError(f"BROKER_URL is amqp://…, which asks for {', '.join(missing)} too")


def listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
