"""Worlds to test in: the product as one process, and as roles on real servers. Reached through public doors only."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import aio_pika
import httpx2
import jsonschema_rs
import websockets
from websockets.asyncio.client import ClientConnection, connect

from app.adapters.broker.envelope import EnvelopeCodec
from app.adapters.broker.rabbitmq.connection import queue_name
from app.adapters.pages.asyncapi import asyncapi
from app.application.lanes import Lanes
from app.domain.command import Command
from parley_client import Client, Problem, Rest
from stack.pace import paced, within
from stack.parley import ROOT, Role, Stack
from stack.processes import Child, free_port, wait_until
from stack.servers import Servers
from tests.issuer import Issuer

PASSWORD = "correct horse battery"
SHARDS = 8
LANES = Lanes(SHARDS, 2)
"""Of a new database, as its processes are started here."""


class ModelServer:
    """The scripted model server as a child process."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        calls = str(folder / "model.calls")
        command = [sys.executable, "-m", "stack.model_server", "--port", str(self.port), "--calls", calls]
        self.child = Child("model", command, folder / "model.log", {"PYTHONUNBUFFERED": "1"}, ROOT)

    def start(self) -> None:
        self.child.start()
        wait_until(lambda: b"is at" in self.child.log.read_bytes(), "the model server", 20)


class World:
    """name: embedded or real. urls: its gateways."""

    def __init__(self, name: str, urls: list[str], stack: Stack | None = None, role: Role | None = None) -> None:
        self.name, self.urls, self.stack, self.role = name, urls, stack, role
        self.model: ModelServer | None = None
        self.issuer: Issuer | None = None
        self._operator: str | None = None

    def make_operator(self, username: str) -> None:
        """The first by the command line, a process of its own; others by that one, as long as it is an operator."""
        if self._operator is not None and self._promoted(self._operator, username):
            return
        role = self.role or (self.stack.gateways[0] if self.stack is not None else None)
        assert role is not None
        done = role.run("operator", username)
        assert done.returncode == 0 and username in done.stdout, done.stderr
        self._operator = username

    def _promoted(self, by: str, username: str) -> bool:
        with httpx2.Client(base_url=self.urls[0], timeout=30) as http:
            form = {"grant_type": "password", "username": by, "password": PASSWORD}
            signed = http.post("/v1/auth/token", data=form).json()
            http.headers["Authorization"] = f"Bearer {signed.get('access_token')}"
            found = http.get("/v1/admin/users", params={"query": username}).json().get("items", [])
            paths = [f"/v1/admin/users/{one['id']}" for one in found if one["username"] == username]
            done = paths and http.patch(paths[0], json={"role": "operator"}).status_code == 200
            http.post("/v1/auth/logout")
            return bool(done)

    @property
    def secret(self) -> str:
        """What tokens and envelopes are signed with."""
        if self.stack is not None:
            return self.stack.environment["JWT_SECRET"]
        assert self.role is not None
        return (Path(self.role.child.environment["DATA_DIR"]) / "jwt_secret").read_text().strip()

    @property
    def embedded(self) -> bool:
        return self.name == "embedded"


def start_embedded(environment: dict[str, str] | None = None, folder: Path | None = None, port: int = 0) -> World:
    folder = folder or Path(tempfile.mkdtemp(prefix="parley-e-", dir="/tmp"))
    role = Role("embedded", "all", {"DATA_DIR": str(folder / "data")} | (environment or {}), folder, port)
    role.start()
    return World("embedded", [role.url], role=role)


def stop_embedded(world: World) -> None:
    assert world.role is not None
    world.role.child.stop()
    shutil.rmtree(world.role.child.log.parent, ignore_errors=True)


_MODEL = {"ASSISTANT_MAX_TOKENS": "500", "ASSISTANT_TEMPERATURE": "0.5", "ASSISTANT_TITLES": "off"}
"""What a model may refuse; and no calls but those that a test means."""


