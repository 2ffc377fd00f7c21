from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.adapters.fan_out.in_process import InProcessFanOut, InProcessLiveTexts
from app.adapters.fan_out.redis_pubsub import RedisFanOut, RedisLiveTexts
from app.adapters.redis_connection import connect
from app.adapters.signing import Signer
from app.application.ports.errors import Transient
from app.application.ports.fan_out import FanOut, LiveText, LiveTexts
from app.application.signals import DeltaSignal, chat_channel, unpack
from stack.pace import within
from stack.packages import find_programs
from stack.servers import Redis, Servers
from tests.held import held
from tests.world import new_id

KINDS = ["in process", "redis"]
SIGNER = Signer(["a secret"], "fan-out")


@asynccontextmanager
async def running(kind: str, servers: Servers, heard: list[Any]) -> AsyncIterator[tuple[FanOut, LiveTexts]]:
    if kind == "in process":
        local = InProcessFanOut()
        local.listen(lambda channel, payload: heard.append((channel, payload)), lambda: None)
        yield local, InProcessLiveTexts(local)
        return
    fan_out, live = RedisFanOut(servers.redis.url, SIGNER), RedisLiveTexts(servers.redis.url, SIGNER)
    fan_out.listen(lambda channel, payload: heard.append((channel, payload)), lambda: heard.append("reset"))
    async with held(fan_out, live):
        await asyncio.sleep(0.2)
        yield fan_out, live


async def until(found: Any) -> None:
    async with within(5):
        while not found():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_subscriber_hears_in_order_from_when_subscribe_returns(kind: str, servers: Servers) -> None:
    heard: list[Any] = []
    channel, other = f"chat:{new_id()}", f"chat:{new_id()}"
    async with running(kind, servers, heard) as (fan_out, _):
        await fan_out.publish([(channel, b"before")])
        await fan_out.subscribe([channel])
        await fan_out.publish([(channel, str(n).encode()) for n in range(100)] + [(other, b"not for us")])
        await until(lambda: len(heard) >= 100)
        assert heard == [(channel, str(n).encode()) for n in range(100)]
        await fan_out.unsubscribe([channel])
        await fan_out.publish([(channel, b"after")])
        await asyncio.sleep(0.1)
        assert len(heard) == 100


@pytest.mark.parametrize("kind", KINDS)
async def test_who_subscribes_while_others_wait_for_it_hears_from_then_on_too(kind: str, servers: Servers) -> None:
    heard: list[Any] = []
    async with running(kind, servers, heard) as (fan_out, _):
        for n in range(20):
            channel = f"chat:{new_id()}"
            first = asyncio.create_task(fan_out.subscribe([channel, *(f"chat:{new_id()}" for _ in range(20))]))
            await asyncio.sleep(0)
            await fan_out.subscribe([channel])
            await fan_out.publish([(channel, str(n).encode())])
            await first
        await until(lambda: len(heard) >= 20)
        assert [payload for _, payload in heard] == [str(n).encode() for n in range(20)]


@pytest.mark.parametrize("kind", KINDS)
async def test_who_gives_up_what_is_not_heard_yet_hears_nothing_and_disturbs_nobody(
    kind: str, servers: Servers
) -> None:
    heard: list[Any] = []
    channel, other = f"chat:{new_id()}", f"chat:{new_id()}"
    async with running(kind, servers, heard) as (fan_out, _):
        await fan_out.subscribe([other])
        for _ in range(5):
            asked = asyncio.create_task(fan_out.subscribe([channel]))
            await asyncio.sleep(0)
            await fan_out.unsubscribe([channel])
            await asked
            await fan_out.publish([(channel, b"for nobody"), (other, b"still heard")])
        await until(lambda: len(heard) >= 5)
        await fan_out.subscribe([channel])
        await fan_out.publish([(channel, b"again")])
        await until(lambda: len(heard) >= 6)
        assert heard == [(other, b"still heard")] * 5 + [(channel, b"again")]


async def test_while_redis_stands_still_a_crowd_waits_a_second_and_not_one_each(servers: Servers) -> None:
    heard: list[Any] = []
    async with running("redis", servers, heard) as (fan_out, _):
        servers.redis.child.pause()
        try:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(fan_out.subscribe([f"chat:{new_id()}"]) for _ in range(300)))
            assert asyncio.get_running_loop().time() - began < 3
        finally:
            servers.redis.child.resume()


