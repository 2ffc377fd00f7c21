"""What becomes of claims. Whole tokens: tests/scenarios/test_issuers.py."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.application.identity import USERNAME
from app.application.other_issuers import claim_of, username_of


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("ann", "ann"),
        ("Ann.Example", "ann.example"),
        ("ann@example.org", "ann"),
        ("Ann Example", "ann-example"),
        ("-ann-", "ann"),
        ("auth0|12345", "auth0-12345"),
        ("a" * 60, "a" * 32),
    ],
)
def test_a_username_is_made_of_what_an_issuer_says(said: str, name: str) -> None:
    assert username_of(said) == name


@pytest.mark.parametrize("said", ["", "a", "ab", "Ж", "日本語", "...", "@example.org", "\x00", "_", "a-"])
def test_what_makes_no_username_gets_one_that_is_good_and_the_same_again(said: str) -> None:
    name = username_of(said)
    assert USERNAME.match(name) and name == username_of(said) and re.search(r"-[0-9a-f]{6}$", name)


def test_a_claim_is_found_by_its_name_or_its_path() -> None:
    claims: dict[str, Any] = {
        "a": {"b": {"c": 1}},
        "a.b": 2,
        "https://example.org/roles": ["x"],
        "n": None,
        "t": "text",
    }
    assert claim_of(claims, "a.b") == 2, "a name with a dot goes first"
    assert claim_of(claims, "a.b.c") == 1 and claim_of(claims, "https://example.org/roles") == ["x"]
    for path in ("a.x", "t.x", "n.x", "x", "", "a.b.c.d"):
        assert claim_of(claims, path) is None, path
