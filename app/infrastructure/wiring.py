"""The one place where a word of the settings becomes an adapter. Plain constructors; the choice is logged."""

from __future__ import annotations

import fcntl
import os
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

import uuid_utils.compat as uuid

from app.adapters.assistant.demo import DemoModel
from app.adapters.broker.envelope import EnvelopeCodec
from app.adapters.broker.in_process import InProcessBus
from app.adapters.broker.rabbitmq import RabbitConsumer, RabbitPublisher
from app.adapters.fanout.in_process import InProcessFanOut, InProcessLiveTexts
from app.adapters.fanout.redis_pubsub import RedisFanOut, RedisLiveTexts
from app.adapters.identity.local import Argon2Passwords, JwtTokens
from app.adapters.limits import LimitSettings, UserLimits
from app.adapters.policy.cedar import CedarPolicies
from app.adapters.presence.in_process import InProcessOpenSockets
from app.adapters.presence.redis_sets import RedisOpenSockets
from app.adapters.shared_limits import SharedLimits
from app.adapters.store.accounts import SqlAccounts
from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.database import Database
from app.adapters.store.heal import PostgresHeal, SqliteHeal
from app.adapters.store.jobs import SqlJobs
from app.adapters.store.reading import SqlHistory, SqlTimeline
from app.adapters.wire import JsonCodec
from app.application.accounts import Identity
from app.application.announce import Announcer
from app.application.authorize import Pep, Reader
from app.application.background import Background
from app.application.deliver import Hub
from app.application.operators import Operators
from app.application.ports import CommandBus, FanOut, LiveTexts, Model
from app.application.process import Worker
from app.application.reply import AssistantWorker, Expirer
from app.application.services import DoorSettings, Services
from app.application.submit import Submitter
from app.domain.decide import Limits
from app.infrastructure import telemetry
from app.infrastructure.observed import ObservedBus, ObservedModel, observed_announce, observed_delivery, observed_reply
from app.infrastructure.settings import Settings, SettingsError, listed

POLICIES = Path(__file__).parents[2] / "policies"


def new_id() -> str:
    return str(uuid.uuid7())


@dataclass(slots=True)
class Bus:
    """How commands travel. consumer: None in the embedded world, where `local` decides what is submitted."""

    submit: CommandBus
    local: InProcessBus | None = None
    publisher: RabbitPublisher | None = None
    consumer: RabbitConsumer | None = None


@dataclass(slots=True)
class World:
    """The adapters of this process, by port."""

    settings: Settings
    process_id: str
    secrets: list[str]
    database: Database
    reader: Database | None
    bus: Bus
    fan_out: FanOut
    live: LiveTexts
    pep: Pep
    codec: JsonCodec
    background: Background
    lock: IO[str] | None


