"""The command bus on RabbitMQ, from a door's side: envelopes published one after the other for each lane, confirmed.

What was unconfirmed on a connection that is lost ends as outcome_unknown and is never retried here, for it may have landed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError

from app.adapters.broker.collector import Budget, Collector, Waiting
from app.adapters.broker.envelope import EnvelopeCodec
from app.adapters.broker.rabbitmq.connection import (
    CONNECT_DEADLINE_S,
    LOST,
    RECONNECT_S,
    calls,
    close,
    closed_event,
    connect,
    declare,
    queue_name,
    refusal,
)
from app.application.background import Background
from app.application.lanes import Lanes
from app.application.ports.errors import OutcomeUnknown, Unavailable
from app.application.ports.held import Keep
from app.domain.command import Command

CONFIRM_DEADLINE_S = 2.0
PROBE_S = 2.0


class RabbitPublisher:
    """Implements CommandBus. One unconfirmed envelope for each lane, on a channel of its own."""

    def __init__(
        self,
        url: str,
        lanes: Lanes,
        codec: EnvelopeCodec,
        background: Background,
        *,
        on_envelope: Callable[[int], None] = lambda n: None,
        on_trouble: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """on_envelope: told how many commands each envelope holds. on_trouble: of errors of the broker, of which one may come
        each second."""
        self._on_trouble = on_trouble
        self._why = ""
        self._lost_at = monotonic()
        self._url = url
        self._lanes = lanes
        self._codec = codec
        self._on_envelope = on_envelope
        self._budget = Budget()
        self._collectors: list[Collector] = []
        self._connection: AbstractConnection | None = None
        self._channels: dict[int, AbstractChannel] = {}
        self._background = background

    def why_not(self) -> str | None:
        if self._why:
            return f"the broker takes nothing{self._why}"
        return None if self._connected() else "the broker can't be reached: nothing is accepted"

    def _connected(self) -> bool:
        return self._connection is not None and not self._connection.is_closed

    def submit(self, command: Command) -> asyncio.Future[None]:
        if not self._connected():
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(self._unavailable())
            return refused
        return self._collectors[self._lanes.of(command.chat_id)].add(command, self._codec.pack_command(command))

    def _unavailable(self) -> Unavailable:
        words = f"takes nothing{self._why}" if self._why else "can't be reached"
        return Unavailable(f"the broker {words}", away_s=monotonic() - self._lost_at)

    async def start(self, keep: Keep) -> None:
        self._collectors = [Collector(self._budget) for _ in range(self._lanes.count)]
        keep("publisher", self._run())

    async def close(self) -> None:
        """Its connection ends with what is kept."""

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected(), name="broker publisher connection")
            for lane in range(self._lanes.count):
                group.create_task(self._publish_lane(lane), name=f"publish {queue_name(self._lanes, lane)}")

    async def _keep_connected(self) -> None:
        while True:
            connection = None
            try:
                async with calls(CONNECT_DEADLINE_S):
                    connection = await connect(self._url, "parley publisher")
                    closed = closed_event(connection)
                    channel = await connection.channel()
                    await declare(channel, self._lanes)
                await close(channel)
            except Exception as error:
                reason = refusal(error)
                self._why = f": {reason}" if reason else ""
                self._on_trouble(error)
                await close(connection)
                await asyncio.sleep(RECONNECT_S)
                continue
            self._channels.clear()
            self._connection = connection
            self._why = ""
            try:
                while not closed.is_set():
                    with suppress(TimeoutError):
                        async with asyncio.timeout(PROBE_S):
                            await closed.wait()
                    if self._why and not closed.is_set():
                        await self._probe(connection)
            finally:
                self._connection = None
                self._lost_at = monotonic()
                await close(connection)
            for collector in self._collectors:
                collector.refuse_all(self._unavailable())

    async def _probe(self, connection: AbstractConnection) -> None:
        """Whether it still refuses, where nobody has anything to say: a message to nowhere asks for the same right."""
        channel = None
        try:
            async with calls(CONFIRM_DEADLINE_S):
                channel = await connection.channel(publisher_confirms=True)
                await channel.default_exchange.publish(aio_pika.Message(b""), "commands.check", mandatory=False)
            self._why = ""
        except Exception as error:
            self._on_trouble(error)
        await close(channel)

    async def _publish_lane(self, lane: int) -> None:
        collector = self._collectors[lane]
        while True:
            taken = await collector.next()
            try:
                ended = await self._publish(lane, taken)
            except Exception as error:
                self._on_trouble(error)
                self._drop(lane)
                ended = OutcomeUnknown("the broker did not confirm")
            collector.settle(taken, ended)

    async def _publish(self, lane: int, taken: list[Waiting]) -> Exception | None:
        """None when the broker has it; else what to tell those in the envelope."""
        self._on_envelope(len(taken))
        try:
            async with calls(CONFIRM_DEADLINE_S):
                channel = await self._channel(lane)
        except LOST as error:
            return self._refused(error)
        try:
            message = aio_pika.Message(
                self._codec.seal(lane, [waiting.packed for waiting in taken]),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            async with calls(CONFIRM_DEADLINE_S):
                await channel.default_exchange.publish(message, queue_name(self._lanes, lane), mandatory=True)
        except PublishError:
            return Unavailable("the lane has no queue")
        except (DeliveryError, *LOST) as error:
            self._drop(lane)
            if refusal(error) is not None:
                return self._refused(error)
            return OutcomeUnknown("the broker did not confirm")
        self._why = ""
        return None

    def _refused(self, error: BaseException) -> Unavailable:
        """It surely wasn't taken."""
        self._on_trouble(error)
        reason = refusal(error)
        self._why = f": {reason}" if reason else self._why
        return self._unavailable()

    async def _channel(self, lane: int) -> AbstractChannel:
        channel = self._channels.get(lane)
        if channel is not None and not channel.is_closed:
            return channel
        if self._connection is None:
            raise ConnectionError("not connected")
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._channels[lane] = channel
        return channel

    def _drop(self, lane: int) -> None:
        """What is unconfirmed on this channel may land later; the next envelope goes out on a new one."""
        channel = self._channels.pop(lane, None)
        self._background.create_task(close(channel))
