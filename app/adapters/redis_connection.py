"""How all adapters on Redis connect."""

from __future__ import annotations

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.adapters import lost

CONNECTIONS_MAX = 16
"""Of each part of a process; a call beyond them waits for one, a second at most."""
LOST = (RedisError, *lost.LOST)
"""What a call ends with when the server can't be reached in time."""


def connect(url: str) -> redis.Redis:
    """Fails fast: whoever calls has its own deadline and its own way to go on.

    socket_timeout is off: with one the library writes under asyncio.wait_for, which before Python 3.12 swallows a
    cancellation that comes as the write ends.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS_MAX,
        timeout=1,
        socket_timeout=None,
        socket_connect_timeout=1,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return redis.Redis.from_pool(pool)
