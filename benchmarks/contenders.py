"""Who is measured: Parley on its stack and embedded, Socket.IO on Node, the FastAPI tutorial's chat. Each starts its own
processes, makes people and chats in its own way, and says who uses the processor."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from app.adapters.identity.local import JwtTokens
from parley_client import Rest
from stack.build_web import node, npm
from stack.parley import ROOT, Role, Stack
from stack.processes import Child, free_port, wait_until
from stack.servers import Servers

LIMITS = {"REQUESTS_PER_S": "100000", "CHATS_PER_H": "100000", "MEMBERS_PER_H": "1000000", "READS_PER_S": "10000000"}
SOCKETIO = ROOT / "benchmarks" / "socketio"

Places = list[dict[str, Any]]


class Contender(Protocol):
    """name: as the result has it. pids: of each process that serves, by its name."""

    name: str

    @property
    def pids(self) -> dict[str, int]: ...

    def places(self, chats: int, members: int) -> Places:
        """So many new chats of so many new people: a socket's place for each, chat after chat."""
        ...

    def said(self, places: Places, count: int) -> Places:
        """So many messages lie in the first place's chat: the page of its newest fifty, with what to send with it."""
        ...

    def stored(self) -> int:
        """Messages in its database."""
        ...


def fetch(url: str, sql: str, *arguments: Any) -> Any:
    async def go() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql, *arguments)
        finally:
            await connection.close()

    return asyncio.run(go())


def _rest_url(place: dict[str, Any]) -> str:
    """Of the gateway whose socket a place is at."""
    return str(place["url"]).replace("ws://", "http://").removesuffix("/v1/ws")


class Parley:
    name = "parley"

    def __init__(self, servers: Servers, stack: Stack) -> None:
        self._servers, self.stack = servers, stack
        self.database = stack.environment["DATABASE_URL"]
        self.model_url = ""

    @property
    def pids(self) -> dict[str, int]:
        roles = {role.child.name: role.child.pid for role in self.stack.roles}
        servers = self._servers
        return roles | {"postgres": servers.postgres.child.pid, "broker": servers.rabbitmq.child.pid,
                        "redis": servers.redis.child.pid}  # fmt: skip

    def places(self, chats: int, members: int) -> Places:
        return asyncio.run(self._places(chats, members))

    def devices(self, people: int) -> Places:
        """So many new people with two devices each, and a chat with an assistant."""
        return asyncio.run(self._places(people, 1, {"kind": "assistant"}, devices=2))

    async def _places(self, chats: int, members: int, asked: dict[str, Any] | None = None, devices: int = 1) -> Places:
        """People and their sessions by SQL (a password takes 50 ms to hash), chats as anybody makes them."""
        tokens = JwtTokens([self.stack.environment["JWT_SECRET"]], 3_600)
        people = [(str(uuid.uuid4()), str(uuid.uuid4())) for _ in range(chats * members)]
        now = datetime.now(UTC)
        connection = await asyncpg.connect(self.database)
        try:
            await connection.executemany(
                "insert into users (id, username, display_name, kind, preferences, created_at, folded_name)"
                " values ($1, $2::text, $2::text, 'human', '{}', $3, $2::text)",
                [(user_id, f"u{user_id[:13]}", now) for user_id, _ in people],
            )
            await connection.executemany(
                "insert into sessions (id, user_id, created_at) values ($1, $2, $3)",
                [(session_id, user_id, now) for user_id, session_id in people],
            )
            await connection.execute("analyze users, sessions")
        finally:
            await connection.close()
        urls, found = self.stack.urls, Places()
        for chat in range(chats):
            mine = people[chat * members : (chat + 1) * members]
            async with Rest(urls[0], access_token=tokens.issue(*mine[0])) as rest:
                group = {"kind": "group", "title": "W", "member_ids": [one[0] for one in mine]}
                made = await rest.post("/v1/chats", asked or group)
            for n, (user_id, session_id) in enumerate(one for one in mine for _ in range(devices)):
                url = urls[(chat * members + n) % len(urls)]
                found.append({
                    "url": url.replace("http", "ws") + "/v1/ws", "token": tokens.issue(user_id, session_id),
                    "chat_id": made["id"], "user_id": user_id,
                })  # fmt: skip
        return found

    def said(self, places: Places, count: int) -> Places:
        place = places[0]
        sql = (
            "with h as (select id, head from chats where id = $1),"
            " m as (insert into messages (chat_id, seq, id, sender_id, kind, client_message_id, body, status, created_at, attempt)"
            " select h.id, h.head + n, gen_random_uuid(), $2, 'user', gen_random_uuid(), 'words of a message ' || n, 'complete',"
            " now(), null from h, generate_series(1, $3) n returning 1)"
            " update chats set head = head + $3 where id = $1 returning (select count(*) from m)"
        )
        assert fetch(self.database, sql, place["chat_id"], place["user_id"], count) == count
        fetch(self.database, "analyze messages, chats")
        url = _rest_url(place)
        pages = [one for one in places if one["chat_id"] == place["chat_id"]]
        return [
            {"page": f"{url}/v1/chats/{place['chat_id']}/messages?limit=50",
             "headers": {"Authorization": f"Bearer {one['token']}"}}
            for one in pages
        ]  # fmt: skip

    def ask(self, people: int, question: str) -> None:
        """Each of so many new people asks the assistant this."""

        async def one(place: dict[str, Any]) -> None:
            async with Rest(_rest_url(place), access_token=place["token"]) as rest:
                sent = {"client_message_id": str(uuid.uuid4()), "body": question}
                await rest.post(f"/v1/chats/{place['chat_id']}/messages", sent)

        async def all_() -> None:
            places = await self._places(people, 1, {"kind": "assistant"})
            await asyncio.gather(*map(one, places))

        asyncio.run(all_())

    def open_questions(self) -> int:
        return int(fetch(self.database, "select count(*) from replies where not finished"))

    def stored(self) -> int:
        return int(fetch(self.database, "select count(*) from messages where kind = 'user'"))


