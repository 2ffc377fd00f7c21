"""Which queue carries a chat's commands, and how the workers that live share the queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.ids import shard_of


@dataclass(slots=True)
class Lanes:
    """A lane is a queue that carries the commands of many shards: fewer envelopes, confirms and acks for the same order.

    shards: the units of lock and order. count: of lanes, as the store has it; each process reads it when it starts, before
    anything goes by it, since a chat's commands must never wait in two queues.
    """

    shards: int
    count: int

    def of(self, chat_id: str) -> int:
        return shard_of(chat_id, self.shards) % self.count


def fair_share(worker_id: str, alive: Sequence[str], lanes: int) -> set[int]:
    """Every lane has one holder in every worker's view, and nobody holds two more than another."""
    everybody = sorted({*alive, worker_id})
    place = everybody.index(worker_id)
    return {lane for lane in range(lanes) if lane % len(everybody) == place}
