"""Limits count, for each user and each bound apart."""

from __future__ import annotations

import time

import pytest

from app.adapters.limits.counting import LimitSettings, TokenBuckets, UserLimits


def test_a_bucket_fills_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    buckets = TokenBuckets(10, 20)
    assert [buckets.take("a") for _ in range(20)] == [None] * 20
    assert buckets.take("a") == 100 and buckets.take("b") is None
    now[0] += 0.11
    assert buckets.take("a") is None and buckets.take("a") is not None
    assert buckets.taken == {"a": 21, "b": 1}
    now[0] += 100
    assert buckets.left("a") == 20
    buckets.taken.clear()
    buckets.adopt("a", 3.0)
    assert int(buckets.left("a")) == 3


def test_users_are_counted_apart() -> None:
    limits = UserLimits(LimitSettings(5, 2, 3, 10))
    assert [limits.command("a", 1, 2) for _ in range(3)] == [None] * 3
    assert (limits.command("a", 1, 0) or 0) > 0 and limits.command("b", 1, 0) is None
    assert limits.command("a", 0, 4) is None and (limits.command("a", 0, 1) or 0) > 0
    for _ in range(2):
        limits.rejected("c")
    assert (limits.command("c", 0, 0) or 0) > 0 and limits.command("d", 0, 0) is None
    burst, left, reset_s = limits.remaining("fresh")
    assert (burst, left, reset_s) == (50, 50, 1)


def test_failures_are_counted_by_pair_by_names_of_an_address_and_as_a_delay_of_a_name() -> None:
    limits = UserLimits(LimitSettings(5, 2, 3, 10, failures_per_pair=2, names_per_address=3))
    for _ in range(2):
        assert limits.blocked("n", "1") is None
        limits.failed("n", "1")
    assert (limits.blocked("n", "1") or 0) > 0, "this name from this address"
    assert limits.blocked("n", "2") is None and limits.blocked("m", "1") is None, "no other pair"
    for name in ("m", "o"):
        limits.failed(name, "1")
        limits.failed(name, "1")
    assert (limits.blocked("another", "1") or 0) > 0 and limits.blocked("another", "2") is None, "three names"
    delays = []
    for n in range(20):
        delays.append(limits.delay_s("p"))
        limits.failed("p", f"address {n}")
    assert delays[:10] == [0.0] * 10 and delays[10:] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert limits.delay_s("q") == 0.0


def test_reads_cost_what_they_give_and_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limits = UserLimits(LimitSettings(5, 2, 3, 10, reads_per_s=10))
    assert limits.reads_left("a") == (100, 100, 1)
    assert limits.read("a") is None
    limits.was_read("a", 149)
    assert limits.read("a") == 5_100 and limits.reads_left("a") == (100, 0, 11), "what is read already is counted whole"
    assert limits.read("b") is None
    now[0] += 5.125
    assert limits.read("a") is None and limits.remaining("a")[1] == 50, "requests are counted apart"
