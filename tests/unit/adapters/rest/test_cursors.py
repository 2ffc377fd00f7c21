"""Cursors are good for who got them, for that list alone."""

from __future__ import annotations

import base64
from datetime import datetime

import pytest

from app.adapters.rest.cursors import Cursors, Paging
from app.domain.errors import ParleyError
from tests.unit.memory import START

CURSORS = Cursors([b"key"])


def test_a_list_goes_on_where_it_stopped() -> None:
    items = list(range(10))
    seen: list[int] = []
    cursor: str | None = None
    while True:
        paging: Paging[int] = Paging(CURSORS, "anna", "list", cursor, 4, int)
        assert paging.to_ask == 5
        after = paging.place[0] if paging.place else -1
        page = paging.page([i for i in items if i > after][: paging.to_ask], lambda i: i, lambda i: [i])
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == items


def test_a_cursor_of_somebody_else_of_another_list_or_of_nobody_is_invalid() -> None:
    cursor = CURSORS.of("anna", "list", [START, "x"])
    assert CURSORS.place("anna", "list", cursor, (datetime, str)) == [START, "x"]
    assert Cursors([b"newer", b"key"]).place("anna", "list", cursor, (datetime, str)) == [START, "x"]
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=="))
    raw[-1] ^= 1
    forged = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    for user, query, given in (
        ("ben", "list", cursor), ("anna", "other", cursor), ("anna", "list", forged), ("anna", "list", ""),
        ("anna", "list", "ü"), ("anna", "list", "AAAA"), ("annal", "ist", cursor),
    ):  # fmt: skip
        with pytest.raises(ParleyError, match="invalid"):
            CURSORS.place(user, query, given, (datetime, str))
    with pytest.raises(ParleyError):
        CURSORS.place("anna", "list", cursor, (int,))
    with pytest.raises(ParleyError):
        Cursors([b"another"]).place("anna", "list", cursor, (datetime, str))
