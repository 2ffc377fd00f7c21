"""Lanes carry whole shards, and are shared fairly."""

from __future__ import annotations

import pytest

from app.application.lanes import Lanes, fair_share
from app.domain.ids import shard_of
from tests.world import new_id


@pytest.mark.parametrize(("shards", "count"), [(8, 2), (8, 8), (8, 3), (1, 1), (256, 7)])
def test_a_shard_is_in_one_lane(shards: int, count: int) -> None:
    lanes, seen = Lanes(shards, count), dict[int, int]()
    for chat_id in (new_id() for _ in range(2_000)):
        assert seen.setdefault(shard_of(chat_id, shards), lanes.of(chat_id)) == lanes.of(chat_id)
    assert set(seen.values()) == set(range(count))


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_every_lane_has_one_holder_and_nobody_two_more_than_another(lanes: int) -> None:
    for count in range(1, 12):
        alive = [f"w{n}" for n in range(count)]
        shares = [fair_share(worker, alive, lanes) for worker in alive]
        assert sorted(lane for share in shares for lane in share) == list(range(lanes))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert fair_share("new", ["a"], 8) | fair_share("a", ["a", "new"], 8) == set(range(8))
