"""What people may keep about themselves."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from app.application.profiles import check_preferences, merged
from app.domain.errors import ParleyError


def test_preferences_hold_what_every_store_keeps() -> None:
    check_preferences({"a": [1, {"b": None}], "ü": "x" * 16_000})
    for bad, code in (
        ({"a": "x" * 16_384}, "too_large"), ({"a": {"b": ["\x00"]}}, "invalid"), ({"\x00": 1}, "invalid"), ({"a": [1e400]}, "invalid"),
    ):  # fmt: skip
        with pytest.raises(ParleyError, match=code):
            check_preferences(bad)


def test_preferences_are_at_most_32_levels_deep() -> None:
    def nested(levels: int) -> dict[str, Any]:
        return {"a": nested(levels - 1)} if levels > 1 else {"a": []} if levels else {}

    check_preferences(nested(31))
    with pytest.raises(ParleyError, match="invalid"):
        check_preferences(nested(32))


@pytest.mark.parametrize(
    ("kept", "patch", "made"),
    [  # RFC 7396, appendix A, as far as both are objects
        ({"a": "b"}, {"a": "c"}, {"a": "c"}), ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}), ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}), ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}), ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}), ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}), ({"a": "foo"}, {"a": {"b": None}}, {"a": {}}),
    ],
)  # fmt: skip
def test_a_merge_patch_is_as_its_rfc_has_it(kept: Any, patch: Any, made: Any) -> None:
    before = copy.deepcopy(kept)
    assert merged(kept, patch) == made and kept == before
