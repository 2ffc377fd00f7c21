"""The command bus on RabbitMQ: a quorum queue for each shard, one active consumer each, confirms and acks by envelope.

Publishing and consuming have connections of their own. A connection that is lost is made anew after 0.5 s; what was
unconfirmed on it ends as outcome_unknown and is never retried here, for it may have landed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import AMQPError, DeliveryError, PublishError

from app.adapters.broker.collector import BYTES_MAX, COMMANDS_MAX, Budget, Collector, Waiting
from app.adapters.broker.envelope import BadEnvelope, EnvelopeCodec
from app.application.cutpoints import cut, defect
from app.application.ports import Delivery, NewerEnvelope, OutcomeUnknown, Process, Unavailable
from app.domain.commands import Command
from app.domain.ids import shard_of

CONFIRM_DEADLINE_S = 2.0
CLOSE_DEADLINE_S = 2.0
CONNECT_DEADLINE_S = 10.0
RECONNECT_S = 0.5
HEARTBEAT_S = 10
PREFETCH = 20
_NEWER_STAYS_OFF_S = 5.0
_LOST = (AMQPError, ConnectionError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)

QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-delivery-limit": 1_000_000,
}


def queue_name(shard: int) -> str:
    return f"commands.{shard}"


async def _connect(url: str, name: str) -> AbstractConnection:
    return await aio_pika.connect(url, timeout=5, heartbeat=HEARTBEAT_S, client_properties={"connection_name": name})


class _Cut(ConnectionError):
    """The library gave up a call by cancelling it: nobody cancelled us."""


@asynccontextmanager
async def _calls(deadline_s: float) -> AsyncIterator[None]:
    """Calls to the broker, with a deadline. Where the connection dies, the library cancels what waits on it
    (aiormq's reader does so after missed heartbeats); that must not be taken for our own cancellation."""
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise _Cut("the connection was lost") from None


async def _close(thing: AbstractChannel | AbstractConnection | None) -> bool:
    """Closing hangs when the broker does; it is dropped then. Whether it is known to be closed."""
    if thing is not None:
        try:
            async with _calls(CLOSE_DEADLINE_S):
                await thing.close()
        except _LOST:
            return False
    return True


async def declare(channel: AbstractChannel, shards: Iterable[int]) -> None:
    for shard in shards:
        await channel.declare_queue(queue_name(shard), durable=True, arguments=QUEUE_ARGUMENTS)


class RabbitPublisher:
    """Implements CommandBus. One unconfirmed envelope for each shard, on a channel of its own."""

    def __init__(
        self, url: str, shards: int, codec: EnvelopeCodec, *, on_envelope: Callable[[int], None] = lambda n: None
    ) -> None:
        self._url = url
        self._shards = shards
        self._codec = codec
        self._on_envelope = on_envelope
        budget = Budget()
        self._collectors = [Collector(budget) for _ in range(shards)]
        self._connection: AbstractConnection | None = None
        self._channels: dict[int, AbstractChannel] = {}
        self._closing: set[asyncio.Task[bool]] = set()

    def ready(self) -> bool:
        return self._connection is not None and not self._connection.is_closed

    def submit(self, command: Command) -> asyncio.Future[None]:
        shard = shard_of(command.chat_id, self._shards)
        if not self.ready():
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(Unavailable("the broker can't be reached"))
            return refused
        return self._collectors[shard].add(command, self._codec.pack_command(command))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected(), name="broker publisher connection")
            for shard in range(self._shards):
                group.create_task(self._publish_shard(shard), name=f"publish {queue_name(shard)}")

    async def _keep_connected(self) -> None:
        while True:
            connection = None
            try:
                async with _calls(CONNECT_DEADLINE_S):
                    connection = await _connect(self._url, "parley publisher")
                    closed = _closed_event(connection)
                    channel = await connection.channel()
                    await declare(channel, range(self._shards))
                await _close(channel)
            except _LOST:
                await _close(connection)
                await asyncio.sleep(RECONNECT_S)
                continue
            self._channels.clear()
            self._connection = connection
            try:
                await closed.wait()
            finally:
                self._connection = None
                await _close(connection)
            for collector in self._collectors:
                collector.refuse_all(Unavailable("the broker can't be reached"))

    async def _publish_shard(self, shard: int) -> None:
        collector = self._collectors[shard]
        while True:
            taken = await collector.next()
            if defect("accepted_before_confirm"):
                for waiting in taken:
                    waiting.done.set_result(None)
            collector.settle(taken, await self._publish(shard, taken))

    async def _publish(self, shard: int, taken: list[Waiting]) -> Exception | None:
        """None when the broker has it; else what to tell those in the envelope."""
        self._on_envelope(len(taken))
        try:
            async with _calls(CONFIRM_DEADLINE_S):
                channel = await self._channel(shard)
        except _LOST:
            return Unavailable("the broker can't be reached")
        try:
            message = aio_pika.Message(
                self._codec.seal(shard, [waiting.packed for waiting in taken]),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            async with _calls(CONFIRM_DEADLINE_S):
                await channel.default_exchange.publish(message, queue_name(shard), mandatory=True)
            cut("confirm")
        except PublishError:
            return Unavailable("the shard has no queue")
        except (DeliveryError, *_LOST):
            self._drop(shard)
            return OutcomeUnknown("the broker did not confirm")
        return None

    async def _channel(self, shard: int) -> AbstractChannel:
        channel = self._channels.get(shard)
        if channel is not None and not channel.is_closed:
            return channel
        if self._connection is None:
            raise ConnectionError("not connected")
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        self._channels[shard] = channel
        return channel

    def _drop(self, shard: int) -> None:
        """What is unconfirmed on this channel may land later; the next envelope goes out on a new one."""
        channel = self._channels.pop(shard, None)
        task = asyncio.get_running_loop().create_task(_close(channel))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _closed_event(connection: AbstractConnection) -> asyncio.Event:
    """Set when the connection is lost. To be asked for at once: the callbacks are run only once."""
    closed = asyncio.Event()
    connection.close_callbacks.add(lambda *_: closed.set())
    return closed


@dataclass(slots=True)
class _Shard:
    """One shard's subscription. active: something was delivered to us since it began, so we are its consumer."""

    channel: AbstractChannel
    deliveries: deque[AbstractIncomingMessage] = field(default_factory=deque)
    active: bool = False
    leaving: bool = False


class RabbitConsumer:
    """Takes what all its shards deliver into one batch after another, in order, and acks last.

    Every worker waits at every shard, so that a dead one's shards go on at once; which of them it should hold is
    told by `assign`. A shard is given back by finishing the batch and closing its channel, never by cancelling.
    """

    def __init__(
        self,
        url: str,
        shards: int,
        codec: EnvelopeCodec,
        *,
        on_refused: Callable[[str], None] = lambda why: None,
    ) -> None:
        self._url = url
        self._shards = shards
        self._codec = codec
        self._on_refused = on_refused
        self._mine: set[int] = set(range(shards))
        self._held: dict[int, _Shard] = {}
        self._stay_off: dict[int, float] = {}
        self._arrived = asyncio.Event()
        self._between = asyncio.Lock()
        self._draining = False
        self._reassigned = asyncio.Event()
        self._connected = False
        self._closed = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()

    def ready(self) -> bool:
        return self._connected

    def assign(self, mine: set[int]) -> None:
        """The shards that this worker should hold now, of all that live."""
        if mine != self._mine:
            self._mine = mine
            self._reassigned.set()

    def active(self) -> set[int]:
        return {shard for shard, held in self._held.items() if held.active and not held.leaving}

    async def drain(self) -> None:
        """Finish the batch, give all shards back."""
        self._draining = True
        async with self._between:
            for shard in list(self._held):
                await self._leave(shard)

    async def run(self, process: Process) -> None:
        while not self._draining:
            try:
                async with _calls(CONNECT_DEADLINE_S):
                    connection = await _connect(self._url, "parley consumer")
                    self._closed = _closed_event(connection)
            except _LOST:
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
                await _close(connection)
            for task in done:
                error = task.exception() if not task.cancelled() else None
                if error is not None and not isinstance(error, _LOST):
                    raise error
            if not self._draining:
                await asyncio.sleep(RECONNECT_S)

    # Subscriptions

    async def _subscribe(self, connection: AbstractConnection) -> None:
        async with _calls(CONNECT_DEADLINE_S):
            channel = await connection.channel()
            await declare(channel, range(self._shards))
        await _close(channel)
        loop = asyncio.get_running_loop()
        while not self._draining:
            mine = set(self._mine)
            self._reassigned.clear()
            for shard in range(self._shards):
                held = self._held.get(shard)
                if held is not None and held.channel.is_closed:
                    del self._held[shard]
                elif held is not None and shard not in mine and held.active:
                    async with self._between:
                        await self._leave(shard)
                    self._stay_off[shard] = loop.time() + 1.0
            for shard in range(self._shards):
                if not self._draining and shard not in self._held and self._stay_off.get(shard, 0) <= loop.time():
                    async with _calls(CONNECT_DEADLINE_S):
                        await self._join(connection, shard)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await self._reassigned.wait()

    async def _join(self, connection: AbstractConnection, shard: int) -> None:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.declare_queue(queue_name(shard), durable=True, arguments=QUEUE_ARGUMENTS)
        held = _Shard(channel)
        self._held[shard] = held

        async def arrived(message: AbstractIncomingMessage) -> None:
            # Tasks for deliveries start in order and nothing is awaited here: so is the deque.
            held.active = True
            held.deliveries.append(message)
            self._arrived.set()

        await queue.consume(arrived)
        underlay = await channel.get_underlay_channel()
        underlay.on_consumer_cancel_callbacks.add(lambda *_: self._spawn(self._leave_soon(shard)))

    async def _leave(self, shard: int) -> None:
        """Called between batches. What was delivered and no transaction holds is thrown away with the channel."""
        held = self._held.pop(shard, None)
        if held is None:
            return
        held.leaving = True
        held.deliveries.clear()
        if not await _close(held.channel):
            self._give_up()

    # Batches

    async def _batches(self, process: Process) -> None:
        while True:
            async with self._between:
                taken = self._take()
                if taken:
                    if defect("ack_before_commit"):
                        await self._ack(message for message, _ in taken)
                    await process([delivery for _, delivery in taken])
                    cut("ack")
                    await self._ack(message for message, _ in taken)
            if not taken:
                self._arrived.clear()
                if not any(held.deliveries for held in self._held.values()):
                    await self._arrived.wait()

    def _take(self) -> list[tuple[AbstractIncomingMessage, Delivery]]:
        """Waiting envelopes of all shards, in order within each, up to the size of a batch."""
        taken: list[tuple[AbstractIncomingMessage, Delivery]] = []
        commands = size = 0
        for shard, held in list(self._held.items()):
            if held.leaving or held.channel.is_closed:
                held.deliveries.clear()  # delivered anew, to whoever is active now
            while held.deliveries and commands < COMMANDS_MAX and size < BYTES_MAX:
                message = held.deliveries.popleft()
                delivery = self._open(shard, held, message)
                if delivery is None:
                    break
                taken.append((message, delivery))
                commands += len(delivery.commands)
                size += len(message.body)
        return taken

    def _open(self, shard: int, held: _Shard, message: AbstractIncomingMessage) -> Delivery | None:
        """What can't be verified or decoded is counted and acked, empty. None: the shard must be given back."""
        headers = message.headers or {}
        counts = [headers.get(name) for name in ("x-delivery-count", "x-acquired-count")]
        seen = max(count if isinstance(count, int) else 0 for count in counts)
        try:
            told_shard, commands = self._codec.open(message.body)
            if told_shard != shard or any(shard_of(c.chat_id, self._shards) != shard for c in commands):
                raise BadEnvelope("shard")
        except NewerEnvelope:
            held.deliveries.clear()
            held.leaving = True
            self._stay_off[shard] = asyncio.get_running_loop().time() + _NEWER_STAYS_OFF_S
            self._spawn(self._leave_soon(shard))
            return None
        except (BadEnvelope, ValueError, AttributeError) as error:
            self._on_refused(str(error))
            return Delivery(shard, [], 0)
        return Delivery(shard, commands, seen)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave_soon(self, shard: int) -> None:
        async with self._between:
            await self._leave(shard)

    async def _ack(self, messages: Iterable[AbstractIncomingMessage]) -> None:
        try:
            async with _calls(CLOSE_DEADLINE_S):
                for message in messages:
                    await message.ack()
        except _LOST:
            self._give_up()

    def _give_up(self) -> None:
        """What we hold unacked, or whether we are a shard's consumer, can't be told any more: connect anew."""
        self._closed.set()