class Embedded:
    name = "embedded"

    def __init__(self, role: Role) -> None:
        self._role = role

    @property
    def pids(self) -> dict[str, int]:
        return {"embedded": self._role.child.pid}

    def places(self, chats: int, members: int) -> Places:
        async def go() -> Places:
            found = Places()
            for _ in range(chats):
                rests = [Rest(self._role.url) for _ in range(members)]
                for rest in rests:
                    await rest.register(f"u{uuid.uuid4().hex[:13]}", "benchmark password")
                ids = [rest.user["id"] for rest in rests]
                made = await rests[0].post("/v1/chats", {"kind": "group", "title": "W", "member_ids": ids})
                for rest in rests:
                    found.append({
                        "url": self._role.url.replace("http", "ws") + "/v1/ws", "token": rest.access_token,
                        "chat_id": made["id"], "user_id": rest.user["id"],
                    })  # fmt: skip
                    await rest.close()
            return found

        return asyncio.run(go())

    def said(self, places: Places, count: int) -> Places:
        raise NotImplementedError("history is measured on the stack")

    def stored(self) -> int:
        raise NotImplementedError("counted on the stack")


class _OneProcess:
    """A reference: a process of its own on a database of its own."""

    def __init__(self, servers: Servers, child: Child, port: int, database: str) -> None:
        self._servers, self._child, self._port, self._database = servers, child, port, database

    def stored(self) -> int:
        return int(fetch(self._database, "select count(*) from messages"))


class SocketIO(_OneProcess):
    name = "socketio"

    @property
    def pids(self) -> dict[str, int]:
        servers = self._servers
        return {"node": self._child.pid, "postgres": servers.postgres.child.pid, "redis": servers.redis.child.pid}

    def places(self, chats: int, members: int) -> Places:
        found = [
            {"url": f"ws://127.0.0.1:{self._port}/socket.io/?EIO=4&transport=websocket", "token": "", "chat_id": chat_id,
             "user_id": uuid.uuid4().hex}
            for chat_id in (str(uuid.uuid4()) for _ in range(chats))
            for _ in range(members)
        ]  # fmt: skip

        async def go() -> None:
            connection = await asyncpg.connect(self._database)
            rows = [(place["chat_id"], place["user_id"]) for place in found]
            await connection.executemany("insert into members (chat_id, user_id) values ($1, $2)", rows)
            await connection.execute("analyze members")
            await connection.close()

        asyncio.run(go())
        return found

    def said(self, places: Places, count: int) -> Places:
        place = places[0]
        fetch(
            self._database,
            "insert into messages (chat_id, user_id, body) select $1, $2, 'words of a message ' || n"
            " from generate_series(1, $3) n",
            place["chat_id"], place["user_id"], count,
        )  # fmt: skip
        fetch(self._database, "analyze messages")
        url = f"http://127.0.0.1:{self._port}/chats/{place['chat_id']}/messages?limit=50"
        return [
            {"page": url, "headers": {"X-User": one["user_id"]}} for one in places if one["chat_id"] == place["chat_id"]
        ]


