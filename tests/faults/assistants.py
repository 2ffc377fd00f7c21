"""Faults while assistants answer: python -m tests.faults.assistants [--faults 300] [--questions 100] [--seed N]

People in groups of five ask; assistant workers, workers, Redis, the database and the model's server are killed and stopped. Then
each question must have exactly one answer with exactly one end, the same text for all five, and no more calls of the model than
its tries and the deaths account for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx2

from app.application.reply import RETRIES_MAX
from parley_client import Client, Problem, Rest
from stack.pace import paced, within
from stack.processes import Child
from stack.servers import Servers
from tests.world import PASSWORD, PatientClient, World, start_real

GROUPS, EACH = 4, 5
BAG = (
    ("assistant", "kill"), ("assistant", "kill"), ("assistant", "kill"), ("assistant", "stop"), ("assistant", "stop"),
    ("worker", "kill"), ("worker", "stop"), ("redis", "kill"), ("redis", "stop"), ("postgres", "kill"),
    ("postgres", "stop"), ("model", "kill"), ("model", "stop"),
)  # fmt: skip
"""Each once, in any order, then anew."""


@dataclass
class Report:
    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    questions: int = 0
    attempts: int = 0
    calls: int = 0
    settled_s: float = 0.0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.faults.total()} faults {dict(self.faults)}; {self.questions} questions, ends"
            f" {dict(self.ends)}, {self.attempts} attempts, {self.calls} calls, settled in {self.settled_s:.1f} s,"
            f" {len(self.violations)} violations"
        )


class Run:
    """every_s: from one fault to the next."""

    def __init__(self, *, seed: int, faults: int, questions: int, every_s: float) -> None:
        self._random = random.Random(seed)
        self._faults, self._questions, self._every_s = faults, questions, every_s
        self.report = Report(seed)
        self._asked: dict[str, tuple[str, int]] = {}
        """By its mark: the chat, and the question's seq."""
        self._clients: dict[str, list[Client]] = {}
        self._rests: list[Rest] = []
        self._bag: list[tuple[str, str]] = []

    async def run(self) -> Report:
        servers = Servers(fsync=True)
        try:
            await asyncio.to_thread(servers.start)
            world = await asyncio.to_thread(start_real, servers, assistants=2)
            assert world.stack is not None and world.model is not None
            try:
                await self._gather(world)
                asking = asyncio.create_task(self._ask())
                await self._break(world, servers)
                await asking
                await self._settle(servers)
                await self._judge(servers)
            finally:
                await self._close()
                for child in (servers.postgres.child, servers.redis.child, world.model.child):
                    if child.running() and child.paused:
                        child.resume()
                await asyncio.to_thread(world.stack.stop)
                world.model.child.stop()
        finally:
            await asyncio.to_thread(servers.stop)
        return self.report

    async def _gather(self, world: World) -> None:
        for n in range(2 * EACH):
            rest = Rest(world.urls[n % len(world.urls)])
            await rest.register(f"a{n}-{uuid.uuid4().hex[:8]}", PASSWORD)
            self._rests.append(rest)
        clients: list[Client] = [
            PatientClient(rest, keep_events=True, backoff_first_s=0.1, backoff_max_s=1.0) for rest in self._rests
        ]
        for client in clients:
            await client.start()
        for n in range(GROUPS):
            people = list(range(n, n + EACH))
            ids = [self._rests[m].user["id"] for m in people[1:]]
            chat = await self._rests[n].post("/v1/chats", {"kind": "group", "member_ids": ids})
            self._clients[chat["id"]] = [clients[m] for m in people]
        for chat_id, members in self._clients.items():
            for client in members:
                await client.wait_for(partial(client.chats.__contains__, chat_id))

    async def _ask(self) -> None:
        chats = list(self._clients)
        for n in range(self._questions):
            chat_id, mark = chats[n % len(chats)], uuid.uuid4().hex
            script = {"words": self._random.randrange(30, 150), "every_ms": 40, "mark": mark}
            client = self._random.choice(self._clients[chat_id])
            sent = client.send(chat_id, f"@assistant script: {json.dumps(script)}")
            sent.add_done_callback(partial(self._sent, mark, chat_id))
            await asyncio.sleep(self._faults * self._every_s / self._questions)

    def _sent(self, mark: str, chat_id: str, done: asyncio.Future[Any]) -> None:
        """By its event, or as `committed` where its event was known before."""
        if done.cancelled():
            return
        if done.exception() is not None:
            self.report.violations.append(f"a question ended by {done.exception()!r}")
        else:
            self._asked[mark] = (chat_id, int(done.result()["seq"]))

    # Faults

    async def _break(self, world: World, servers: Servers) -> None:
        for _ in range(self._faults):
            began = time.monotonic()
            if not self._bag:
                self._bag = self._random.sample(BAG, len(BAG))
            kind, how = self._bag.pop()
            self.report.faults[f"{how} {kind}"] += 1
            await self._one(world, servers, kind, how)
            await asyncio.sleep(max(0.0, self._every_s - (time.monotonic() - began)))

    async def _one(self, world: World, servers: Servers, kind: str, how: str) -> None:
        assert world.stack is not None and world.model is not None
        of_stack = [role for role in world.stack.roles if role.role == kind]
        thing: Any = (
            self._random.choice(of_stack) if of_stack else world.model if kind == "model" else getattr(servers, kind)
        )
        child: Child = thing.child
        if how == "stop":
            child.pause()
            await asyncio.sleep(self._random.uniform(0.3, 2.5))
            child.resume()
            return
        await asyncio.to_thread(child.kill)
        await asyncio.sleep(self._random.uniform(0.1, 1.0))
        await asyncio.to_thread(thing.start)

    # Afterwards

    async def _settle(self, servers: Servers) -> None:
        began = time.monotonic()
        with contextlib.suppress(TimeoutError):
            async with within(90):
                while len(self._asked) < self._questions or not await self._all_ended(servers):
                    await asyncio.sleep(0.2)
        self.report.settled_s = time.monotonic() - began
        await asyncio.sleep(paced(5))

    async def _all_ended(self, servers: Servers) -> bool:
        connection = await asyncpg.connect(servers.postgres.url)
        try:
            return not await connection.fetchval("select count(*) from replies where not finished")
        finally:
            await connection.close()

    async def _judge(self, servers: Servers) -> None:
        report, wrong = self.report, self.report.violations
        report.questions = len(self._asked)
        if len(self._asked) < self._questions:
            wrong.append(f"{self._questions - len(self._asked)} questions were never committed")
        log = Path(servers.folder / "model.calls")
        calls: Counter[str] = Counter()
        for (
            line
        ) in log.read_text().splitlines():  # what was said before it, and has no answer, stands before the question
            mark = max(self._asked, key=line.rfind, default="")
            calls[mark] += 1
            if not mark or mark not in line:
                wrong.append(f"a call that nobody asked for: {line[:80]}")
        connection = await asyncpg.connect(servers.postgres.url)
        try:
            for mark, (chat_id, seq) in self._asked.items():
                question_id = await connection.fetchval(
                    "select id from messages where chat_id = $1 and seq = $2", uuid.UUID(chat_id), seq
                )
                answers = await connection.fetch(
                    "select id, status, body from messages where chat_id = $1 and reply_to = $2 and kind = 'assistant'",
                    uuid.UUID(chat_id), question_id,
                )  # fmt: skip
                if len(answers) != 1:
                    wrong.append(f"{len(answers)} answers to {question_id}")
                    continue
                [answer] = answers
                report.ends[answer["status"]] += 1
                ends = await connection.fetchval(
                    "select count(*) from changes where chat_id = $1 and message_id = $2 and type = 'message.completed'",
                    uuid.UUID(chat_id), answer["id"],
                )  # fmt: skip
                if answer["status"] == "pending" or ends != 1:
                    wrong.append(f"{answer['id']} is {answer['status']}, with {ends} ends")
                self._compare(chat_id, str(answer["id"]), answer["body"])
                attempts = await connection.fetch(
                    'select "end", calls from attempts where chat_id = $1 and message_id = $2',
                    uuid.UUID(chat_id), answer["id"],
                )  # fmt: skip
                report.attempts += len(attempts)
                report.calls += calls[mark]
                allowed = sum(one["calls"] if one["end"] is not None else 1 + RETRIES_MAX for one in attempts)
                if answer["status"] == "complete" and not calls[mark]:
                    wrong.append(f"{answer['id']} is complete, and nobody asked the model")
                if calls[mark] > allowed:
                    wrong.append(f"{calls[mark]} calls in {len(attempts)} attempts, {allowed} allowed: {answer['id']}")
        finally:
            await connection.close()

    def _compare(self, chat_id: str, message_id: str, body: str) -> None:
        """All five were told of one end, with this text."""
        for client in self._clients[chat_id]:
            told = [
                event["message"]["body"]
                for event in client.chats[chat_id].events
                if event["type"] == "message.completed" and event["message"]["id"] == message_id
            ]
            if told != [body]:
                name = client.rest.user["username"]
                self.report.violations.append(
                    f"{name} was told of {len(told)} ends of {message_id}, or of another text"
                )

    async def _close(self) -> None:
        for client in {client for members in self._clients.values() for client in members}:
            with contextlib.suppress(Problem, httpx2.HTTPError, OSError):
                await client.close()
        for rest in self._rests:
            await rest.close()


async def run(**settings: Any) -> Report:
    report = await Run(**settings).run()
    print(report)
    for violation in report.violations[:20]:
        print("  ", violation)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--every-s", type=float, default=4.5)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args()
    report = asyncio.run(run(seed=given.seed, faults=given.faults, questions=given.questions, every_s=given.every_s))
    raise SystemExit(1 if report.violations else 0)


if __name__ == "__main__":
    main()
