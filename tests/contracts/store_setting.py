"""A store on SQLite and on PostgreSQL, with a worker that decides: what its contracts are tried on."""

from __future__ import annotations

from typing import Any

from app.adapters.policy.cedar import CedarPolicies
from app.adapters.store.accounts import SqlAccounts
from app.adapters.store.assistants import SqlAssistants
from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.database import Database
from app.adapters.store.history import SqlHistory
from app.adapters.store.jobs import SqlJobs
from app.adapters.store.timeline_reads import SqlTimeline
from app.adapters.wire.encoder import JsonCodec, ShownLimits
from app.application.authorize import Pep
from app.application.ports.people import Account
from app.application.process import Worker
from app.domain.command import Command
from app.domain.fold import Limits
from app.domain.state import Decided
from app.infrastructure.wiring import POLICIES
from app.infrastructure.wiring import new_id as new_uuid7
from tests import actions as c
from tests.world import new_id

SHARDS = 8
PEP = Pep(CedarPolicies(POLICIES))
CODEC = JsonCodec(ShownLimits(1, 1, 1, 1, 1))


class Store:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.accounts, self.history = SqlAccounts(database), SqlHistory(database)
        self.timeline, self.jobs = SqlTimeline(database), SqlJobs(database, summaries=True)
        self.assistants = SqlAssistants(database)
        self.decided: list[Decided] = []
        self.log = SqlCommandLog(database)
        self.worker = Worker(self.log, PEP.ask, self._announce, new_uuid7, SHARDS, Limits(1000, quiet_s=0.05), 600.0)

    async def _announce(self, decided: Decided) -> None:
        self.decided.append(decided)

    async def person(self) -> str:
        id_ = new_id()
        assert await self.accounts.create(Account(id_, f"u{id_[:8]}", "U", "human", "user", {"a": [1]}, "hash"))
        return id_

    async def do(self, *commands: Command) -> list[Any]:
        self.decided.clear()
        await self.worker._decide(commands)
        return [result for decided in self.decided for result in decided.results]

    async def group(self, owner: str, *others: str) -> str:
        chat_id = new_id()
        [made] = await self.do(Command(chat_id, owner, new_id(), c.CreateChat("group", "g", others)))
        assert made.outcome.seq == 1, made
        return chat_id
