"""What people may keep about themselves."""

from __future__ import annotations

from typing import Any

import pytest

from app.application.profiles import check_preferences
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