class Tutorial(_OneProcess):
    name = "tutorial"

    @property
    def pids(self) -> dict[str, int]:
        return {"tutorial": self._child.pid, "postgres": self._servers.postgres.child.pid}

    def places(self, chats: int, members: int) -> Places:
        ids = [uuid.uuid4().hex[:8] for _ in range(chats)]
        return [
            {
                "url": f"ws://127.0.0.1:{self._port}/ws/{chat}/{member}",
                "chat_id": chat,
                "user_id": str(member),
                "token": "",
            }
            for chat in ids
            for member in range(members)
        ]

    def said(self, places: Places, count: int) -> Places:
        raise NotImplementedError("it has no history")


@contextmanager
def parley(
    servers: Servers,
    gateways: int = 1,
    workers: int = 1,
    assistants: int = 0,
    environment: dict[str, str] | None = None,
) -> Iterator[Parley]:
    """One gateway and one worker: on two cores more of them only make smaller batches. environment: beside its own."""
    database = servers.postgres.database(f"parley_{uuid.uuid4().hex[:8]}")
    own = LIMITS | {"BROKER_URL": servers.rabbitmq.vhost(f"v{uuid.uuid4().hex[:8]}")}
    stack = Stack(
        servers, gateways=gateways, workers=workers, assistants=assistants, environment=own | (environment or {}),
        database_url=database,
    )  # fmt: skip
    stack.start()
    try:
        yield Parley(servers, stack)
    finally:
        stack.stop()


@contextmanager
def answering(servers: Servers) -> Iterator[Parley]:
    """With two who write answers, and a scripted model's server."""
    port = free_port()
    command: list[str | Path] = [sys.executable, "-m", "stack.model_server", "--port", str(port)]
    model = {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_API_KEY": "scripted", "ASSISTANT_TITLES": "off"}
    with _child("model", command, servers), parley(servers, assistants=2, environment=model) as of:
        of.model_url = model["OPENAI_BASE_URL"]
        yield of


@contextmanager
def embedded(servers: Servers) -> Iterator[Embedded]:
    role = Role(
        "embedded", "all", LIMITS | {"DATA_DIR": str(servers.folder / f"e{uuid.uuid4().hex[:8]}")}, servers.folder
    )
    role.start()
    try:
        yield Embedded(role)
    finally:
        role.child.stop()


@contextmanager
def socketio(servers: Servers) -> Iterator[SocketIO]:
    port, database = free_port(), servers.postgres.database(f"socketio_{uuid.uuid4().hex[:8]}")
    command: list[str | Path] = [node_with_packages(), SOCKETIO / "server.js", str(port), database, servers.redis.url]
    with _child("socketio", command, servers) as child:
        yield SocketIO(servers, child, port, database)


@contextmanager
def tutorial(servers: Servers) -> Iterator[Tutorial]:
    port, database = free_port(), servers.postgres.database(f"tutorial_{uuid.uuid4().hex[:8]}")
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.tutorial_server", str(port), database]
    with _child("tutorial", command, servers) as child:
        yield Tutorial(servers, child, port, database)


CONTENDERS: dict[str, Callable[[Servers], AbstractContextManager[Any]]] = {
    "parley": parley, "socketio": socketio, "tutorial": tutorial, "embedded": embedded, "answering": answering,
}  # fmt: skip


@contextmanager
def _child(name: str, command: list[str | Path], servers: Servers) -> Iterator[Child]:
    child = Child(name, command, servers.folder / f"{name}.log", dict(os.environ), ROOT)
    child.start()
    try:
        wait_until(lambda: b" is at " in child.log.read_bytes(), name, 20)
        yield child
    finally:
        child.stop()
        child.log.unlink(missing_ok=True)


def node_with_packages() -> Path:
    """Socket.IO's packages are brought once."""
    found = node()
    if not (SOCKETIO / "node_modules" / ".package-lock.json").exists():
        print("bringing Socket.IO's packages (once, some seconds) …", flush=True)
        npm(found, SOCKETIO, "ci", "--no-audit", "--no-fund", "--silent")
    return found


def settle() -> None:
    """Between two runs: what the last one left behind is done."""
    time.sleep(1.0)
