"""The one place where a word of the settings becomes an adapter. Plain constructors; the choice is logged."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO

import uuid_utils.compat as uuid

from app.adapters.assistant.demo import DemoModel
from app.adapters.assistant.providers import Providers
from app.adapters.broker.envelope import EnvelopeCodec
from app.adapters.broker.in_process import InProcessBus, OneWorker
from app.adapters.broker.rabbitmq.consumer import RabbitConsumer
from app.adapters.broker.rabbitmq.publisher import RabbitPublisher
from app.adapters.fan_out.in_process import InProcessFanOut, InProcessLiveTexts
from app.adapters.fan_out.redis_pubsub import RedisFanOut, RedisLiveTexts
from app.adapters.identity.issuers import HttpIssuerTokens
from app.adapters.identity.local import Argon2Passwords, JwtTokens
from app.adapters.limits.counting import LimitSettings, UserLimits
from app.adapters.limits.redis_shared import SharedLimits
from app.adapters.open_sockets.in_process import InProcessOpenSockets
from app.adapters.open_sockets.redis_sets import RedisOpenSockets
from app.adapters.policy.cedar import CedarPolicies
from app.adapters.policy.reloading import ReloadingPolicies
from app.adapters.signing import Signer
from app.adapters.store.accounts import SqlAccounts
from app.adapters.store.address import BadAddress
from app.adapters.store.assistants import SqlAssistants, SqlPrompts
from app.adapters.store.codes import SqlCodes
from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.database import Database
from app.adapters.store.decisions import SqlDecisions
from app.adapters.store.external import SqlExternal
from app.adapters.store.heal import PostgresHeal, SqliteHeal
from app.adapters.store.history import SqlHistory
from app.adapters.store.identities import SqlIdentities
from app.adapters.store.invitations import SqlInvitations
from app.adapters.store.jobs import SqlJobs
from app.adapters.store.keys import SqlKeys
from app.adapters.store.reports import SqlReports
from app.adapters.store.timeline_reads import SqlTimeline
from app.adapters.store.word_index import SqlWordIndex
from app.adapters.store.workers import SqlWorkers
from app.adapters.wire.encoder import JsonCodec, ShownLimits
from app.application.ambient import Ambient
from app.application.announce import Announcer
from app.application.answers import Answers
from app.application.assistants import Assistants
from app.application.authorize import Pep, Reader
from app.application.background import Background
from app.application.bots import Bots
from app.application.chats import Chats
from app.application.decisions import Decisions
from app.application.explain import Explain
from app.application.hub.hub import Hub
from app.application.identity import Entrance, Identity
from app.application.importing import Importing
from app.application.invitations import Invitations
from app.application.keys import KeyRing
from app.application.lanes import Lanes
from app.application.members import Members
from app.application.messages import Messages
from app.application.operators import Operators
from app.application.other_issuers import OtherIssuers
from app.application.ports.bus import CommandBus, CommandSource, Workers
from app.application.ports.fan_out import FanOut, LiveTexts, OpenSockets
from app.application.ports.history import History
from app.application.ports.jobs import Jobs, Provenances
from app.application.ports.mail import Mailer
from app.application.ports.model import Model, Provider
from app.application.ports.people import Accounts, Passwords
from app.application.ports.store import CommandLog, Heal, Timeline, WordIndex
from app.application.process import Worker
from app.application.profiles import Profiles
from app.application.prompts import Prompts
from app.application.read_marks import ReadMarks
from app.application.recovery import Recovery
from app.application.reply import DRAIN_S, AssistantWorker, Expirer
from app.application.search import Indexer, MessageSearch
from app.application.server import Server
from app.application.sign_in import SignIn
from app.application.sockets import Sockets
from app.application.strangers import Strangers
from app.application.submit import Submitter
from app.application.typing_signal import TypingSignal
from app.application.use_cases import UseCases
from app.domain.fold import Limits
from app.domain.ids import DEFAULT_PROVIDER
from app.infrastructure import telemetry
from app.infrastructure.issuers import issuers
from app.infrastructure.observed import ObservedBus, ObservedModel, observed_announce, observed_delivery, observed_reply
from app.infrastructure.providers import ProviderSettings, provider_settings, providers
from app.infrastructure.settings import SECRET_MIN, Settings, SettingsError, listed

ANSWER_TOKENS = 1_000
"""Reserved for an answer whose length no setting bounds."""
POLICIES = Path(__file__).parents[2] / "policies"


def policies_folder(settings: Settings) -> Path:
    return Path(settings.policies_dir) if settings.policies_dir else POLICIES


def new_id() -> str:
    return str(uuid.uuid7())


@dataclass(slots=True)
class World:
    """The adapters of this process, by port. Who uses one that is Held starts it. lock: of the embedded world's folder."""

    settings: Settings
    process_id: str
    secrets: list[str]
    background: Background
    lanes: Lanes
    database: Database
    replica: Database | None
    log: CommandLog
    timeline: Timeline
    history: History
    heal: Heal
    words: WordIndex
    jobs: Jobs
    provenances: Provenances
    accounts: Accounts
    workers: Workers
    passwords: Passwords
    bus: CommandBus
    source: CommandSource
    fan_out: FanOut
    live: LiveTexts
    limiter: UserLimits
    open_sockets: OpenSockets
    pep: Pep
    policies: ReloadingPolicies
    decisions: Decisions
    codec: JsonCodec
    providers: Mapping[str, Provider]
    lock: IO[str] | None

    @property
    def traced(self) -> bool:
        return bool(self.settings.otel_exporter_otlp_endpoint)


