"""Use cases with somebody watching: each wraps one part of a message's journey from outside, in the order it is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from opentelemetry import trace as otel

from app.application.bounded import Bounded
from app.application.ports.bus import CommandBus, Delivery, Process
from app.application.ports.errors import OutcomeUnknown
from app.application.ports.held import Keep
from app.application.ports.jobs import Job
from app.application.ports.model import Delta, Finish, Model, ModelFailed, Piece, Prompt
from app.application.signals import Slice
from app.domain.command import Command
from app.domain.errors import Code
from app.domain.state import Decided
from app.domain.values import Usage
from app.infrastructure import telemetry, tracing

LINKS_MAX = 128


class ObservedBus:
    """Implements CommandBus. Stamps a command with its trace and time; its span ends when it is accepted."""

    def __init__(self, bus: CommandBus, traced: bool, clock: Callable[[], float] = time.time) -> None:
        """clock: which all processes share."""
        self._clock = clock
        self._bus = bus
        self._traced = traced

    def why_not(self) -> str | None:
        return self._bus.why_not()

    async def start(self, keep: Keep) -> None:
        await self._bus.start(keep)

    async def close(self) -> None:
        await self._bus.close()

    def submit(self, command: Command) -> asyncio.Future[None]:
        span, trace = None, ""
        if self._traced:
            what = {"parley.command": command.type, "parley.chat": command.chat_id}
            span = tracing.tracer().start_span(f"submit {command.type}", kind=otel.SpanKind.PRODUCER, attributes=what)
            trace = tracing.carried(otel.set_span_in_context(span))
        future = self._bus.submit(command.stamped(trace, self._clock()))
        future.add_done_callback(lambda done: _submitted(command.type, done, span))
        return future


def _submitted(type_: str, done: asyncio.Future[None], span: otel.Span | None) -> None:
    error = None if done.cancelled() else done.exception()
    if error is None:
        _count(telemetry.ACCEPTED, type_)
    else:
        code = Code.OUTCOME_UNKNOWN if isinstance(error, OutcomeUnknown) else Code.UNAVAILABLE
        telemetry.UNACCEPTED.labels(type_, code).inc()
    if span is not None:
        if error is not None:
            span.set_status(otel.StatusCode.ERROR, type(error).__name__)
        span.end()


def observed_process(process: Process, traced: bool, clock: Callable[[], float]) -> Process:
    """A batch, from taking it to its announcement. clock: which all processes share, as commands are stamped by it."""

    async def observed(deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        began, now = time.perf_counter(), clock()
        traces = [c.trace for d in deliveries for c in d.commands if c.trace] if traced else []
        if traces:
            with tracing.tracer().start_as_current_span(
                "decide batch",
                context=tracing.taken_up(traces[0]),
                kind=otel.SpanKind.CONSUMER,
                links=tracing.links_to(traces[1:LINKS_MAX]),
                attributes={"parley.commands": sum(len(d.commands) for d in deliveries)},
            ):
                left = await process(deliveries)
        else:
            left = await process(deliveries)
        done = [delivery for delivery in deliveries if delivery not in left]
        for delivery in done:
            if delivery.commands and delivery.commands[0].sent_at:
                telemetry.QUEUE_SECONDS.observe(max(0.0, now - delivery.commands[0].sent_at))
        if done:
            telemetry.BATCH_SECONDS.observe(time.perf_counter() - began)
            telemetry.BATCH.observe(sum(len(delivery.commands) for delivery in done))
        return left

    return observed


Announce = Callable[[Decided], Awaitable[None]]


def observed_announce(announce: Announce, traced: bool, clock: Callable[[], float]) -> Announce:
    """What was decided, and telling it. clock: as of `observed_process`."""

    async def observed(decided: Decided) -> None:
        now = clock()
        for result in decided.results:
            ended = "repeat" if result.repeat else (result.outcome.code or "committed")
            _count(telemetry.DECIDED, result.command.type, str(ended))
            if result.command.sent_at and not result.repeat:
                telemetry.COMMIT_SECONDS.observe(max(0.0, now - result.command.sent_at))
        if not traced:
            return await announce(decided)
        _show_decisions(decided, now)
        with tracing.tracer().start_as_current_span("announce"):
            await announce(decided)

    return observed


def _show_decisions(decided: Decided, now: float) -> None:
    """Each command's decision in its own trace, linked to the batch that it was made in."""
    batch = otel.Link(otel.get_current_span().get_span_context())
    for result in decided.results:
        if not result.command.trace:
            continue
        outcome = result.outcome
        what: dict[str, Any] = {"parley.outcome": "repeat" if result.repeat else outcome.code or "committed"}
        if outcome.seq is not None:
            what["parley.seq"] = outcome.seq
        context = tracing.taken_up(result.command.trace)
        end_ns = int(now * 1e9)
        start_ns = min(end_ns, int(result.command.sent_at * 1e9)) if result.command.sent_at else end_ns
        span = tracing.tracer().start_span("decided", context, links=[batch], attributes=what, start_time=start_ns)
        span.end(end_ns)


@contextmanager
def observed_delivery(clock: Callable[[], float], part: Slice) -> Iterator[None]:
    """A live slice on its way to the sockets of this process. clock: as of `observed_process`."""
    if part.trace:
        with tracing.tracer().start_as_current_span(
            "deliver", context=tracing.taken_up(part.trace), attributes={"parley.seq": part.first}
        ):
            yield
    else:
        yield
    if part.sent_at:
        telemetry.DELIVER_SECONDS.observe(max(0.0, clock() - part.sent_at))


@contextmanager
def observed_reply(job: Job) -> Iterator[None]:
    """The writing of one answer, in the trace of its question."""
    began = time.perf_counter()
    with tracing.tracer().start_as_current_span(
        "reply",
        context=tracing.taken_up(job.trace),
        attributes={"parley.chat": job.chat_id, "parley.message": job.message_id, "parley.attempt": job.attempt},
    ):
        yield
    telemetry.REPLY_SECONDS.observe(time.perf_counter() - began)


class ObservedModel:
    """Implements Model: how long until the first piece, how many tokens; never a text."""

    def __init__(self, model: Model) -> None:
        self._model = model

    async def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        began, first = time.perf_counter(), True
        span = tracing.tracer().start_span("model", kind=otel.SpanKind.CLIENT)
        try:
            async with aclosing(self._model.stream(prompt)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    if first and isinstance(piece, Delta):
                        first = False
                        telemetry.FIRST_TOKEN_SECONDS.observe(time.perf_counter() - began)
                        span.add_event("first token")
                    if isinstance(piece, Finish):
                        _count_tokens(piece.usage)
                    yield piece
        except ModelFailed as error:
            _count_tokens(error.usage)
            span.set_status(otel.StatusCode.ERROR, error.code)
            raise
        except Exception as error:
            span.set_status(otel.StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end()

    async def start(self, keep: Keep) -> None:
        await self._model.start(keep)

    async def close(self) -> None:
        await self._model.close()


def _count_tokens(usage: Usage | None) -> None:
    if usage is not None:
        telemetry.TOKENS.labels("prompt").inc(usage.prompt_tokens)
        telemetry.TOKENS.labels("completion").inc(usage.completion_tokens)


_BOUND_MAX = 1_000
_bound: Bounded[tuple[Any, ...], Any] = Bounded(_BOUND_MAX)


def _count(counter: Any, *labels: str) -> None:
    """Binding a counter's labels costs more than counting: bound once."""
    key = (counter, *labels)
    found = _bound.get(key)
    if found is None:
        found = _bound[key] = counter.labels(*labels)
    found.inc()
