"""The command bus on RabbitMQ, from a worker's side: one active consumer for each lane, acks by envelope, last of all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from app.adapters.broker.collector import BYTES_MAX, COMMANDS_MAX
from app.adapters.broker.envelope import BadEnvelope, EnvelopeCodec, NewerEnvelope
from app.adapters.broker.rabbitmq.connection import (
    CLOSE_DEADLINE_S,
    CONNECT_DEADLINE_S,
    LOST,
    QUEUE_ARGUMENTS,
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
from app.application.ports.bus import DeadLetter, Delivery, Process
from app.application.ports.held import NothingHeld

PREFETCH = 20
_STAYS_OFF_S = 5.0
"""From a lane that holds what only a newer version knows."""


@dataclass(slots=True)
class _Lane:
    """One lane's subscription. active: something was delivered to us since it began, so we are its consumer."""

    channel: AbstractChannel
    deliveries: deque[AbstractIncomingMessage] = field(default_factory=deque)
    active: bool = False
    leaving: bool = False


class RabbitConsumer(NothingHeld):
    """Implements CommandSource: takes what all its lanes deliver into one batch after another, in order, and acks last.

    Every worker waits at every lane, so that a dead one's lanes go on at once; which of them it should hold is
    told by `assign`. A lane is given back by finishing the batch and closing its channel, never by cancelling. Its
    connection lasts as long as `consume`.
    """

    def __init__(
        self,
        url: str,
        lanes: Lanes,
        codec: EnvelopeCodec,
        background: Background,
        *,
        on_refused: Callable[[str], None] = lambda why: None,
        on_newer: Callable[[], None] = lambda: None,
        on_trouble: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        """on_refused: told why an envelope could not be verified or decoded. on_newer: told of each that only a newer
        version knows, and that is left for it. on_trouble: of errors of the broker, of which one may come each second."""
        self._on_trouble = on_trouble
        self._why = ""
        self._url = url
        self._lanes = lanes
        self._codec = codec
        self._on_refused = on_refused
        self._on_newer = on_newer
        self._mine: set[int] | None = None
        self._held: dict[int, _Lane] = {}
        self._stay_off: dict[int, float] = {}
        self._arrived = asyncio.Event()
        self._between = asyncio.Lock()
        self._draining = False
        self._reassigned = asyncio.Event()
        self._connected = False
        self._closed = asyncio.Event()
        self._background = background

    def why_not(self) -> str | None:
        if self._why:
            return f"the broker gives nothing{self._why}"
        return None if self._connected else "the broker can't be reached: nothing is decided"

    def assign(self, mine: set[int]) -> None:
        """The lanes that this worker should hold now, of all that live."""
        if mine != self._mine:
            self._mine = mine
            self._reassigned.set()

    def active(self) -> set[int]:
        return {lane for lane, held in self._held.items() if held.active and not held.leaving}

    async def drain(self) -> None:
        """Finish the batch, give all lanes back."""
        self._draining = True
        async with self._between:
            for lane in list(self._held):
                await self._leave(lane)

    async def consume(self, process: Process) -> None:
        while not self._draining:
            try:
                async with calls(CONNECT_DEADLINE_S):
                    connection = await connect(self._url, "parley consumer")
                    self._closed = closed_event(connection)
            except Exception as error:
                self._met(error)
                await asyncio.sleep(RECONNECT_S)
                continue
            tasks: list[asyncio.Task[Any]] = [
                asyncio.create_task(self._subscribe(connection), name="consumer subscriptions"),
                asyncio.create_task(self._batches(process), name="consumer batches"),
                asyncio.create_task(self._closed.wait(), name="consumer connection"),
            ]
            self._connected = True
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._connected = False
                # The batch that is under way is committed or not, whatever becomes of the connection: it ends.
                async with self._between:
                    for task in tasks:
                        task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self._held.clear()
                await close(connection)
            for task in done:
                failure = task.exception() if not task.cancelled() else None
                if failure is not None:  # what is unacked comes again, whoever raised
                    self._met(failure)
            if not self._draining:
                await asyncio.sleep(RECONNECT_S)

    def _met(self, error: BaseException) -> None:
        self._on_trouble(error)
        reason = refusal(error)
        self._why = f": {reason}" if reason else ""

    # Subscriptions

    async def _subscribe(self, connection: AbstractConnection) -> None:
        async with calls(CONNECT_DEADLINE_S):
            channel = await connection.channel()
            await declare(channel, self._lanes)
        await close(channel)
        self._why = ""
        loop = asyncio.get_running_loop()
        while not self._draining:
            mine = set(range(self._lanes.count)) if self._mine is None else set(self._mine)
            self._reassigned.clear()
            for lane in range(self._lanes.count):
                held = self._held.get(lane)
                if held is not None and held.channel.is_closed:
                    del self._held[lane]
                elif held is not None and lane not in mine and held.active:
                    async with self._between:
                        await self._leave(lane)
                    self._stay_off[lane] = loop.time() + 1.0
            for lane in range(self._lanes.count):
                if not self._draining and lane not in self._held and self._stay_off.get(lane, 0) <= loop.time():
                    async with calls(CONNECT_DEADLINE_S):
                        await self._join(connection, lane)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._reassigned.wait()

    async def _join(self, connection: AbstractConnection, lane: int) -> None:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.declare_queue(queue_name(self._lanes, lane), durable=True, arguments=QUEUE_ARGUMENTS)
        held = _Lane(channel)
        self._held[lane] = held

        async def arrived(message: AbstractIncomingMessage) -> None:
            # Tasks for deliveries start in order and nothing is awaited here: so is the deque.
            held.active = True
            held.deliveries.append(message)
            self._arrived.set()

        await queue.consume(arrived)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda *_: self._background.create_task(self._leave_soon(lane)))

    async def _leave(self, lane: int) -> None:
        """Called between batches. What was delivered and no transaction holds is thrown away with the channel."""
        held = self._held.pop(lane, None)
        if held is None:
            return
        held.leaving = True
        held.deliveries.clear()
        if not await close(held.channel):
            self._give_up()

    # Batches

    async def _batches(self, process: Process) -> None:
        while True:
            async with self._between:
                taken = self._take()
                if taken:
                    left = await process([delivery for _, delivery in taken])
                    await self._ack(message for message, delivery in taken if delivery not in left)
                    for lane in {delivery.lane for delivery in left}:
                        self._stay_off[lane] = asyncio.get_running_loop().time() + _STAYS_OFF_S
                        await self._leave(lane)
            if not taken:
                self._arrived.clear()
                if not any(held.deliveries for held in self._held.values()):
                    await self._arrived.wait()

    def _take(self) -> list[tuple[AbstractIncomingMessage, Delivery]]:
        """Waiting envelopes of all lanes, in order within each, up to the size of a batch."""
        taken: list[tuple[AbstractIncomingMessage, Delivery]] = []
        commands = size = 0
        for lane, held in list(self._held.items()):
            if held.leaving or held.channel.is_closed:
                held.deliveries.clear()  # delivered anew, to whoever is active now
            while held.deliveries and commands < COMMANDS_MAX and size < BYTES_MAX:
                message = held.deliveries.popleft()
                delivery = self._open(lane, held, message)
                if delivery is None:
                    break
                taken.append((message, delivery))
                commands += len(delivery.commands)
                size += len(message.body)
        return taken

    def _open(self, lane: int, held: _Lane, message: AbstractIncomingMessage) -> Delivery | None:
        """What can't be verified or decoded is counted and acked, empty; what we had signed is kept. None: the lane must be given back."""
        headers = message.headers or {}
        counts = [headers.get(name) for name in ("x-delivery-count", "x-acquired-count")]
        seen = max(count if isinstance(count, int) else 0 for count in counts)
        try:
            told_lane, commands, dead = self._codec.open(message.body)
            if told_lane != lane or any(self._lanes.of(c.chat_id) != lane for c in commands):
                raise BadEnvelope("shard", signed=True)
        except NewerEnvelope:
            self._on_newer()
            held.deliveries.clear()
            held.leaving = True
            self._stay_off[lane] = asyncio.get_running_loop().time() + _STAYS_OFF_S
            self._background.create_task(self._leave_soon(lane))
            return None
        except (BadEnvelope, ValueError, AttributeError) as error:
            self._on_refused(str(error))
            signed = not isinstance(error, BadEnvelope) or error.signed
            return Delivery(lane, [], dead=[DeadLetter(f"an envelope: {error}", message.body)] if signed else [])
        return Delivery(lane, commands, seen, dead)

    async def _leave_soon(self, lane: int) -> None:
        async with self._between:
            await self._leave(lane)

    async def _ack(self, messages: Iterable[AbstractIncomingMessage]) -> None:
        try:
            async with calls(CLOSE_DEADLINE_S):
                for message in messages:
                    await message.ack()
        except LOST:
            self._give_up()

    def _give_up(self) -> None:
        """What we hold unacked, or whether we are a lane's consumer, can't be told any more: connect anew."""
        self._closed.set()
