"""Shards are shared fairly."""

from __future__ import annotations

from app.application.shards import fair_share


def test_every_shard_has_one_holder_and_nobody_two_more_than_another() -> None:
    for count in range(1, 12):
        alive = [f"w{n}" for n in range(count)]
        shares = [fair_share(worker, alive, 8) for worker in alive]
        assert sorted(shard for share in shares for shard in share) == list(range(8))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert fair_share("new", ["a"], 8) | fair_share("a", ["a", "new"], 8) == set(range(8))