@pytest.mark.parametrize("kind", KINDS)
async def test_live_texts_refuse_superseded_and_ended_attempts(kind: str, servers: Servers) -> None:
    heard: list[Any] = []
    key = (new_id(), new_id())
    async with running(kind, servers, heard) as (fan_out, live):
        await fan_out.subscribe([chat_channel(key[0])])
        assert await live.append(key, 1, 0, "one ", "one ")
        assert await live.append(key, 1, 1, "two", "one two")
        assert await live.get(key) == LiveText(1, 2, "one two")
        assert await live.append(key, 2, 0, "anew", "anew")
        assert not await live.append(key, 1, 2, "late", "one two late")
        assert await live.get(key) == LiveText(2, 1, "anew")
        await live.end(key)
        assert not await live.append(key, 2, 1, "x", "anew x")
        assert await live.get(key) is None
        await until(lambda: len(heard) >= 3)
        signals = [unpack(key[0], payload) for _, payload in heard]
        assert signals == [
            DeltaSignal(key[1], 1, 0, "one "), DeltaSignal(key[1], 1, 1, "two"), DeltaSignal(key[1], 2, 0, "anew"),
        ]  # fmt: skip


async def test_a_lost_live_text_is_written_anew_by_its_holder(servers: Servers) -> None:
    heard: list[Any] = []
    key = (new_id(), new_id())
    async with running("redis", servers, heard) as (_, live):
        assert await live.append(key, 1, 0, "a", "a")
        await live._redis.flushdb()  # type: ignore[attr-defined]
        assert await live.append(key, 1, 1, "b", "ab")
        assert await live.get(key) == LiveText(1, 2, "ab")
        assert await live.append(key, 1, 1, "b", "ab"), "a repeat of what was taken is no loss of the attempt"


async def test_who_stops_in_the_middle_of_an_append_has_stopped(servers: Servers) -> None:
    """No cancellation is lost on the way through the library: a stopped reply would go on to its last word."""
    async with running("redis", servers, []) as (_, live):

        async def write(key: tuple[str, str]) -> None:
            for index in range(10_000):
                await live.append(key, 1, index, "a", "a" * (index + 1))

        for n in range(200):
            writing = asyncio.create_task(write((new_id(), new_id())))
            await asyncio.sleep(0.0003 * (n % 10))
            writing.cancel()
            await asyncio.wait((writing,), timeout=1)
            assert writing.cancelled()


async def test_what_others_write_into_redis_is_not_told(servers: Servers) -> None:
    heard: list[Any] = []
    channel, other, forged = f"chat:{new_id()}", f"chat:{new_id()}", list[None]()
    redis: Any = connect(servers.redis.url)
    fan_out = RedisFanOut(
        servers.redis.url, Signer(["a newer secret", "a secret"], "fan-out"), on_forged=lambda: forged.append(None)
    )
    fan_out.listen(lambda channel, payload: heard.append((channel, payload)), lambda: None)
    async with held(fan_out):
        await asyncio.sleep(0.2)
        await fan_out.subscribe([channel])
        bad = [
            b"E2\t0\t\t\n{}", b"", b"x" * 15, Signer(["a guess"], "fan-out").sign(channel, b"made"),
            SIGNER.sign(other, b"of another chat"), Signer(["a secret"], "envelope").sign(channel, b"of another kind"),
            SIGNER.sign(channel, b"cut")[:-1],
        ]  # fmt: skip
        for payload in bad:
            await redis.publish(channel, payload)
        await redis.publish(channel, SIGNER.sign(channel, b"ours, by the older secret"))
        await until(lambda: heard)
    assert heard == [(channel, b"ours, by the older secret")] and len(forged) == len(bad)


async def test_a_text_that_others_changed_is_no_text(servers: Servers) -> None:
    redis: Any = connect(servers.redis.url)
    live, key = RedisLiveTexts(servers.redis.url, SIGNER), (new_id(), new_id())
    name = f"reply:{key[0]}:{key[1]}"
    for index, whole in enumerate(("ü", "üb", "übe")):
        assert await live.append(key, 1, index, whole[-1], whole)
        assert await live.get(key) == LiveText(1, index + 1, whole)
    for field, value in (("text", "made"), ("next", 9), ("attempt", 2), ("mac", b"x" * 16)):
        was = await redis.hget(name, field)
        await redis.hset(name, field, value)
        assert await live.get(key) is None, field
        await redis.hset(name, field, was)
    assert await live.get(key) == LiveText(1, 3, "übe")
    await redis.delete(name)
    assert await live.append(key, 1, 3, "r", "über"), "its holder writes the whole anew"
    assert await live.get(key) == LiveText(1, 4, "über")
    await live.close()


