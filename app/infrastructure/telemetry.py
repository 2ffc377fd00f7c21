"""Logs and metrics. They wrap use cases from outside; no text, token or key ever gets in."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from opentelemetry import trace as otel
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_REPLY_SECONDS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 60, 180)
BATCH = Histogram(
    "parley_batch_commands", "Commands decided in one transaction", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
BATCH_SECONDS = Histogram(
    "parley_batch_seconds", "From taking a batch to its announcement", buckets=(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10)
)  # fmt: skip
ENVELOPE = Histogram(
    "parley_envelope_commands", "Commands published in one envelope", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
DECIDED = Counter("parley_commands_decided_total", "Commands by how they ended", ["type", "outcome"])
REFUSED = Counter("parley_envelopes_refused_total", "Envelopes that could not be verified or decoded", ["why"])
UNKNOWN = Counter(
    "parley_commands_unknown_total", "Commands of a newer version: left for who knows them, or refused", ["end"]
)
LANES = Gauge("parley_worker_lanes", "Lanes of this worker", ["state"])
SOCKETS = Gauge("parley_sockets", "Open sockets of this process")
BLOCKS = Gauge("parley_memory_blocks", "Blocks of memory that the interpreter's objects hold")
BLOCKS.set_function(sys.getallocatedblocks)
REPLIES = Counter("parley_replies_total", "Replies ended by this process", ["status"])
FORGED = Counter("parley_fan_out_forged_total", "Messages in Redis that none of our processes signed")
DROPS = Counter("parley_announcements_dropped_total", "Publishes that Redis did not take")
POLICIES = Gauge("parley_policies", "1 for the version of the policies that this process decides by", ["version"])
TROUBLE = Counter("parley_trouble_total", "Errors that were retried or survived", ["what"])
HEALED = Counter("parley_hub_healed_total", "What the hub healed: backfills, poll repairs, resets", ["what"])
REQUEST_SECONDS = Histogram(
    "parley_http_request_seconds", "Time to the answer", ["method", "route", "status"], buckets=_SECONDS
)
ACCEPTED = Counter("parley_commands_accepted_total", "Commands that are safe in the broker", ["type"])
UNACCEPTED = Counter("parley_commands_refused_total", "Commands that the broker did not take", ["type", "code"])
QUEUE_SECONDS = Histogram("parley_queue_wait_seconds", "From submitting a command to its batch", buckets=_SECONDS)
COMMIT_SECONDS = Histogram("parley_send_commit_seconds", "From submitting a command to its commit", buckets=_SECONDS)
DELIVER_SECONDS = Histogram(
    "parley_send_deliver_seconds", "From submitting a command to its event's way to the sockets here", buckets=_SECONDS
)
CLOSED = Counter("parley_sockets_closed_total", "Sockets that this process closed", ["code"])
POOL = Gauge("parley_database_connections", "Connections of this process to the database", ["state"])
PART = Gauge("parley_part_well", "Whether a part does what this process needs of it, as /readyz tells", ["part"])
BROKER = Gauge("parley_broker_connected", "Whether this process is connected to the broker", ["use"])
FIRST_TOKEN_SECONDS = Histogram(
    "parley_reply_first_token_seconds", "From the question to the first piece of its answer", buckets=_REPLY_SECONDS
)
REPLY_SECONDS = Histogram("parley_reply_seconds", "From claiming a reply to its end", buckets=_REPLY_SECONDS)
TURN_SECONDS = Histogram(
    "parley_socket_turn_seconds",
    "One turn of the loop on behalf of one socket's requests",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
)
TOKENS = Counter("parley_reply_tokens_total", "Tokens that the model's server counted", ["kind"])

for _why in ("signature", "shard", "form", "command"):
    REFUSED.labels(_why)
for _what in ("backfills", "poll_repairs", "resets"):
    HEALED.labels(_what)
for _end in ("left", "refused"):
    UNKNOWN.labels(_end)
for _status in ("complete", "stopped", "failed"):
    REPLIES.labels(_status)
for _kind in ("prompt", "completion"):
    TOKENS.labels(_kind)
TROUBLE.labels("raised")  # an increase is only seen of a series that was there before
for _code in (1012, 4401, 4413, 4429):
    CLOSED.labels(_code)

log = structlog.get_logger("parley")
_TOLD_EACH_S = 60.0


def configure_logs(level: str) -> None:
    """One JSON object a line on stderr, for a person's terminal in words."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    for name in (
        "aio_pika",
        "aiormq",
        "uvicorn",
        "uvicorn.error",
        "uvicorn.access",
        "asyncio",
        "httpx2",
        "openai",
        "alembic",
    ):
        logging.getLogger(name).setLevel(
            logging.CRITICAL if name in ("asyncio", "uvicorn.error", "aiormq") else logging.ERROR
        )
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _name_the_trace,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _name_the_trace(logger: Any, method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = otel.get_current_span().get_span_context()
    if context.is_valid:
        fields["trace_id"] = f"{context.trace_id:032x}"
        fields["span_id"] = f"{context.span_id:016x}"
    return fields


def trouble(what: str, error: BaseException) -> None:
    """Where an error was, and of what type: its words may hold what a client sent."""
    TROUBLE.labels(what).inc()
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}" if place else ""
    cause = type(error.__cause__).__name__ if error.__cause__ else ""
    log.warning("trouble", what=what, error=type(error).__name__, cause=cause, where=where)


@cache
def recurring(what: str) -> Callable[[BaseException], None]:
    """For errors that come again and again: each is counted, and there is a line at the first, then one a minute, however many
    tell of it."""
    told = -_TOLD_EACH_S

    def tell(error: BaseException) -> None:
        nonlocal told
        if time.monotonic() - told < _TOLD_EACH_S:
            TROUBLE.labels(what).inc()
            return
        told = time.monotonic()
        trouble(what, error)

    return tell


def recurring_of(what: str, error: BaseException) -> None:
    """The same, for who tells of several."""
    recurring(what)(error)


def envelope_refused(why: str) -> None:
    REFUSED.labels(why if why in ("signature", "shard") else "form").inc()


def command_unread(error: BaseException) -> None:
    """In an envelope of ours: it alone was dropped."""
    REFUSED.labels("command").inc()
    trouble("command", error)


def unknown_command(type_: str, given_up: bool) -> None:
    """A command that this version doesn't know: given back, or refused after it was left for long."""
    UNKNOWN.labels("refused" if given_up else "left").inc()
    log.warning("unknown command", type=type_[:64], given_up=given_up)


class MeasureHttp:
    """ASGI middleware: requests by route and status, and how long they took."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status, method = time.perf_counter(), 500, scope["method"]

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            REQUEST_SECONDS.labels(method, route, status).observe(time.perf_counter() - began)


def policies_hold(version: str) -> None:
    """From now on it is decided by these."""
    POLICIES.clear()
    POLICIES.labels(version).set(1)
    log.info("policies", version=version)