def lock_data_dir(folder: Path) -> IO[str]:
    """The embedded world's files belong to one process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = open(folder / "lock", "w")  # noqa: SIM115 - held until the process ends
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(f"DATA_DIR {folder} is in use by another process") from None
    return lock


def _secrets(settings: Settings) -> list[str]:
    if settings.jwt_secret:
        return list(listed(settings.jwt_secret))
    kept = settings.data_dir / "jwt_secret"
    if not kept.exists():
        with open(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    return [kept.read_text().strip()]


def make_database(settings: Settings) -> Database:
    url = settings.database_url or f"sqlite:///{settings.data_dir.resolve() / 'parley.db'}"
    return Database(url, pool_size=settings.database_pool)


def make_world(settings: Settings) -> World:
    lock = lock_data_dir(settings.data_dir) if settings.embedded else None
    keys = _secrets(settings)
    bus = _make_bus(settings, keys)
    fan_out, live = _make_fan_out(settings)
    policies = CedarPolicies(POLICIES)
    telemetry.log.info(
        "adapters",
        database="sqlite" if settings.embedded else "postgresql",
        broker="in process" if settings.embedded else "rabbitmq",
        fan_out="in process" if settings.embedded else "redis",
        assistant="openai" if settings.has_model else "demo",
        policies=policies.version,
    )
    reader = (
        Database(settings.database_read_url, pool_size=settings.database_pool) if settings.database_read_url else None
    )
    return World(
        settings=settings,
        process_id=new_id(),
        secrets=keys,
        database=make_database(settings),
        reader=reader,
        bus=bus,
        fan_out=fan_out,
        live=live,
        pep=Pep(policies),
        codec=JsonCodec(),
        background=Background(telemetry.trouble),
        lock=lock,
    )


def _make_bus(settings: Settings, keys: list[str]) -> Bus:
    traced = bool(settings.otel_exporter_otlp_endpoint)
    if settings.embedded:
        local = InProcessBus(settings.command_shards)
        return Bus(ObservedBus(local, traced), local=local)
    codec = EnvelopeCodec(keys)
    publisher = RabbitPublisher(
        settings.broker_url, settings.command_shards, codec, on_envelope=telemetry.ENVELOPE.observe
    )
    consumer = RabbitConsumer(
        settings.broker_url,
        settings.command_shards,
        codec,
        on_refused=lambda why: telemetry.REFUSED.labels(why if why in ("signature", "shard") else "form").inc(),
    )
    return Bus(ObservedBus(publisher, traced), publisher=publisher, consumer=consumer)


def _make_fan_out(settings: Settings) -> tuple[FanOut, LiveTexts]:
    if settings.embedded:
        local = InProcessFanOut()
        return local, InProcessLiveTexts(local)
    return RedisFanOut(settings.redis_url, on_drop=telemetry.DROPS.inc), RedisLiveTexts(settings.redis_url)


def _make_model(settings: Settings) -> Model:
    if settings.has_model:
        from app.adapters.assistant.openai import OpenAIModel  # a third of a second that other roles spare themselves

        return OpenAIModel(
            api_key=settings.openai_api_key or "none",
            base_url=settings.openai_base_url or None,
            model=settings.assistant_model,
            read_s=settings.assistant_silence_s,
        )
    return DemoModel()


def make_worker(world: World) -> Worker:
    settings = world.settings
    announcer = Announcer(world.fan_out, world.live, world.codec.event)
    return Worker(
        SqlCommandLog(world.database),
        world.pep.ask,
        observed_announce(announcer.announce, bool(settings.otel_exporter_otlp_endpoint)),
        new_id,
        settings.command_shards,
        Limits(settings.group_members_max),
        telemetry.trouble,
    )


def make_assistant(world: World) -> AssistantWorker:
    return AssistantWorker(
        holder=world.process_id,
        jobs=SqlJobs(world.database),
        live=world.live,
        model=ObservedModel(_make_model(world.settings)),
        bus=world.bus.submit,
        fan_out=world.fan_out,
        on_end=lambda status: telemetry.REPLIES.labels(status).inc(),
        trouble=telemetry.trouble,
        around=observed_reply,
    )


def make_expirer(world: World) -> Expirer:
    return Expirer(SqlJobs(world.database), world.bus.submit, world.settings.reply_no_progress_s)


@dataclass(slots=True)
class Gateway:
    """limits, sockets: what it shares with other gateways; None where it is alone."""

    services: Services
    limits: SharedLimits | None
    sockets: RedisOpenSockets | None


def make_gateway(world: World) -> Gateway:
    settings = world.settings
    history = SqlHistory(world.database, world.reader)
    timeline = SqlTimeline(world.database)
    accounts = SqlAccounts(world.database)
    limiter = UserLimits(
        LimitSettings(
            settings.requests_per_s, settings.rejections_per_min, settings.chats_per_h, settings.members_per_h
        )
    )
    hub = Hub(
        process_id=world.process_id,
        fan_out=world.fan_out,
        timeline=timeline,
        history=history,
        heal=SqliteHeal(world.database) if settings.embedded else PostgresHeal(world.database),
        live=world.live,
        codec=world.codec,
        group=world.background,
        on_rejected=limiter.rejected,
        around=observed_delivery,
    )
    sockets = RedisOpenSockets(settings.redis_url) if settings.redis_url else None
    tokens = JwtTokens(world.secrets, settings.access_token_ttl_s)
    identity = Identity(accounts, Argon2Passwords(), tokens, limiter, world.fan_out, new_id)
    services = Services(
        identity=identity,
        accounts=accounts,
        operators=Operators(accounts, identity, world.pep),
        submitter=Submitter(world.bus.submit, hub, history, world.codec, limiter),
        hub=hub,
        reader=Reader(world.pep, history),
        pep=world.pep,
        history=history,
        timeline=timeline,
        fan_out=world.fan_out,
        limiter=limiter,
        open_sockets=sockets or InProcessOpenSockets(),
        codec=world.codec,
        settings=DoorSettings(
            body_max=settings.body_max,
            frame_in_max=settings.frame_max,
            sockets_per_user=settings.sockets_per_user,
            heartbeat_s=settings.heartbeat_s,
            group_members_max=settings.group_members_max,
            allowed_origins=listed(settings.allowed_origins),
        ),
        cursor_keys=tuple(sha256(b"parley cursor\x00" + secret.encode()).digest() for secret in world.secrets),
        new_id=new_id,
        group=world.background,
        on_close=lambda code: telemetry.CLOSED.labels(code).inc(),
    )
    shared = SharedLimits(settings.redis_url, limiter) if settings.redis_url else None
    return Gateway(services, shared, sockets)
