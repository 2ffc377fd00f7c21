"""The gaps of a prompt."""

from __future__ import annotations

import pytest

from app.application.prompts import variables_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Sum up {{what}} for {{ whom }}, and {{what}} again.", ["what", "whom"]),
        ("no gap, {one}, {{}}, {{two words}}, {{1st}}, {{a-b}}", []),
        ("{{größe}} {{_x1}} {{{three}}}", ["größe", "_x1", "three"]),
        ("{{" + "x" * 65 + "}}", []),
    ],
)
def test_gaps_are_found_each_once_in_order(text: str, names: list[str]) -> None:
    assert variables_in(text) == names
