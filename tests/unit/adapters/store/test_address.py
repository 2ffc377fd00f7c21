"""Addresses as hosts give them."""

from __future__ import annotations

import pytest

from app.adapters.store.address import BadAddress, is_postgresql, postgresql


def test_addresses_of_hosts_are_the_drivers() -> None:
    plain = postgresql("postgres://u:p%40ss@h:5433/db")
    assert (plain.dsn, plain.timeout_s, plain.settings) == ("postgresql://u:p%40ss@h:5433/db", 5.0, {})
    hosted = postgresql(
        "postgresql+asyncpg://u:p@a:1,b:2/db?sslmode=require&connect_timeout=10&application_name=x%20y&channel_binding=prefer"
        "&options=-c%20search_path%3Dchat%20--work-mem=8MB&keepalives_idle=30&target_session_attrs=read-write&gssencmode=disable"
    )
    assert hosted.dsn == "postgresql://u:p@a:1,b:2/db?sslmode=require&target_session_attrs=read-write"
    assert hosted.timeout_s == 20.0, "ten for each of them"
    odd = postgresql("postgres://u:a#b[c]%40?d@h/db?fallback_application_name=y&application_name=x+z")
    assert odd.dsn == "postgresql://u:a%23b%5Bc%5D%40%3Fd@h/db" and odd.settings == {"application_name": "x+z"}
    assert hosted.settings == {"application_name": "x y", "search_path": "chat", "work_mem": "8MB"}
    assert postgresql("postgres://h/db?connect_timeout=1").timeout_s == 2.0, "as libpq, never less"
    assert postgresql("postgres://h/db?connect_timeout=0").timeout_s == 5.0
    assert is_postgresql("postgres://h") and is_postgresql("postgresql://h") and not is_postgresql("sqlite:///x")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("pgbouncer=true", "pgbouncer isn't understood"), ("connect_timeout=soon", "connect_timeout takes seconds"),
        ("channel_binding=require", "channel_binding=require isn't supported"), ("options=x", "options takes -c name=value"),
        ("gssencmode=require", "gssencmode=require isn't supported"), ("options=-c", "options takes -c name=value"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_said(query: str, words: str) -> None:
    with pytest.raises(BadAddress, match=words):
        postgresql(f"postgres://u:secret@h/db?{query}")


def test_what_is_no_address_says_nothing_of_what_it_holds() -> None:
    with pytest.raises(BadAddress, match="its form isn't understood"):
        postgresql("postgres://u:secret@[::1/db")
