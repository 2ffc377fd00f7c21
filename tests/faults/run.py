"""One fault run: people talk while processes and servers are killed and stopped; afterwards everything is judged."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import websockets

from parley_client import Client, Problem, Rejected, Rest
from stack.pace import paced, within
from stack.parley import Role
from stack.processes import wait_until
from stack.servers import Servers
from tests.faults.checker import Logs, Sent, check, count_hits
from tests.faults.planted import POINTS
from tests.world import PASSWORD, PatientClient, Raw, World, start_real


@dataclass
class Report:
    seed: int
    faults: list[str] = field(default_factory=list)
    hits: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    committed: int = 0
    rejected: int = 0
    replies: int = 0
    settled_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: faults {', '.join(self.faults)}; cut points {self.hits}; {self.committed} committed,"
            f" {self.rejected} rejected, {self.replies} replies, settled in {self.settled_s:.1f} s,"
            f" {len(self.violations)} violations"
        )


class FaultRun:
    """rate: messages a second in all. defect: a planted one, which the checker must find."""

    def __init__(
        self,
        *,
        seed: int,
        faults: int,
        seconds: float,
        rate: float,
        people: int,
        defect: str = "",
        cuts_only: bool = False,
    ) -> None:
        self._random = random.Random(seed)
        self._faults, self._seconds, self._rate, self._people_count = faults, seconds, rate, people
        self._defect, self._cuts_only = defect, cuts_only
        self.report = Report(seed)
        self._logs = Logs()
        self._rests: list[Rest] = []
        self._stop = asyncio.Event()
        self._chats: list[str] = []
        self._bag: list[tuple[str, bool]] = []

    async def run(self) -> Report:
        servers = Servers(fsync=True)
        cuts = servers.folder / "cuts"
        cuts.mkdir()
        try:
            await asyncio.to_thread(servers.start)
            environment = {
                "CUT_POINTS": str(cuts),
                "PLANTED_DEFECT": self._defect,
                "CHATS_PER_H": "10000",
                "REJECTIONS_PER_MIN": "100000",
            }
            world = await asyncio.to_thread(
                start_real, servers, environment=environment, program="tests.faults.planted"
            )
            try:
                await self._talk_and_break(world, servers, cuts)
            finally:
                assert world.stack is not None and world.model is not None
                await asyncio.to_thread(world.stack.stop)
                world.model.child.stop()
        finally:
            for child in (servers.postgres.child, servers.redis.child, servers.rabbitmq.child):
                if child.running() and child.paused:
                    child.resume()
            await asyncio.to_thread(servers.stop)
        return self.report

    async def _talk_and_break(self, world: World, servers: Servers, cuts: Path) -> None:
        people = await self._gather_people(world)
        stranger = await self._stranger(world)
        async with within(self._seconds + 120):
            if self._defect == "no_dedupe":  # the database's constraints would mask it
                await self._drop_constraints(servers)
            talking = [asyncio.create_task(self._talk(client)) for client in people]
            talking += [asyncio.create_task(self._say_once(world, rest)) for rest in self._rests[:4]]
            talking.append(asyncio.create_task(self._flicker()))
            talking.append(asyncio.create_task(self._intrude(stranger)))
            await self._break(world, servers, cuts)
            self._stop.set()
            await asyncio.gather(*talking)
            await self._last_words(people, servers)
            await self._settle(world, people, servers)
        model_log = (await self._rests[0].http.get(f"{world.model.url}/log")).json()  # type: ignore[union-attr]
        self.report.violations = await check(servers.postgres.url, self._logs, model_log)
        self.report.hits = {point: count_hits(cuts)[point] for point in POINTS}
        for client in people:
            await client.close()
        for rest in self._rests:
            await rest.close()

    # People

    async def _gather_people(self, world: World) -> list[Client]:
        clients = []
        for n in range(self._people_count):
            rest = Rest(world.urls[n % len(world.urls)])
            await rest.register(f"f{n}-{uuid.uuid4().hex[:8]}", PASSWORD)
            self._rests.append(rest)
        users = [rest.user["id"] for rest in self._rests]
        for n in range(4):
            members = users[n::4]
            chat = await self._rests[n].post("/v1/chats", {"kind": "group", "member_ids": members})
            # One of each group may only read: what they send is refused, always.
            if len(members) > 3:
                await self._rests[n].patch(f"/v1/chats/{chat['id']}/members/{members[-1]}", {"role": "reader"})
            self._chats.append(chat["id"])
        for n, rest in enumerate(self._rests):
            urls = world.urls[n % len(world.urls) :] + world.urls[: n % len(world.urls)]
            client = self._client(rest, urls)
            await client.start()
            clients.append(client)
        return clients

    def _client(self, rest: Rest, urls: list[str]) -> Client:
        user_id = rest.user["id"]
        replies, ends = self._logs.deltas.setdefault(user_id, []), self._logs.outcomes.setdefault(user_id, [])

        def see(frame: dict[str, Any]) -> None:
            if frame["type"] in ("reply.delta", "reply.snapshot", "message.completed"):
                replies.append(frame)
            elif frame["type"] in ("rejected", "committed"):
                id_ = frame.get("client_message_id") or frame.get("command_id")
                ends.append({"id": id_, "end": frame["type"]})
            elif frame["type"] == "message.created" and frame["message"]["sender_id"] == user_id:
                ends.append({"id": frame["message"]["client_message_id"], "end": "committed"})

        client = PatientClient(rest, urls=urls, on_frame=see, keep_events=True, backoff_first_s=0.1, backoff_max_s=1.0)
        self._logs.clients[user_id] = client
        return client

    async def _talk(self, client: Client) -> None:
        user_id = client.rest.user["id"]
        mine = [chat_id for chat_id in self._chats if chat_id in client.chats]
        assert len(mine) == 1
        sent = Sent(mine[0], user_id)
        self._logs.sent.append(sent)
        pause_s = self._people_count / self._rate
        if client.rest is self._rests[4]:
            pause_s = 0.03  # the one who flickers: so that some of it is in every batch that is delivered again
        reader = next(c["my_role"] for c in client.welcome["chats"] if c["id"] == mine[0]) == "reader"
        n = 0
        while not self._stop.is_set():
            n += 1
            id_ = str(uuid.uuid4())
            body = f"{'refused ' if reader else ''}{n}"
            if not reader and self._random.random() < 0.02:
                body = f'@assistant script: {{"words": {self._random.randrange(5, 60)}, "every_ms": 30}}'
                self.report.replies += 1
            sent.ids.append(id_)
            future = client.send(mine[0], body, id_=id_)
            future.add_done_callback(lambda done, i=id_: self._ended(sent, i, done))  # type: ignore[misc]
            await asyncio.sleep(self._random.uniform(0.5, 1.5) * pause_s)

    async def _say_once(self, world: World, rest: Rest) -> None:
        """A careless client: it never repeats anything. What it was told is accepted must end all the same (I1)."""
        chat_id = self._chats[self._rests.index(rest)]
        while not self._stop.is_set():
            try:
                raw = await asyncio.wait_for(Raw.open(self._random.choice(world.urls)), paced(5))
                await raw.send({"type": "hello", "token": await rest.token()})
                await raw.expect("welcome", 5)
                while not self._stop.is_set():
                    send = {
                        "type": "message.send",
                        "chat_id": chat_id,
                        "client_message_id": str(uuid.uuid4()),
                        "body": "once",
                    }
                    ref = raw.ref()
                    await raw.send(send | {"ref": ref})
                    answer = await raw.until(lambda f, r=ref: f.get("ref") == r, 5)  # type: ignore[misc]
                    if answer["type"] == "accepted":
                        self._logs.accepted.append((chat_id, rest.user["id"], answer["client_message_id"]))
            except (OSError, TimeoutError, websockets.WebSocketException, httpx2.HTTPError, Problem):
                await asyncio.sleep(0.2)
            else:
                await raw.close()

    async def _stranger(self, world: World) -> Client:
        rest = Rest(world.urls[0])
        self._rests.append(rest)
        await rest.register(f"stranger-{uuid.uuid4().hex[:8]}", PASSWORD)
        client = Client(rest, urls=world.urls, on_frame=self._logs.strangers.append)
        await client.start()
        return client

    async def _intrude(self, client: Client) -> None:
        """A member of nothing, who tries to write and to listen everywhere (I6)."""
        while not self._stop.is_set():
            chat_id = self._random.choice(self._chats)
            client.send(chat_id, "refused: from a stranger")
            client.typing(chat_id)
            with contextlib.suppress(TimeoutError, ConnectionError):
                await client.request("sync", chats={chat_id: 0})
            await asyncio.sleep(0.5)
        await client.close()

    async def _flicker(self) -> None:
        """One who is muted and unmuted all the time: a refusal must stay one, whatever is delivered again."""
        owner, other = self._rests[0], self._rests[4]
        path = f"/v1/chats/{self._chats[0]}/members/{other.user['id']}"
        for turn in itertools.count():
            until = "2099-01-01T00:00:00Z" if turn % 2 == 0 else None
            with contextlib.suppress(Problem, httpx2.HTTPError, TimeoutError):
                await asyncio.wait_for(owner.call("PATCH", path, json={"muted_until": until}), paced(5))
            if self._stop.is_set() and until is None:
                return
            await asyncio.sleep(0.1)

    async def _last_words(self, people: list[Client], servers: Servers) -> None:
        """The last event of each chat, lost by Redis: no gap shows it, and everybody must have it all the same (I7)."""
        await asyncio.to_thread(servers.redis.child.kill)
        spoken = []
        for chat_id in self._chats:
            speaker = next(s for s in self._logs.sent if s.chat_id == chat_id and s.ends)
            client = self._logs.clients[speaker.sender_id]
            id_ = str(uuid.uuid4())
            speaker.ids.append(id_)
            future = client.send(chat_id, "last", id_=id_)
            future.add_done_callback(lambda done, s=speaker, i=id_: self._ended(s, i, done))  # type: ignore[misc]
            spoken.append(future)
        await asyncio.sleep(3)
        await asyncio.to_thread(servers.redis.start)

    async def _drop_constraints(self, servers: Servers) -> None:
        connection = await asyncpg.connect(servers.postgres.url)
        for table, kind in (("messages", "u"), ("outcomes", "p")):
            for row in await connection.fetch(
                "select conname from pg_constraint where conrelid = $1::regclass and contype = $2", table, kind.encode()
            ):
                await connection.execute(f'alter table {table} drop constraint "{row["conname"]}"')
        await connection.close()

    def _ended(self, sent: Sent, id_: str, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            return
        if isinstance(done.exception(), Rejected):
            sent.ends[id_] = "rejected"
            self.report.rejected += 1
        else:
            sent.ends[id_] = "committed"
            self.report.committed += 1

    # Faults

    async def _break(self, world: World, servers: Servers, cuts: Path) -> None:
        """Faults at random times, each mended after a while; cut points in turn, so that each is hit."""
        stack = world.stack
        assert stack is not None
        every_s = self._seconds / self._faults
        points = list(POINTS)
        self._random.shuffle(points)
        for number in range(self._faults):
            began = time.monotonic()
            if points and (number % 2 == 0 or self._cuts_only):
                await self._cut(points.pop(), stack.roles, cuts)
            else:
                await self._break_one(world, servers)
            await asyncio.sleep(max(0.0, every_s - (time.monotonic() - began)))

    async def _cut(self, point: str, roles: list[Role], cuts: Path) -> None:
        """Arm the point; whoever reaches it first is gone, and is started again."""
        self.report.faults.append(f"cut {point}")
        (cuts / point).touch()
        if POINTS[point] == "assistant":
            client = self._random.choice([c for c in self._logs.clients.values() if c.status == "online"])
            with contextlib.suppress(Exception):
                await self._ask(client)
        await asyncio.to_thread(_until_dead, roles, cuts / point)
        await asyncio.sleep(self._random.uniform(0.1, 1.0))
        for role in roles:
            if not role.child.running():
                await asyncio.to_thread(role.start)

    async def _ask(self, client: Client) -> None:
        sent = next(s for s in self._logs.sent if s.sender_id == client.rest.user["id"])
        id_ = str(uuid.uuid4())
        sent.ids.append(id_)
        future = client.send(sent.chat_id, '@assistant script: {"words": 20, "every_ms": 20}', id_=id_)
        future.add_done_callback(lambda done: self._ended(sent, id_, done))

    def _fill_bag(self) -> list[tuple[str, bool]]:
        """Each kind of process, killed and stopped, once; the broker's death among the first."""
        kinds = ("gateway", "worker", "assistant", "redis", "postgres", "rabbitmq")
        bag = [(kind, stop) for kind in kinds for stop in (False, True) if (kind, stop) != ("rabbitmq", False)]
        self._random.shuffle(bag)
        bag.insert(len(bag) - self._random.randrange(4), ("rabbitmq", False))
        return bag

    async def _break_one(self, world: World, servers: Servers) -> None:
        stack = world.stack
        assert stack is not None
        if not self._bag:
            self._bag = self._fill_bag()
        kind, stop = self._bag.pop()
        self.report.faults.append(f"{'SIGSTOP' if stop else 'SIGKILL'} {kind}")
        role = next((r for r in self._random.sample(stack.roles, len(stack.roles)) if r.role == kind), None)
        child = role.child if role else getattr(servers, kind).child
        if stop:
            child.pause()
            await asyncio.sleep(self._random.uniform(0.5, 4.0))
            child.resume()
            return
        if kind == "rabbitmq":  # it hangs, then dies: what was only in its buffers is gone
            child.pause()
            await asyncio.sleep(self._random.uniform(0.3, 1.0))
        await asyncio.to_thread(child.kill)
        await asyncio.sleep(self._random.uniform(0.1, 1.5))
        await asyncio.to_thread((role or getattr(servers, kind)).start)

    # After the faults

    async def _settle(self, world: World, people: list[Client], servers: Servers) -> None:
        """Everything accepted must end, and everyone must have everything, by itself."""
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with within(45):
                while any(client.unfinished for client in people):
                    await asyncio.sleep(0.1)
                while not await self._replies_ended(servers):
                    await asyncio.sleep(0.2)
        self.report.settled_s = time.monotonic() - began
        await asyncio.sleep(paced(5))  # I7: whoever reads has all of it within 5 s

    async def _replies_ended(self, servers: Servers) -> bool:
        connection = await asyncpg.connect(servers.postgres.url)
        try:
            return not await connection.fetchval("select count(*) from replies where not finished")
        finally:
            await connection.close()


def _until_dead(roles: list[Role], armed: Path) -> None:
    """Until somebody took the armed point and died of it."""
    wait_until(lambda: not armed.exists(), f"cut point {armed.name}", 20, 0.02)
    wait_until(lambda: any(not role.child.running() for role in roles), "a death", 5, 0.02)


async def run_faults(**settings: Any) -> Report:
    report = await FaultRun(**settings).run()
    print(report)
    for violation in report.violations[:20]:
        print("  ", violation)
    return report
