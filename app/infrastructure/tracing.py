"""Traces: one for each message, from the socket or the REST call to the sockets that get it, and for each answer.

A trace travels in the command's envelope, in the announcement and in the reply's row. A batch decides many commands:
its span belongs to the first one's trace and links the others, each of which gets a span of its own beside.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


def tracer() -> otel.Tracer:
    return otel.get_tracer("parley")


def carried(context: Context | None = None) -> str:
    """The present trace as text; "" where there is none."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, context)
    return carrier.get("traceparent", "")


def taken_up(traceparent: str) -> Context:
    return _propagator.extract({"traceparent": traceparent}, Context())


def links_to(traceparents: Sequence[str]) -> list[otel.Link]:
    spans = [otel.get_current_span(taken_up(text)) for text in traceparents]
    return [otel.Link(span.get_span_context()) for span in spans]