async def test_a_redis_that_refuses_for_ever_is_told_and_the_listener_lives(servers: Servers) -> None:
    """A user who may connect, and neither publish nor subscribe; then he may, and all is well."""
    admin: Any = connect(servers.redis.url)
    name = f"u{new_id()[:8]}"
    await admin.execute_command("ACL", "SETUSER", name, "on", ">pass", "~*", "resetchannels", "+@all")
    host = servers.redis.url.partition("://")[2].rpartition("@")[2]
    troubles: list[BaseException] = []
    fan_out = RedisFanOut(f"redis://{name}:pass@{host}", SIGNER, on_trouble=troubles.append)
    heard: list[Any] = []
    fan_out.listen(lambda channel, payload: heard.append(payload), lambda: None)
    try:
        async with held(fan_out):
            await fan_out.subscribe(["c"])
            await until(lambda: troubles)
            assert fan_out.why_not() == "Redis gives no messages (NoPermissionError)"
            await fan_out.publish([("c", b"x")])
            await admin.execute_command("ACL", "SETUSER", name, "allchannels")
            await until(lambda: fan_out.why_not() in (None, "Redis takes no messages (NoPermissionError)"))
            async with within(12):  # nobody says anything: it tries by itself
                while fan_out.why_not() is not None:
                    await asyncio.sleep(0.05)
            await fan_out.publish([("c", b"y")])
            await until(lambda: heard == [b"y"])
            assert fan_out.why_not() is None
    finally:
        await admin.execute_command("ACL", "DELUSER", name)
        await admin.aclose()


@pytest.mark.parametrize("how", ["no scripts", "another database", "full", "a replica", "a password"])
async def test_what_keeps_answers_from_streaming_is_told(servers: Servers, how: str) -> None:
    """Channels may work where keys and scripts don't: then nothing streams, and the other part would say nothing."""
    host, name = servers.redis.url.partition("://")[2].rpartition("@")[2], f"u{new_id()[:8]}"
    folder = servers.folder / f"redis-{name}"
    own = Redis(find_programs(), folder)
    own.start()
    admin: Any = connect(own.url)
    try:
        url = own.url
        fixed: tuple[str, ...] | None = None
        if how == "no scripts":
            await admin.execute_command("ACL", "SETUSER", name, "on", ">pass", "~*", "&*", "+@all", "-@scripting")
            url, fixed = url.replace("redis://", f"redis://{name}:pass@"), ("ACL", "SETUSER", name, "+@scripting")
        elif how == "another database":
            url = f"{url.rpartition('/')[0]}/99"
        elif how == "full":
            await admin.execute_command("CONFIG", "SET", "maxmemory", "1")
            fixed = ("CONFIG", "SET", "maxmemory", "0")
        elif how == "a replica":
            await admin.execute_command("REPLICAOF", *host.partition("/")[0].split(":"))
            fixed = ("REPLICAOF", "NO", "ONE")
        else:
            url = url.replace("redis://", f"redis://{name}:wrong@")
        troubles: list[BaseException] = []
        live = RedisLiveTexts(url, SIGNER, on_trouble=troubles.append)
        key = (new_id(), new_id())
        with pytest.raises(Transient):
            await live.append(key, 1, 0, "x", "x")
        assert troubles and str(live.why_not()).startswith("Redis keeps no texts ("), live.why_not()
        if fixed is not None:
            async with held(live):
                await asyncio.sleep(2.2)
                assert live.why_not() is not None and len(troubles) > 1, "it looks, and is refused again"
                await admin.execute_command(*fixed)
                async with within(8):  # nobody says anything: it finds out by itself
                    while live.why_not() is not None:
                        await asyncio.sleep(0.05)
                assert await live.append(key, 1, 0, "x", "x")
        else:
            await live.close()
    finally:
        await admin.aclose()
        own.stop()
