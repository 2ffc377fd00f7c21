"""Where traces go: OTLP over HTTP. Imported only where an endpoint is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Status
from opentelemetry.util.types import Attributes, AttributeValue

from app.infrastructure.settings import Settings

_ADDRESSES = ("http.url", "http.target", "url.full")


class _NoLonelyCalls(Sampler):
    """A call to a server that nobody's request caused (the poll, a heartbeat) is no trace. share: of the others, kept."""

    def __init__(self, share: float) -> None:
        self._kept = TraceIdRatioBased(share)

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, kind: otel.SpanKind | None = None, *more: Any,
        **named: Any,
    ) -> SamplingResult:  # fmt: skip
        if kind is otel.SpanKind.CLIENT:
            return SamplingResult(Decision.DROP)
        return self._kept.should_sample(parent_context, trace_id, name, kind, *more, **named)

    def get_description(self) -> str:
        return f"{self._kept.get_description()}, but no lonely calls"


class _Private(SpanExporter):
    """Nothing that a person said leaves with a span: no query of an address, no words of an exception."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_without_words(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _without_words(span: ReadableSpan) -> ReadableSpan:
    attributes = {
        name: value.partition("?")[0] if isinstance(value, str) and name in _ADDRESSES else value
        for name, value in (span.attributes or {}).items()
        if name != "url.query"
    }
    events = [Event(e.name, _type_alone(e.attributes), e.timestamp) for e in span.events]
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        events=events,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _type_alone(attributes: Attributes) -> dict[str, AttributeValue]:
    return {name: value for name, value in (attributes or {}).items() if name == "exception.type"}


def start_tracing(settings: Settings, role: str, process_id: str) -> TracerProvider:
    """Export spans by OTLP over HTTP. Calls to PostgreSQL and Redis are seen by their instrumentations."""
    resource = Resource.create({"service.name": f"parley-{role}", "service.instance.id": process_id})
    sampler = ParentBased(_NoLonelyCalls(settings.otel_traces_sampler_arg))
    provider = TracerProvider(sampler=sampler, resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(_Private(exporter)))
    otel.set_tracer_provider(provider)
    AsyncPGInstrumentor().instrument()  # type: ignore[no-untyped-call]
    RedisInstrumentor().instrument()
    return provider


def trace_requests(app: FastAPI) -> None:
    """A span for each request, none for a socket's frames."""
    FastAPIInstrumentor.instrument_app(
        app, exclude_spans=["send", "receive"], excluded_urls="livez,readyz,metrics,v1/ws,static"
    )