def start_real(servers: Servers, **more: Any) -> World:
    model = ModelServer(servers.folder)
    model.start()
    environment = {
        "OPENAI_BASE_URL": f"{model.url}/v1", "ASSISTANT_SILENCE_S": "3", "ASSISTANT_QUIET_S": "2", "PROVIDERS": providers(model), **_MODEL,
    } | more.pop("environment", {})  # fmt: skip
    stack = Stack(servers, environment=environment, **more)
    stack.start()
    world = World("real", stack.urls, stack)
    world.model = model
    return world


def providers(model: ModelServer) -> str:
    """Beside the default: another by the same server, with a price and a bound, and one that is down, for which it stands in."""
    other = {
        "base_url": f"{model.url}/v1", "key": "another-key", "model": "other-small", "models": ["other-small", "other-large"],
        "concurrency": 2, "price": {"input": 1000.0, "output": 2000.0}, "local": True,
    }  # fmt: skip
    down = {"base_url": f"http://127.0.0.1:{free_port()}/v1", "model": "none"}
    default = {"rest_after": 0}  # tests of other things make it fail again and again
    return json.dumps(
        {"default": default, "other": other, "down": {**down, "fallback": "other", "fallback_model": "other-large"}}
    )


async def straight_to_the_queue(world: World, *commands: Command, secret: str = "") -> None:
    """Commands of one chat in one envelope, as somebody with the broker's password would put them there."""
    assert world.stack is not None
    codec = EnvelopeCodec([secret or world.secret])
    lane = LANES.of(commands[0].chat_id)
    sealed = codec.seal(lane, [codec.pack_command(command) for command in commands])
    async with await aio_pika.connect(world.stack.environment["BROKER_URL"]) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(sealed), queue_name(LANES, lane))


class PatientClient(Client):
    """Waits longer where the machine is kept busy by others."""

    async def wait_for(self, found: Callable[[], Any], wait_s: float = 15.0) -> Any:
        return await super().wait_for(found, paced(wait_s))


class Person:
    """Somebody with an account. rest: one for each gateway."""

    def __init__(self, world: World, rests: list[Rest]) -> None:
        self.world = world
        self.rests = rests
        self.rest = rests[0]
        self.id: str = self.rest.user["id"]
        self.name: str = self.rest.user["username"]
        self._open: list[Any] = []

    async def client(self, gateway: int = 0, **more: Any) -> Client:
        """A good client that stays connected."""
        client = PatientClient(
            self.rests[gateway % len(self.rests)], keep_events=True, backoff_first_s=0.1, backoff_max_s=1.0, **more
        )
        self._open.append(client)
        await client.start()
        return client

    async def socket(self, gateway: int = 0, **more: Any) -> Raw:
        """A bare socket after its welcome."""
        raw = await Raw.open(self.world.urls[gateway % len(self.world.urls)])
        self._open.append(raw)
        await raw.send({"type": "hello", "token": self.rest.access_token, **more})
        raw.welcome = await raw.expect("welcome")
        return raw

    async def close(self) -> None:
        for thing in [*self._open, *self.rests]:
            with suppress(Exception):
                await thing.close()


