"""A dict that forgets."""

from __future__ import annotations

from app.application.bounded import Bounded


def test_a_bounded_dict_forgets_what_was_written_the_longest_time_ago() -> None:
    found: Bounded[str, int] = Bounded(3)
    for n, key in enumerate("abcad"):
        found[key] = n
    assert dict(found) == {"c": 2, "a": 3, "d": 4}
    found.update({"e": 5, "f": 6})
    found.setdefault("g", 7)
    assert list(found) == ["e", "f", "g"] and "a" not in found
