"""What was decided of late, on both databases."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

import app.adapters.store.decisions as decisions_module
from app.adapters.store.database import Database
from app.adapters.store.decisions import SqlDecisions
from app.application.clock import utc_now
from app.application.decisions import Decision
from tests.world import new_id


def decision(role: str, minutes: int = 0, **more: Any) -> Decision:
    made: dict[str, Any] = {
        "action": "message.send", "facts": {"role": role, "scopes": [], "person": {}}, "allowed": True, "policies": ("p", "q"),
        "command": (new_id(), new_id(), new_id()), "type": "message.send", "at": utc_now() + timedelta(minutes=minutes), "count": 1,
    }  # fmt: skip
    return Decision(**(made | more))


async def test_the_newest_command_stands_and_counts_are_added(database: Database) -> None:
    log = SqlDecisions(database)
    first, second = decision("owner", count=3), decision("owner", 1, allowed=False, policies=("r",))
    other = decision("reader", -1)
    await log.note([first, other])
    await log.note([second])
    newest, older = await log.last(10)
    assert (newest.command, newest.allowed, newest.policies, newest.count) == (second.command, False, ("r",), 4)
    assert older == other and newest.facts == first.facts
    assert [one.command for one in await log.last(1)] == [second.command]


async def test_several_write_at_once(database: Database) -> None:
    log = SqlDecisions(database)
    some = [decision(f"role-{n}") for n in range(300)]
    await asyncio.gather(*(log.note(some if k % 2 else some[::-1]) for k in range(4)))
    assert {one.count for one in await log.last(1_000)} == {4}


async def test_the_oldest_go(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions_module, "KEPT_MAX", 5)
    log = SqlDecisions(database)
    await log.note([decision(f"role-{n}", n) for n in range(9)])
    assert [one.facts["role"] for one in await log.last(100)] == [f"role-{n}" for n in range(8, 3, -1)]
