"""Logs, metrics and traces. They wrap use cases from outside; no text, token or key ever gets in."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.application.ports import Delivery
from app.domain.state import Decided

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
SHARDS = Gauge("parley_worker_shards", "Shards of this worker", ["state"])
SOCKETS = Gauge("parley_sockets", "Open sockets of this process")
REPLIES = Counter("parley_replies_total", "Replies ended by this process", ["status"])
DROPS = Counter("parley_announcements_dropped_total", "Publishes that Redis did not take")
TROUBLE = Counter("parley_trouble_total", "Errors that were retried or survived", ["what"])
HEALED = Gauge("parley_hub_healing", "What the hub healed since the start", ["what"])
REQUESTS = Counter("parley_http_requests_total", "HTTP requests", ["method", "route", "status"])
REQUEST_SECONDS = Histogram("parley_http_request_seconds", "Time to the answer", ["route"])

log = structlog.get_logger("parley")


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
        logging.getLogger(name).setLevel(logging.CRITICAL if name in ("asyncio", "uvicorn.error") else logging.ERROR)
    person = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer() if person else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def trouble(what: str, error: BaseException) -> None:
    """Where an error was, and of what type: its words may hold what a client sent."""
    TROUBLE.labels(what).inc()
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename.rpartition('/')[2]}:{place.tb_lineno}" if place else ""
    cause = type(error.__cause__).__name__ if error.__cause__ else ""
    log.warning("trouble", what=what, error=type(error).__name__, cause=cause, where=where)


def measured_process(
    process: Callable[[Sequence[Delivery]], Awaitable[None]],
) -> Callable[[Sequence[Delivery]], Awaitable[None]]:
    async def measured(deliveries: Sequence[Delivery]) -> None:
        began = time.perf_counter()
        await process(deliveries)
        BATCH_SECONDS.observe(time.perf_counter() - began)
        BATCH.observe(sum(len(delivery.commands) for delivery in deliveries))

    return measured


_counters: dict[tuple[str, str], Any] = {}


def measured_announce(announce: Callable[[Decided], Awaitable[None]]) -> Callable[[Decided], Awaitable[None]]:
    async def measured(decided: Decided) -> None:
        for result in decided.results:
            ended = "repeat" if result.repeat else (result.outcome.code or "committed")
            key = (result.command.type, str(ended))
            counter = _counters.get(key)
            if counter is None:
                counter = _counters[key] = DECIDED.labels(*key)
            counter.inc()
        await announce(decided)

    return measured


class MeasureHttp:
    """ASGI middleware: requests by route and status, and how long they took."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status = time.perf_counter(), 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            REQUESTS.labels(scope["method"], route, status).inc()
            REQUEST_SECONDS.labels(route).observe(time.perf_counter() - began)


def trace(app: Any, endpoint: str) -> None:
    """Spans of requests to an OTLP collector; none of a socket's frames."""
    from opentelemetry import trace as otel
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "parley"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    otel.set_tracer_provider(provider)
    FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"], excluded_urls="livez,readyz,metrics")
