"""One contract for both ways to count a user's sockets; limits that gateways share."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.adapters.limits.counting import LimitSettings
from app.adapters.limits.redis_shared import SharedLimits
from app.adapters.open_sockets.in_process import InProcessOpenSockets
from app.adapters.open_sockets.redis_sets import RedisOpenSockets
from app.adapters.redis_connection import CONNECTIONS_MAX, connect
from app.infrastructure.wiring import new_id
from stack.servers import Servers
from tests.held import held


@pytest.mark.parametrize("kind", ["in process", "redis"])
async def test_the_oldest_sockets_beyond_the_most_are_named(kind: str, servers: Servers) -> None:
    one = InProcessOpenSockets() if kind == "in process" else RedisOpenSockets(servers.redis.url)
    other = one if kind == "in process" else RedisOpenSockets(servers.redis.url)
    user, sessions = new_id(), [new_id() for _ in range(5)]
    for place, session in enumerate(sessions[:3]):
        assert await (one, other)[place % 2].opened(user, session, 3) == []
    assert await one.opened(user, sessions[3], 3) == sessions[:1]
    assert await other.opened(new_id(), new_id(), 3) == []
    one.closed(user, sessions[0])
    async with held(one):  # it tells the others, and takes what was its own with it when it goes
        await asyncio.sleep(1)
        assert await other.opened(user, sessions[4], 3) == sessions[1:2]
    assert await other.opened(user, sessions[4], 2) == ([] if kind == "redis" else sessions[1:3])
    await other.close()


async def test_a_socket_that_is_gone_before_it_is_counted_never_is(servers: Servers) -> None:
    sockets = RedisOpenSockets(servers.redis.url)
    user, gone, here, newest = (new_id() for _ in range(4))
    opening = asyncio.create_task(sockets.opened(user, gone, 2))
    also = asyncio.create_task(sockets.opened(user, here, 2))
    await asyncio.sleep(0)
    sockets.closed(user, gone)
    assert await opening == [] and await also == []
    assert await sockets.opened(user, newest, 2) == [], "two are open, and no ghost beside them"
    await sockets.close()


async def test_what_one_gateway_counted_the_other_knows_after_settling(servers: Servers) -> None:
    settings = LimitSettings(5, 100, 100, 100, failures_per_pair=4)
    limits = [SharedLimits(servers.redis.url, settings) for _ in range(2)]
    user, name = new_id(), f"n-{new_id()}"
    for _ in range(50):
        assert limits[0].request(user) is None
    wait_ms = limits[0].request(user)
    assert wait_ms is not None and 0 < wait_ms <= 200
    assert limits[1].request(user) is None
    for each in limits:
        each.failed(name, "address")
        each.failed(name, "address")
        assert each.blocked(name, "address") is None
    for each in (*limits, *limits):
        await each.settle()
        limits[1].failed(name, "address")  # it settles what it counted, and hears what others did
    await limits[1].settle()
    assert limits[1].request(user) is not None
    assert limits[1].blocked(name, "address") is not None
    burst, left, reset_s = limits[1].remaining(user)
    assert (burst, left) == (50, 0) and 5 <= reset_s <= 12
    for each in limits:
        await each.close()


async def test_a_part_of_a_process_holds_so_many_connections_to_redis_and_no_more(servers: Servers) -> None:
    """Who asks beyond the bound waits for one of them. A few may come and go for the processes beside us."""
    client: Any = connect(servers.redis.url)
    other: Any = connect(servers.redis.url)
    before = int((await other.info("clients"))["connected_clients"])
    waiting = [asyncio.create_task(client.blpop([f"nothing-{n}"], timeout=1)) for n in range(4 * CONNECTIONS_MAX)]
    await asyncio.sleep(0.4)
    during = int((await other.info("clients"))["connected_clients"]) - before
    assert CONNECTIONS_MAX / 2 < during <= CONNECTIONS_MAX + 8
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await client.ping()
    await client.aclose()
    await other.aclose()
