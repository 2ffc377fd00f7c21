"""python -m tests.abuse [--stack]: abusers one after another beside a hundred ordinary people, and what the others feel.

The others are in ten chats of ten; twenty messages a second are said among them, and each pings. Before the first abuser
the service is used at each of its doors as people use it, so that memory is counted from a process that has served, and
what an abuser leaves behind is his. Told is, for each
abuser: what became of it and when, the p50 and p99 of the others' messages (sent until the last of ten has it) and pings
against the same run without, how many of them were cut off, how many turns of the loop took one socket over 20 ms, the memory that
the system sees and what is held in it. Latency is shown here, never asserted.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import websockets

from stack.servers import Servers
from tests.scenarios.test_bounds_and_privacy import memory_mib, roles_of
from tests.world import People, Raw, World, new_id, start_embedded, start_real

PEOPLE, CHATS, PER_S, SECONDS = 100, 10, 20, 12.0
PING = '{"type":"ping","ref":"x"}'
UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: " + b"y" * 9_000 + b"\r\n\r\n"
)
CHUNKED = b"POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


class Others:
    """The ordinary people, always at it."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.clients: list[Any] = []
        self.chats: list[tuple[str, list[Any]]] = []
        self.said: list[float] = []
        self.pinged: list[float] = []

    async def come(self) -> None:
        persons = [await self.people.make("person") for _ in range(PEOPLE)]
        for n in range(CHATS):
            mine = persons[n::CHATS]
            chat_id = await self.people.group(mine[0], *mine[1:])
            self.chats.append((chat_id, [await person.client(k) for k, person in enumerate(mine)]))
            self.clients += self.chats[-1][1]

    @property
    def connections(self) -> int:
        return sum(client.connections for client in self.clients)

    async def go_on(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        for n in itertools.count():
            chat_id, members = self.chats[n % CHATS]
            tasks.add(asyncio.create_task(self._say(chat_id, members, members[n // CHATS % len(members)])))
            if n % 5 == 0:
                tasks.add(asyncio.create_task(self._ping(self.clients[n % PEOPLE])))
            tasks -= {task for task in tasks if task.done()}
            await asyncio.sleep(1 / PER_S)

    async def _say(self, chat_id: str, members: list[Any], sender: Any) -> None:
        began = time.monotonic()
        with suppress(Exception):
            sent = await asyncio.wait_for(sender.send(chat_id, "words of an ordinary person"), 60)
            seq = sent.get("seq") or 0
            while any((member.chats[chat_id].cursor or 0) < seq for member in members):
                await asyncio.sleep(0.002)
        self.said.append(time.monotonic() - began)

    async def _ping(self, client: Any) -> None:
        began = time.monotonic()
        with suppress(Exception):
            await asyncio.wait_for(client.request({"type": "ping"}), 60)
        self.pinged.append(time.monotonic() - began)


async def flood(people: People, text: Callable[[], Any]) -> str:
    """A signed-in socket that sends without end."""
    raw = await (await people.make("abuser")).socket()

    began, told = time.monotonic(), [0.0]

    async def read() -> None:
        with suppress(websockets.ConnectionClosed):
            while True:
                if b"rate_limited" in await raw.socket.recv(decode=False) and not told[0]:
                    told[0] = time.monotonic()

    reading = asyncio.create_task(read())
    with suppress(websockets.ConnectionClosed):
        while True:
            made = text()
            if made is None:
                for _ in range(500):
                    await raw.socket.ping()
            else:
                await raw.socket.send(made)
            await asyncio.sleep(0)
    await reading
    return (
        f"told after {told[0] - began:.1f} s, cut {raw.socket.close_code}"
        if told[0]
        else f"cut {raw.socket.close_code}"
    )


async def hello_with_lines(people: People) -> str:
    async def one() -> int:
        raw = await Raw.open(people.world.urls[0])
        await raw.socket.send('{"type":"hello","token":"bad"}\n' + "x\n" * 32_000)
        return await raw.closed()

    codes: set[int] = set()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        codes |= set(await asyncio.gather(*(one() for _ in range(4))))
    return f"cut {sorted(codes)}"


async def connection(url: str, begin: bytes, again: bytes) -> str:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(begin)
        for _ in range(200_000 if again else 0):
            writer.write(again)
            await writer.drain()
        return f"told {(await reader.read(100))[9:12].decode()}"
    except ConnectionError:
        with suppress(ConnectionError):
            return f"told {(await reader.read(100))[9:12].decode()}"
        return "cut"
    finally:
        writer.close()


async def unread_pages(people: People) -> str:
    person = await people.make("abuser")
    chat_id = await people.group(person, person)
    client = await person.client()
    await asyncio.gather(*(client.send(chat_id, "ü" * 8_000) for _ in range(150)))
    host, _, port = people.world.urls[0].removeprefix("http://").partition(":")
    head = f"GET /v1/chats/{chat_id}/messages?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.rest.access_token}\r\n\r\n"
    open_ = [await asyncio.open_connection(host, int(port)) for _ in range(60)]
    for _, writer in open_:
        writer.write(head.encode() * 5)
    await asyncio.sleep(SECONDS)
    for _, writer in open_:
        writer.close()
    return "left by itself"


async def many(
    people: People, count: int, call: Callable[[httpx2.AsyncClient, int], Awaitable[httpx2.Response]]
) -> str:
    limits = httpx2.Limits(max_connections=count)
    async with httpx2.AsyncClient(base_url=people.world.urls[0], limits=limits, timeout=60) as http:
        answers = await asyncio.gather(*(call(http, n) for n in range(count)), return_exceptions=True)
    statuses = [answer.status_code for answer in answers if isinstance(answer, httpx2.Response)]
    return "told " + ", ".join(f"{statuses.count(status)} × {status}" for status in sorted(set(statuses)))


async def register(http: httpx2.AsyncClient, n: int) -> httpx2.Response:
    body = {"username": f"a{new_id()[:8]}{n}", "password": "a long password"}
    return await http.post("/v1/auth/register", json=body)


async def guess(http: httpx2.AsyncClient, n: int) -> httpx2.Response:
    return await http.post("/v1/auth/token", data={"grant_type": "password", "username": f"n{n % 5}", "password": "x"})


async def repeats(people: People) -> str:
    person = await people.make("abuser")
    sockets = [await person.socket() for _ in range(10)]
    chat_id, ids = new_id(), [new_id() for _ in range(12)]
    told = 0
    for n in range(20):
        for raw in sockets:
            await raw.send(*(
                {"type": "message.pin", "ref": f"{n}-{k}", "chat_id": chat_id, "message_id": chat_id, "command_id": id_}
                for k, id_ in enumerate(ids)
            ))  # fmt: skip
        await asyncio.sleep(0.3)
    for raw in sockets:
        told += sum(frame["type"] in ("rejected", "error") for frame in await raw.settle())
        await raw.close()
    return f"{told} of {20 * 10 * 12} told"


async def gets(people: People) -> str:
    person = await people.make("abuser")
    until = time.monotonic() + SECONDS
    counted: dict[int, int] = {}
    async with httpx2.AsyncClient(base_url=people.world.urls[0], limits=httpx2.Limits(max_connections=40)) as http:

        async def one() -> None:
            while time.monotonic() < until:
                answer = await http.get("/v1/chats", headers={"Authorization": f"Bearer {person.rest.access_token}"})
                counted[answer.status_code] = counted.get(answer.status_code, 0) + 1

        await asyncio.gather(*(one() for _ in range(40)))
    return f"told {counted}"


async def ordinary(people: People) -> str:
    """What people do in an hour: they come, forget their password, read what was written, look for a word."""
    url = people.world.urls[0]
    await asyncio.gather(many(people, 20, register), many(people, 20, guess))
    person = await people.make("reader")
    chat_id = await people.group(person, person)
    client = await person.client()
    for _ in range(3):
        await asyncio.gather(*(client.send(chat_id, "ü" * 8_000) for _ in range(50)))
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        for n in range(60):
            headers = {"Authorization": f"Bearer {person.rest.access_token}"}
            paths = ("/v1/chats", f"/v1/chats/{chat_id}/messages?limit=100", "/v1/search?q=words", "/docs")
            await asyncio.gather(*(http.get(path, headers=headers) for path in paths))
            await asyncio.sleep(0.05 if n % 10 else 1)
    return "stayed"


ABUSERS: dict[str, Callable[[People], Awaitable[str]]] = {
    "a bad hello with 32,000 lines, four at once": hello_with_lines,
    "control pings without end": lambda people: flood(people, lambda: None),
    "pings, 1,000 a frame": lambda people: flood(people, lambda: "\n".join([PING] * 1_000)),
    "lines of one character": lambda people: flood(people, lambda: "x\n" * 1_000),
    "a frame in 2,000 fragments": lambda people: flood(
        people, lambda: ['{"type":"ping","ref":"x"', *[" "] * 2_000, "}"]
    ),
    "trailers that never end": lambda people: connection(
        people.world.urls[0], CHUNKED + b"0\r\n", b"a: b\r\n" * 10_000
    ),
    "a body of one byte a chunk": lambda people: connection(people.world.urls[0], CHUNKED, b"1\r\nx\r\n" * 10_000),
    "an upgrade with a long header": lambda people: connection(people.world.urls[0], UPGRADE, b""),
    "300 pages of long messages, not read": unread_pages,
    "600 registrations at once": lambda people: many(people, 600, register),
    "200 wrong passwords": lambda people: many(people, 200, guess),
    "the same commands at no chat, ten sockets": repeats,
    "40 connections of GETs": gets,
}


async def told(world: World) -> tuple[int, float]:
    """Turns of the loop on behalf of one socket that took more than 20 ms, since the processes started; and the blocks of
    memory that the objects of the largest of them hold, in thousands."""
    async with httpx2.AsyncClient() as http:
        pages = [(await http.get(f"{url}/metrics")).text.splitlines() for url in world.urls]
    turns, blocks = 0.0, 0.0
    for page in pages:
        values = dict(line.rsplit(" ", 1) for line in page if line.startswith("parley_"))
        all_, quick = values["parley_socket_turn_seconds_count"], values['parley_socket_turn_seconds_bucket{le="0.02"}']
        turns += float(all_) - float(quick)
        blocks = max(blocks, float(values["parley_memory_blocks"]) / 1_000)
    return int(turns), blocks


def line(name: str, what: str, others: Others, memory: float, blocks: float, cut: int, slow: int) -> str:
    def ms(found: list[float]) -> str:
        if len(found) < 5:
            return "–"
        cuts = statistics.quantiles(found, n=100)
        return f"{1e3 * cuts[49]:.0f} / {1e3 * cuts[98]:.0f}"

    return (
        f"| {name} | {what} | {ms(others.said)} | {ms(others.pinged)} | {cut} | {slow} | {memory:.0f} | {blocks:.0f} |"
    )


async def run(world: World, only: str, rounds: int) -> None:
    people = People(world)
    others = Others(people)
    await others.come()
    going = asyncio.create_task(others.go_on())
    await asyncio.sleep(3)
    print(
        "| abuser | what became of it | others' messages, p50 / p99 ms | pings, ms | cut | turns > 20 ms | MiB | held, 1,000 blocks |\n|---|---|---|---|---|---|---|---|"
    )
    await ordinary(people)
    for name in ("(nobody)", *[name for name in ABUSERS if only in name] * rounds):
        await asyncio.sleep(3)
        others.said.clear()
        others.pinged.clear()
        before, began, slow = others.connections, time.monotonic(), (await told(world))[0]
        what = ""
        if name in ABUSERS:  # in a process of its own, so that what it costs isn't taken for the others' waiting
            command = [sys.executable, "-m", "tests.abuse", "--abuser", name, "--url", world.urls[0]]
            abuser = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            said, _ = await abuser.communicate()
            what = f"{said.decode().strip()}, {time.monotonic() - began:.0f} s"
        await asyncio.sleep(max(0.0, SECONDS - (time.monotonic() - began)))
        memory = max(memory_mib(role) for role in roles_of(world))
        turns, blocks = await told(world)
        print(line(name, what, others, memory, blocks, others.connections - before, turns - slow), flush=True)
    await asyncio.sleep(60)
    memory, (_, blocks) = max(memory_mib(role) for role in roles_of(world)), await told(world)
    print(f"A minute behind the last: {memory:.0f} MiB, {blocks:.0f} thousand blocks", flush=True)
    going.cancel()
    await people.close()


async def abuse(name: str, url: str) -> None:
    people = People(World("abused", [url, url]))
    try:
        print(await asyncio.wait_for(ABUSERS[name](people), 3 * SECONDS))
    except TimeoutError:
        print("went on to the end")
    await people.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--abuser", help="be this one")
    parser.add_argument("--url", default="")
    parser.add_argument("--only", help="of the abusers those whose name holds this")
    parser.add_argument(
        "--rounds", type=int, default=1, help="so often: what memory a second one takes is what is lost"
    )
    parser.add_argument("--stack", action="store_true", help="on the real stack; else embedded, in one process")
    asked = parser.parse_args()
    if asked.abuser:
        return asyncio.run(abuse(asked.abuser, asked.url))
    if not asked.stack:
        world = start_embedded(folder=Path(tempfile.mkdtemp(prefix="parley-a-", dir="/tmp")))
        assert world.role is not None
        try:
            asyncio.run(run(world, asked.only or "", asked.rounds))
        finally:
            world.role.child.stop()
        return
    servers = Servers()
    try:
        servers.start()
        world = start_real(servers)
        assert world.stack is not None and world.model is not None
        try:
            asyncio.run(run(world, asked.only or "", asked.rounds))
        finally:
            world.stack.stop()
            world.model.child.stop()
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
