"""Where traces go: OTLP over HTTP. Imported only where an endpoint is set."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Decision, ParentBased, Sampler, SamplingResult


class _NoLonelyCalls(Sampler):
    """A call to a server that nobody's request caused (the poll, a heartbeat) is no trace."""

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, kind: otel.SpanKind | None = None, *more: Any,
        **named: Any,
    ) -> SamplingResult:  # fmt: skip
        if kind is otel.SpanKind.CLIENT:
            return SamplingResult(Decision.DROP)
        return DEFAULT_ON.should_sample(parent_context, trace_id, name, kind, *more, **named)

    def get_description(self) -> str:
        return "roots but of lonely calls"


def start_tracing(endpoint: str, role: str, process_id: str) -> TracerProvider:
    """Export spans by OTLP over HTTP. Calls to PostgreSQL and Redis are seen by their instrumentations."""
    resource = Resource.create({"service.name": f"parley-{role}", "service.instance.id": process_id})
    provider = TracerProvider(sampler=ParentBased(_NoLonelyCalls()), resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    otel.set_tracer_provider(provider)
    AsyncPGInstrumentor().instrument()  # type: ignore[no-untyped-call]
    RedisInstrumentor().instrument()
    return provider


def trace_requests(app: FastAPI) -> None:
    """A span for each request, none for a socket's frames."""
    FastAPIInstrumentor.instrument_app(
        app, exclude_spans=["send", "receive"], excluded_urls="livez,readyz,metrics,v1/ws,static"
    )
