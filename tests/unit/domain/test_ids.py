"""Identifiers: their form, and those that are derived."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ids import ASSISTANT_ID, created_chat_id, derived_id, direct_chat_id, is_id, shard_of

ids = st.uuids().map(str)


@given(ids, ids)
def test_derived_ids_are_ids_that_follow_from_their_parts(one: str, other: str) -> None:
    assert is_id(derived_id(one, other)) and derived_id(one, other) == derived_id(one, other)
    assert direct_chat_id(one, other) == direct_chat_id(other, one)
    assert (derived_id(one, other) == derived_id(other, one)) == (one == other)
    assert created_chat_id(one, other) not in (direct_chat_id(one, other), derived_id(one, other))
    assert derived_id(one + other) != derived_id(one, other), "parts are told apart"


@given(ids, st.integers(1, 64))
def test_a_shard_is_one_of_them_and_stays(chat_id: str, shards: int) -> None:
    assert 0 <= shard_of(chat_id, shards) < shards


def test_derived_ids_are_the_same_in_every_version() -> None:
    assert (
        created_chat_id("a", "b") == "44045012-2301-5f42-b2dc-11959ff46fd8"
        and direct_chat_id("b", "a") == "6f14ff76-5e51-5d9b-b79a-4cabe6fcc4b2"
    )
    assert (
        derived_id("reply", "c", "q") == "bded084a-859d-5795-9dd0-2c31675931a8"
        and ASSISTANT_ID == "cccbaa0d-4212-5eac-adcc-4e1313011706"
    )


def test_shards_are_the_same_in_every_version_and_all_are_used() -> None:
    assert shard_of("00000000-0000-0000-0000-000000000011", 8) == 1
    assert {shard_of(derived_id(str(n)), 8) for n in range(200)} == set(range(8))


@pytest.mark.parametrize("bad", ["", "x", ASSISTANT_ID.upper(), ASSISTANT_ID + "\n", f"{{{ASSISTANT_ID}}}", None, 5])
def test_ids_have_one_form(bad: object) -> None:
    assert not is_id(bad)
    assert is_id(ASSISTANT_ID)
