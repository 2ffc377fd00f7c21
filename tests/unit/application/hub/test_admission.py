"""What is under way follows what gets done."""

from __future__ import annotations

from app.application.hub.admission import AHEAD_S, ALWAYS, Admission


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def done(admission: Admission, clock: Clock, per_s: int, seconds: float) -> None:
    for _ in range(round(per_s * seconds)):
        clock.now += 1 / per_s
        admission.ended()


def test_a_thousand_may_always_be_under_way_and_as_many_as_get_done_ahead() -> None:
    clock = Clock()
    admission = Admission(clock)
    assert admission.takes(0) and admission.takes(ALWAYS - 1) and not admission.takes(ALWAYS)
    done(admission, clock, 200, 2)
    assert admission.takes(ALWAYS - 1) and not admission.takes(ALWAYS)
    done(admission, clock, 10_000, 1)
    assert admission.takes(round(AHEAD_S * 9_900)) and not admission.takes(round(AHEAD_S * 10_100))


def test_a_pause_is_forgiven_and_a_slower_pace_is_learned() -> None:
    clock = Clock()
    admission = Admission(clock)
    done(admission, clock, 10_000, 1)
    done(admission, clock, 1_000, 0.5)  # one slow slice or two don't close the door
    assert admission.takes(3_000)
    done(admission, clock, 1_000, 10)
    assert not admission.takes(ALWAYS)


def test_where_nothing_gets_done_at_all_the_broker_keeps_what_comes() -> None:
    clock = Clock()
    admission = Admission(clock)
    done(admission, clock, 1_000, 1)
    assert not admission.takes(5_000)
    clock.now += 1.5
    assert admission.takes(5_000), "it stands still: that isn't too much"
    admission.ended()
    assert not admission.takes(5_000), "it gets on again: what waits comes first"


def test_while_ends_have_to_be_looked_up_their_pace_says_nothing() -> None:
    clock = Clock()
    admission = Admission(clock)
    done(admission, clock, 1_000, 1)
    assert not admission.takes(5_000)
    admission.blind()
    done(admission, clock, 1_000, 4)
    assert admission.takes(5_000)
    done(admission, clock, 1_000, 2)
    assert not admission.takes(5_000)
