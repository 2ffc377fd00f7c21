"""Settings make a world, or say why not."""

from __future__ import annotations

from typing import Any

import pytest

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
        ({"assistant_silence_s": 400}, "all", "REPLY_NO_PROGRESS_S"),
        *(({"allowed_origins": f"https://good.example,{bad}"}, "all", "ALLOWED_ORIGINS") for bad in
          ("*", "chat.example.com", "https://chat.example.com/", "https://*.example.com", "null", "ftp://x", "https://u@x")),
        *(({"trusted_proxies": bad}, "all", "TRUSTED_PROXIES") for bad in ("balancer", "10.0.0.0/33", "1.2.3")),
    ],
)  # fmt: skip
def test_half_a_world_says_why_not(given: dict[str, Any], role: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_world(made(**given), role)


def test_origins_and_proxies_that_are_some() -> None:
    check_world(
        made(allowed_origins="https://a.example, http://localhost:5173,HTTPS://B.example:8443,http://[::1]:80"), "all"
    )
    check_world(made(trusted_proxies="127.0.0.1, 10.0.0.0/8,fd00::/8,*"), "all")


def test_a_bad_value_is_named() -> None:
    with pytest.raises(SettingsError, match="PORT"):
        made(port="many")
    with pytest.raises(SettingsError, match="UNKNOWN_COMMAND_S"):
        made(unknown_command_s=100_000)
    assert listed(" a, ,b ") == ("a", "b")
