"""How all that talk to RabbitMQ connect: with deadlines, and with the queues as both sides declare them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import (
    AuthenticationError,
    ChannelAccessRefused,
    ConnectionNotAllowed,
    ProbableAuthenticationError,
)

from app.adapters import lost
from app.application.lanes import Lanes

CLOSE_DEADLINE_S = 2.0
CONNECT_DEADLINE_S = 10.0
RECONNECT_S = 0.5
HEARTBEAT_S = 10
LOST = (AMQPError, *lost.LOST)

QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-delivery-limit": 1_000_000,
}


def queue_name(lanes: Lanes, lane: int) -> str:
    """One lane a shard is how versions before lanes laid the queues out."""
    return f"commands.{lane}" if lanes.count == lanes.shards else f"commands.{lane}of{lanes.count}"


async def connect(url: str, name: str) -> AbstractConnection:
    return await aio_pika.connect(url, timeout=5, heartbeat=HEARTBEAT_S, client_properties={"connection_name": name})


_REFUSALS = {
    "ACCESS_REFUSED": "it refuses this name the right",
    "NOT_ALLOWED": "it has no such vhost, or refuses this name in it",
    "PRECONDITION_FAILED": "its queues were declared in another way",
    "RESOURCE_LOCKED": "somebody else holds its queues",
    "RESOURCE_ERROR": "it has no resources left",
}


def refusal(error: BaseException) -> str | None:
    """In words, where the broker answered, and refuses; None where it can't be reached, or didn't answer."""
    for seen in lost.causes(error):
        if isinstance(seen, (AuthenticationError, ProbableAuthenticationError)):
            return "it refuses the name or the password"
        if isinstance(seen, AMQPError):
            for word, reason in _REFUSALS.items():
                if word in str(seen):
                    return reason
            if isinstance(seen, ChannelAccessRefused):
                return _REFUSALS["ACCESS_REFUSED"]
            if isinstance(seen, ConnectionNotAllowed) or "Connection.OpenOk" in str(seen):
                return _REFUSALS["NOT_ALLOWED"]
    return None


class _Cut(ConnectionError):
    """The library gave up a call by cancelling it: nobody cancelled us."""


@asynccontextmanager
async def calls(deadline_s: float) -> AsyncIterator[None]:
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


async def close(thing: AbstractChannel | AbstractConnection | None) -> bool:
    """Closing hangs when the broker does; it is dropped then. Whether it is known to be closed."""
    if thing is not None:
        try:
            async with calls(CLOSE_DEADLINE_S):
                await thing.close()
        except Exception:  # whatever the library makes of a connection that is gone
            return False
    return True


async def declare(channel: AbstractChannel, lanes: Lanes) -> None:
    for lane in range(lanes.count):
        await channel.declare_queue(queue_name(lanes, lane), durable=True, arguments=QUEUE_ARGUMENTS)


def closed_event(connection: AbstractConnection) -> asyncio.Event:
    """Set when the connection is lost. To be asked for at once: the callbacks are run only once."""
    closed = asyncio.Event()
    connection.close_callbacks.add(lambda *_: closed.set())
    return closed
