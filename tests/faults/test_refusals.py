"""Servers that answer and refuse, for as long as nobody mends it: what a real process then says of itself, at each place
where an operator looks; and that it sees by itself that all is well again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.adapters.redis_connection import connect
from stack.pace import within
from stack.parley import Role
from stack.servers import Servers
from tests.faults.test_recovery import metric, readiness
from tests.scenarios.test_accounts import refused
from tests.world import People, World, new_id


@dataclass
class Refusing:
    """url: how the process is led there. part, words: what /readyz says. what: of the log's line. role: whom it concerns."""

    setting: str
    url: str
    role: str
    part: str
    words: str
    what: str
    mend: Callable[[], Awaitable[Any]] | None = None


async def redis(servers: Servers, *rules: str, mended: str = "", password: str = "pass", **more: str) -> Refusing:
    """A user with these rights, who gets `mended` then."""
    admin: Any = connect(servers.redis.url)
    name = f"u{new_id()[:8]}"
    await admin.execute_command("ACL", "SETUSER", name, "on", ">pass", "~*", "&*", "+@all", *rules)
    url = servers.redis.url.replace("redis://", f"redis://{name}:{password}@")

    async def mend() -> None:
        await admin.execute_command("ACL", "SETUSER", name, mended)
        await admin.aclose()

    return Refusing("REDIS_URL", url, more.get("role", "gateway"), "fan-out", more["words"], "redis", mend)


async def rabbitmq(
    servers: Servers, rights: tuple[str, str, str], mended: tuple[str, str, str], **more: str
) -> Refusing:
    """A name with these rights (configure, write, read) in a room of its own, which gets `mended` then."""
    room = await asyncio.to_thread(servers.rabbitmq.vhost, f"refuses-{more['name']}")
    name = f"poor-{more['name']}"
    ctl, vhost = servers.rabbitmq.ctl, urlsplit(room).path[1:]
    await asyncio.to_thread(ctl, "add_user", name, "secret")
    await asyncio.to_thread(ctl, "set_permissions", "-p", vhost, name, *rights)

    async def mend() -> None:
        await asyncio.to_thread(ctl, "set_permissions", "-p", vhost, name, *mended)

    url = room.replace("guest:guest", f"{name}:secret")
    return Refusing("BROKER_URL", url, more["role"], more["part"], more["words"], "broker", mend)


ALL = (".*", ".*", ".*")
CASES: dict[str, Callable[[Servers], Awaitable[Refusing]]] = {
    "redis, a wrong password": lambda s: redis(s, password="wrong", mended=">wrong", words="AuthenticationError"),
    "redis, no channels": lambda s: redis(s, "resetchannels", mended="allchannels", words="NoPermissionError"),
    "redis, an assistant without scripts": lambda s: redis(
        s, "-@scripting", mended="+@scripting", words="keeps no texts", role="assistant"
    ),
    "rabbitmq, no right to write": lambda s: rabbitmq(
        s, (".*", "", ".*"), ALL, name="write", role="gateway", part="broker", words="it refuses this name the right"
    ),
    "rabbitmq, no right to read": lambda s: rabbitmq(
        s, (".*", ".*", ""), ALL, name="read", role="worker", part="commands", words="it refuses this name the right"
    ),
    "rabbitmq, no such room": lambda s: no_room(s),
}


async def no_room(servers: Servers) -> Refusing:
    url = servers.rabbitmq.url + "nowhere-yet"

    async def mend() -> None:
        await asyncio.to_thread(servers.rabbitmq.vhost, "nowhere-yet")

    return Refusing("BROKER_URL", url, "gateway", "broker", "it has no such vhost", "broker", mend)


IN_EACH_RUN = ("redis, a wrong password",)


@pytest.mark.parametrize(
    "case", [case if case in IN_EACH_RUN else pytest.param(case, marks=pytest.mark.long) for case in CASES]
)
async def test_what_refuses_is_told_everywhere_and_seen_to_be_well_again(servers: Servers, case: str) -> None:
    how = await CASES[case](servers)
    good = {
        "DATABASE_URL": await asyncio.to_thread(servers.postgres.database, f"refusing_{new_id()[:8]}"),
        "BROKER_URL": await asyncio.to_thread(servers.rabbitmq.vhost, "refusing"),
        "REDIS_URL": servers.redis.url,
        "JWT_SECRET": "a word that is long enough",
    }
    role = Role(f"refused-{new_id()[:8]}", how.role, good | {how.setting: how.url}, servers.folder)
    others = []
    people = People(World("real", [role.url]))
    try:
        await asyncio.to_thread(role.start)
        if how.role == "assistant":  # it says what it meets: somebody must ask
            others = [
                Role(f"beside-{name}-{new_id()[:8]}", name, good, servers.folder) for name in ("gateway", "worker")
            ]
            for other in others:
                await asyncio.to_thread(other.start)
            people = People(World("real", [others[0].url]))
            anna = await people.make()
            chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])
            client = await anna.client()
            await client.send(chat_id, "hello")
        elif how.what == "broker" and how.role == "gateway":
            anna = await people.make()
            told = await refused(anna.rest.post("/v1/chats", {"kind": "assistant"}))
            assert (told.status, told.code) == (503, "unavailable") and told.body["retry_after_ms"] > 0
        async with within(20):
            while True:  # of this part, and of nothing else
                status, parts = await readiness(role.url, 0)
                bad = {name: words for name, words in parts.items() if words != "ok"}
                if list(bad) == [how.part] and how.words in bad[how.part]:
                    break
                await asyncio.sleep(0.1)
        assert status in ("degraded", "unavailable"), parts
        async with within(5):
            while await metric(role.url, rf'parley_part_well{{part="{how.part}"}}') != 0:
                await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        lines = [json.loads(line) for line in role.child.tail(500).splitlines() if line.startswith("{")]
        troubles = [line for line in lines if line["event"] == "trouble" and line["what"] == how.what]
        assert len(troubles) == 1, "a line at the first, then one a minute"
        assert await metric(role.url, rf'parley_trouble_total{{what="{how.what}"}}') > 1, "and all of them are counted"
        assert role.child.running()
        assert how.mend is not None
        await how.mend()
        async with within(20):
            while (await readiness(role.url, 0)) != ("ready", dict.fromkeys(parts, "ok")):
                await asyncio.sleep(0.1)
        assert await metric(role.url, rf'parley_trouble_total{{what="{how.what}"}}') > 1
    finally:
        await people.close()
        for each in (role, *others):
            each.child.stop()
