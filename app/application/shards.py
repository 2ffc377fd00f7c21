"""How the workers that live share the shards."""

from __future__ import annotations

from collections.abc import Sequence


def fair_share(worker_id: str, alive: Sequence[str], shards: int) -> set[int]:
    """Every shard has one holder in every worker's view, and nobody holds two more than another."""
    everybody = sorted({*alive, worker_id})
    place = everybody.index(worker_id)
    return {shard for shard in range(shards) if shard % len(everybody) == place}
