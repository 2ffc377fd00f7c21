"""A budget of work, and the debt that is paid back by waiting."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.application.budget import Budget


def test_a_burst_is_free_and_what_is_beyond_is_waited_for() -> None:
    budget = Budget(10, 50, 100.0)
    assert budget.take(50, 100.0) == 0
    assert budget.take(5, 100.0) == 0.5
    assert budget.take(5, 100.5) == 0.5, "half a second paid back what was taken before"
    assert budget.take(0, 101.0) == 0 and budget.take(1, 101.125) == 0
    assert budget.take(50, 1_000.0) == 0 and budget.take(1, 1_000.0) == 0.1, "never more than a burst is kept"


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 100)), max_size=40))
def test_whoever_waits_as_told_takes_the_rate_and_a_burst_at_most(history: list[tuple[float, float]]) -> None:
    budget, now, taken = Budget(10, 50, 0.0), 0.0, 0.0
    for pause, units in history:
        now += pause
        wait = budget.take(units, now)
        taken += units
        now += wait
        assert taken <= 50 + 10 * now + 1e-6