def lock_data_dir(folder: Path) -> IO[str]:
    """The embedded world's files belong to one process, and one user of the machine."""
    os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(PermissionError):
            folder.chmod(0o700)
            for file in folder.glob("parley.db*"):  # of an older version, by whatever its umask was
                file.chmod(0o600)
        lock = open(folder / "lock", "w")  # noqa: SIM115 - held until the process ends
    except OSError as error:
        raise SettingsError(f"DATA_DIR {folder} can't be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(f"DATA_DIR {folder} is in use by another process") from None
    return lock


def _secrets(settings: Settings) -> list[str]:
    if settings.jwt_secret:
        return list(listed(settings.jwt_secret))
    kept = settings.data_dir / "jwt_secret"
    try:
        if not kept.exists():
            beside = kept.with_suffix(".new")  # whole, or not at all: a full disk leaves no empty secret
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(kept)
        secret = kept.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{kept} can't be used: {error.strerror}") from None
    if len(secret) < SECRET_MIN:
        raise SettingsError(f"{kept} holds none: delete it, and all sign in anew, or restore it")
    return [secret]


def make_database(settings: Settings) -> Database:
    url = settings.database_url or f"sqlite:///{settings.data_dir.resolve() / 'parley.db'}"
    return _database(url, "DATABASE_URL", settings)


def _database(url: str, name: str, settings: Settings) -> Database:
    try:
        return Database(url, pool_size=settings.database_pool)
    except BadAddress as error:
        raise SettingsError(f"{name}: {error}") from None


def make_world(settings: Settings) -> World:
    lock = lock_data_dir(settings.data_dir) if settings.embedded else None
    keys = _secrets(settings)
    background = Background(telemetry.trouble)
    lanes = Lanes(settings.command_shards, settings.command_lanes)
    bus, source = _make_bus(settings, keys, lanes, background)
    fan_out, live = _make_fan_out(settings, keys)
    policies = ReloadingPolicies(policies_folder(settings), telemetry.trouble)
    pep = Pep(policies)
    telemetry.policies_hold(policies.version)

    def change(version: str) -> None:
        pep.forget()
        telemetry.policies_hold(version)

    policies.on_change = change
    telemetry.log.info(
        "adapters",
        database="sqlite" if settings.embedded else "postgresql",
        broker="in process" if settings.embedded else "rabbitmq",
        fan_out="in process" if settings.embedded else "redis",
        assistant="openai" if settings.has_model else "demo",
        policies=policies.version,
    )
    database = make_database(settings)
    url = settings.database_read_url
    replica = _database(url, "DATABASE_READ_URL", settings) if url else None
    limits = LimitSettings(
        settings.requests_per_s,
        settings.rejections_per_min,
        settings.chats_per_h,
        settings.members_per_h,
        settings.reads_per_s,
    )
    return World(
        settings=settings,
        process_id=new_id(),
        secrets=keys,
        background=background,
        lanes=lanes,
        database=database,
        replica=replica,
        log=SqlCommandLog(database),
        timeline=SqlTimeline(database),
        history=SqlHistory(database, replica),
        heal=SqliteHeal(database) if settings.embedded else PostgresHeal(database),
        words=SqlWordIndex(database),
        jobs=(jobs := SqlJobs(database, settings.assistant_summaries == "on")),
        provenances=jobs,
        accounts=SqlAccounts(database),
        workers=OneWorker() if settings.embedded else SqlWorkers(database),
        passwords=Argon2Passwords(),
        bus=ObservedBus(bus, bool(settings.otel_exporter_otlp_endpoint), database.clock),
        source=source,
        fan_out=fan_out,
        live=live,
        limiter=UserLimits(limits)
        if settings.embedded
        else SharedLimits(settings.redis_url, limits, database.clock, telemetry.recurring("redis")),
        open_sockets=InProcessOpenSockets()
        if settings.embedded
        else RedisOpenSockets(settings.redis_url, database.clock, telemetry.recurring("redis")),
        pep=pep,
        policies=policies,
        decisions=Decisions(pep.ask, SqlDecisions(database), telemetry.trouble),
        codec=JsonCodec(
            ShownLimits(
                settings.body_max,
                settings.frame_max,
                settings.group_members_max,
                settings.sockets_per_user,
                settings.heartbeat_s,
            )
        ),
        providers=providers(settings),
        lock=lock,
    )


def _make_bus(
    settings: Settings, keys: list[str], lanes: Lanes, background: Background
) -> tuple[CommandBus, CommandSource]:
    if settings.embedded:
        local = InProcessBus(settings.command_shards)
        return local, local
    url, codec = settings.broker_url, EnvelopeCodec(keys, telemetry.command_unread)
    publisher = RabbitPublisher(
        url, lanes, codec, background, on_envelope=telemetry.ENVELOPE.observe, on_trouble=telemetry.recurring("broker")
    )
    return publisher, RabbitConsumer(
        url, lanes, codec, background, on_refused=telemetry.envelope_refused,
        on_newer=lambda: telemetry.unknown_command("an envelope", False), on_trouble=telemetry.recurring("broker"),
    )  # fmt: skip


def _make_fan_out(settings: Settings, keys: list[str]) -> tuple[FanOut, LiveTexts]:
    if settings.embedded:
        local = InProcessFanOut()
        return local, InProcessLiveTexts(local)
    signer = Signer(keys, "fan-out")
    fan_out = RedisFanOut(
        settings.redis_url,
        signer,
        on_drop=telemetry.DROPS.inc,
        on_forged=telemetry.FORGED.inc,
        on_trouble=telemetry.recurring("redis"),
    )
    return fan_out, RedisLiveTexts(settings.redis_url, signer, on_trouble=telemetry.recurring("redis"))


def make_model(settings: Settings) -> Model:
    given = provider_settings(settings)
    models = {name: _make_model(settings, name, one) for name, one in given.items()}
    return ObservedModel(Providers(models, {name: one.rest_after for name, one in given.items()}))


def _make_model(settings: Settings, name: str, one: ProviderSettings) -> Model:
    if name == DEFAULT_PROVIDER and not settings.has_model:
        return DemoModel()
    from app.adapters.assistant.openai import OpenAIModel  # a third of a second that other roles spare themselves

    return OpenAIModel(
        api_key=one.key or "none",
        base_url=one.base_url or None,
        model=one.model,
        silence_s=settings.assistant_silence_s,
        done_ends=one.done_ends,
        max_tokens=settings.assistant_max_tokens or None,
        temperature=settings.assistant_temperature if settings.assistant_temperature >= 0 else None,
    )


def _limits(settings: Settings, local_providers: frozenset[str]) -> Limits:
    return Limits(
        settings.group_members_max,
        settings.open_questions_max,
        settings.added_by,
        settings.quota_replies_per_hour,
        settings.quota_replies_per_day,
        settings.quota_tokens_per_day,
        settings.assistant_max_tokens or ANSWER_TOKENS,
        settings.assistant_quiet_s,
        settings.assistant_consent == "on",
        local_providers,
    )


def make_importing(settings: Settings, database: Database, actor_id: str) -> Importing:
    ask = Pep(CedarPolicies(policies_folder(settings))).ask
    log = SqlCommandLog(database)
    return Importing(
        SqlExternal(database), log, ask, new_id, settings.command_shards, _limits(settings, frozenset()), actor_id
    )


def make_worker(world: World) -> Worker:
    settings = world.settings
    announcer = Announcer(
        world.fan_out, world.live, world.codec.event, world.codec.assistant_silent, world.codec.reply_queued
    )
    return Worker(
        world.log,
        world.decisions.ask,
        observed_announce(announcer.announce, world.traced, world.database.clock),
        new_id,
        settings.command_shards,
        _limits(settings, frozenset(name for name, one in world.providers.items() if one.local)),
        settings.unknown_command_s,
        telemetry.trouble,
        telemetry.unknown_command,
        lambda: bool(world.pep.attributes),
        world.decisions.begin,
    )


def make_assistant(world: World, model: Model) -> AssistantWorker:
    return AssistantWorker(
        holder=world.process_id,
        jobs=world.jobs,
        live=world.live,
        model=model,
        bus=world.bus,
        fan_out=world.fan_out,
        codec=world.codec,
        providers=world.providers,
        answer_s=world.settings.assistant_answer_s,
        patience_s=world.settings.assistant_silence_s,
        context_tokens=world.settings.assistant_context_tokens,
        consent=world.settings.assistant_consent == "on",
        titles=world.settings.assistant_titles == "on",
        title_model=world.settings.assistant_title_model or None,
        # In one process nobody else would go on with a reply that is given back, and its restart does.
        drain_s=0.0 if world.settings.embedded else DRAIN_S,
        on_end=lambda status: telemetry.REPLIES.labels(status).inc(),
        trouble=telemetry.recurring_of,
        watch=observed_reply,
    )


def make_indexer(world: World) -> Indexer:
    return Indexer(world.words, telemetry.recurring_of)


def make_expirer(world: World) -> Expirer:
    return Expirer(world.jobs, world.bus, world.settings.reply_no_progress_s, trouble=telemetry.recurring_of)


def make_ambient(world: World) -> Ambient:
    return Ambient(world.jobs, world.bus, world.settings.assistant_quiet_s, trouble=telemetry.recurring_of)


def make_use_cases(world: World) -> UseCases:
    history, limiter, pep, settings = world.history, world.limiter, world.pep, world.settings
    hub = Hub(
        process_id=world.process_id,
        fan_out=world.fan_out,
        timeline=world.timeline,
        history=history,
        heal=world.heal,
        live=world.live,
        codec=world.codec,
        background=world.background,
        on_rejected=limiter.rejected,
        watch=partial(observed_delivery, world.database.clock),
    )
    reader = Reader(pep, history)
    profiles = Profiles(world.accounts, world.timeline, world.fan_out, world.codec)
    keys = KeyRing(SqlKeys(world.database), world.accounts, world.fan_out, pep, new_id)
    kept_invitations, codes = SqlInvitations(world.database), SqlCodes(world.database)
    issuer_tokens = HttpIssuerTokens(issuers(settings), world.background)
    others = OtherIssuers(
        issuer_tokens, SqlIdentities(world.database), world.accounts, new_id, profiles.tell_all
    )  # fmt: skip
    identity = Identity(
        world.accounts,
        world.passwords,
        JwtTokens(world.secrets, settings.access_token_ttl_s),
        limiter,
        keys,
        new_id,
        kept_invitations,
        Entrance(settings.registration, settings.passwords == "on"),
        others,
    )
    submitter = Submitter(world.bus, hub, history, world.codec, limiter, new_id, settings.body_max)
    chats = Chats(submitter, reader, history, new_id, settings.group_members_max, world.fan_out, world.codec)
    return UseCases(
        identity=identity,
        sign_in=SignIn(issuer_tokens, others, identity, world.accounts, codes, _keys_for(world, "sign-in")),
        keys=keys,
        bots=Bots(world.accounts, keys, pep, new_id),
        recovery=Recovery(
            codes, world.accounts, identity, pep, make_mailer(settings), world.background, telemetry.trouble
        ),
        invitations=Invitations(kept_invitations, world.accounts, pep, reader, submitter, history, chats, new_id),
        profiles=profiles,
        assistants=Assistants(
            SqlAssistants(world.database), world.accounts, pep, profiles, world.fan_out, new_id, world.providers
        ),
        prompts=Prompts(SqlPrompts(world.database), world.accounts, pep, new_id),
        operators=Operators(
            world.accounts, identity, pep, submitter, reader, history, SqlReports(world.database), new_id
        ),
        submitter=submitter,
        server=Server(
            SqlExternal(world.database),
            world.accounts,
            identity,
            profiles,
            submitter,
            history,
            world.codec,
            pep,
            new_id,
        ),
        chats=chats,
        members=Members(submitter, reader, history),
        messages=Messages(submitter, reader, history, world.timeline, world.codec),
        answers=Answers(
            pep,
            reader,
            history,
            world.provenances,
            world.accounts,
            {
                "replies_per_hour": settings.quota_replies_per_hour,
                "replies_per_day": settings.quota_replies_per_day,
                "tokens_per_day": settings.quota_tokens_per_day,
            },
        ),
        search=MessageSearch(reader, pep, history),
        read_marks=ReadMarks(reader, history, world.fan_out, world.codec),
        typing=TypingSignal(pep, history, world.fan_out, world.codec, world.background),
        explain=Explain(reader, pep, history),
        sockets=Sockets(
            hub, identity, world.accounts, world.open_sockets, world.fan_out, new_id, settings.sockets_per_user
        ),
        hub=hub,
        limiter=limiter,
        strangers=Strangers(limiter),
        background=world.background,
    )


def cursor_keys(world: World) -> list[bytes]:
    """The first signs lists' cursors, all verify."""
    return _keys_for(world, "cursor")


def _keys_for(world: World, purpose: str) -> list[bytes]:
    return [sha256(f"parley {purpose}\x00{secret}".encode()).digest() for secret in world.secrets]


def make_mailer(settings: Settings) -> Mailer | None:
    if not settings.smtp_url:
        return None
    from app.adapters.mail.smtp import SmtpMailer

    return SmtpMailer(settings.smtp_url, settings.mail_from)