class People:
    """Makes people, and closes what they opened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._all: list[Person] = []

    async def make(self, name: str = "p") -> Person:
        rests = [Rest(url) for url in self.world.urls]
        await rests[0].register(f"{name}-{uuid.uuid4().hex[:10]}", PASSWORD, name.title())
        for rest in rests[1:]:
            rest.access_token, rest.user = rests[0].access_token, rests[0].user
        person = Person(self.world, rests)
        self._all.append(person)
        return person

    async def group(self, owner: Person, *others: Person, **more: Any) -> str:
        body = {"kind": "group", "title": "a group", "member_ids": [p.id for p in others], **more}
        headers = {"Idempotency-Key": new_id()}
        async with within(15):
            while True:
                try:
                    return str((await owner.rest.post("/v1/chats", body, headers=headers))["id"])
                except Problem as problem:
                    if problem.code != "unavailable":
                        raise
                    await asyncio.sleep(problem.body["retry_after_ms"] / 1000)

    async def close(self) -> None:
        for person in self._all:
            await person.close()


def assert_documented(frame: dict[str, Any]) -> None:
    """The AsyncAPI document has this frame, with exactly these fields."""
    validator = _validators().get(frame["type"])
    assert validator is not None, f"no such frame in the document: {frame['type']}"
    validator.validate(frame)


@cache
def _validators() -> dict[str, Any]:
    """By frame, for what the service sends; an unknown field is an undocumented one."""
    document = asyncapi()
    schemas = {
        name: {"additionalProperties": False, **schema} for name, schema in document["components"]["schemas"].items()
    }
    found = {}
    for key, message in document["components"]["messages"].items():
        kind, _, name = key.partition(".")
        if kind == "frame":
            schema = {"$ref": message["payload"]["$ref"], "components": {"schemas": schemas}}
            found[name] = jsonschema_rs.validator_for(schema)
    return found


class Raw:
    """A bare socket: sends lines, collects frames."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[dict[str, Any]] = []
        self.welcome: dict[str, Any] = {}
        self._waiting: list[dict[str, Any]] = []
        self._refs = itertools.count(1)

    @classmethod
    async def open(cls, url: str, **more: Any) -> Raw:
        address = url.replace("http", "ws", 1) + more.pop("path", "/v1/ws")
        return cls(
            await connect(
                address,
                subprotocols=[websockets.Subprotocol("parley.v1")],
                compression=None,
                proxy=None,
                ping_interval=None,
                close_timeout=1,
                max_size=2**20,
                **more,
            )
        )

    async def send(self, *frames: dict[str, Any]) -> None:
        await self.socket.send("\n".join(json.dumps(frame) for frame in frames))

    def ref(self) -> str:
        return f"r{next(self._refs)}"

    async def ask(self, frame: dict[str, Any]) -> dict[str, Any]:
        """Send with a ref; the first frame that repeats it."""
        ref = self.ref()
        await self.send(frame | {"ref": ref})
        return await self.until(lambda f: f.get("ref") == ref)

    async def until(self, good: Callable[[dict[str, Any]], Any], wait_s: float = 10) -> dict[str, Any]:
        for place, frame in enumerate(self._waiting):
            if good(frame):
                return self._waiting.pop(place)
        async with within(wait_s):
            while True:
                for frame in await self.read():
                    if good(frame):
                        index = self._waiting.index(frame)
                        return self._waiting.pop(index)

    async def read(self) -> list[dict[str, Any]]:
        text = await self.socket.recv()
        frames = [json.loads(line) for line in str(text).split("\n")]
        for frame in frames:
            assert_documented(frame)
        self.seen += frames
        self._waiting += frames
        return frames

    async def expect(self, type_: str, wait_s: float = 10, **fields: Any) -> dict[str, Any]:
        return await self.until(lambda f: f["type"] == type_ and all(f.get(k) == v for k, v in fields.items()), wait_s)

    async def settle(self, quiet_s: float = 0.3) -> list[dict[str, Any]]:
        """Read until nothing more comes; a round trip of `ping` shows that all sent before was handled."""
        with suppress(TimeoutError):
            while True:
                async with within(quiet_s):
                    await self.read()
        return self.seen

    async def closed(self, wait_s: float = 10) -> int:
        """The code that the server closes with."""
        async with within(wait_s):
            with suppress(websockets.ConnectionClosed):
                while True:
                    await self.read()
        return self.socket.close_code or 1006

    async def close(self) -> None:
        self.socket.transport.abort()


def new_id() -> str:
    return str(uuid.uuid4())


def seeded() -> random.Random:
    """Randomness whose seed is printed with a failing test."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)
