"""Settings make a world or say why not; shards are shared fairly; limits count."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.adapters.limits.in_process import LimitSettings, TokenBuckets, UserLimits
from app.adapters.store.workers import fair_share
from app.application.profiles import check_preferences
from app.application.search import highlights, words_of
from app.domain.errors import ParleyError
from app.infrastructure.settings import Settings, SettingsError, check_world, listed, load_settings

REAL = {
    "broker_url": "amqp://x", "database_url": "postgresql://x/y", "redis_url": "redis://x", "jwt_secret": "sixteen letters!",
}  # fmt: skip


def made(**given: Any) -> Settings:
    return load_settings(_env_file=None, **given)


def test_both_worlds_start() -> None:
    check_world(made(), "all")
    check_world(made(), "migrate")
    for role in ("all", "gateway", "worker", "assistant", "migrate"):
        check_world(made(**REAL), role)
    assert made().embedded and not made(**REAL).embedded and not made().has_model
    assert made(openai_api_key="x").has_model and made(openai_base_url="x").has_model


@pytest.mark.parametrize(
    ("given", "role", "words"),
    [
        ({}, "worker", "alone"), ({"redis_url": "redis://x"}, "all", "REDIS_URL"),
        ({"database_url": "postgresql://x"}, "all", "DATABASE_URL"), ({"broker_url": "kafka://x"}, "all", "BROKER_URL"),
        (REAL | {"database_url": ""}, "all", "DATABASE_URL"), (REAL | {"redis_url": ""}, "all", "REDIS_URL"),
        (REAL | {"jwt_secret": "short"}, "all", "JWT_SECRET"),
    ],
)  # fmt: skip
def test_half_a_world_says_why_not(given: dict[str, Any], role: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_world(made(**given), role)


def test_a_bad_value_is_named() -> None:
    with pytest.raises(SettingsError, match="PORT"):
        made(port="many")
    with pytest.raises(SettingsError, match="UNKNOWN_COMMAND_S"):
        made(unknown_command_s=100_000)
    assert listed(" a, ,b ") == ("a", "b")


def test_every_shard_has_one_holder_and_nobody_two_more_than_another() -> None:
    for count in range(1, 12):
        alive = [f"w{n}" for n in range(count)]
        shares = [fair_share(worker, alive, 8) for worker in alive]
        assert sorted(shard for share in shares for shard in share) == list(range(8))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert fair_share("new", ["a"], 8) | fair_share("a", ["a", "new"], 8) == set(range(8))


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
    limits = UserLimits(LimitSettings(5, 2, 3, 10, failures_per_name=2, failures_per_address=3))
    assert [limits.command("a", 1, 2) for _ in range(3)] == [None] * 3
    assert (limits.command("a", 1, 0) or 0) > 0 and limits.command("b", 1, 0) is None
    assert limits.command("a", 0, 4) is None and (limits.command("a", 0, 1) or 0) > 0
    for _ in range(2):
        limits.rejected("c")
    assert (limits.command("c", 0, 0) or 0) > 0 and limits.command("d", 0, 0) is None
    limits.failed("n", "1")
    assert limits.blocked("n", "1") is None
    limits.failed("n", "1")
    assert (limits.blocked("n", "2") or 0) > 0 and limits.blocked("m", "1") is None
    limits.failed("m", "1")
    assert (limits.blocked("m", "1") or 0) > 0
    burst, left, reset_s = limits.remaining("fresh")
    assert (burst, left, reset_s) == (50, 50, 1)


def test_words_and_where_they_stand() -> None:
    assert words_of("Tea, tea & größe-2") == ("Tea", "tea", "größe", "2")
    assert highlights("tea TEA steal Größe", ("tea", "größe")) == [[0, 3], [4, 3], [14, 5]]
    for bad in ("", "…", " ".join(f"w{n}" for n in range(21))):
        with pytest.raises(ParleyError, match="invalid"):
            words_of(bad)


def test_preferences_hold_what_every_store_keeps() -> None:
    check_preferences({"a": [1, {"b": None}], "ü": "x" * 16_000})
    for bad, code in (
        ({"a": "x" * 16_384}, "too_large"), ({"a": {"b": ["\x00"]}}, "invalid"), ({"\x00": 1}, "invalid"), ({"a": [1e400]}, "invalid"),
    ):  # fmt: skip
        with pytest.raises(ParleyError, match=code):
            check_preferences(bad)
