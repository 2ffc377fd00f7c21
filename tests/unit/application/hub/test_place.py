"""Old state + what is sent = fresh state: over random histories, cut into whatever slices, in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.application.hub.place import give
from app.application.signals import Slice

ME, OTHER = "me", "other"


def timeline(length: int, removals: dict[int, str]) -> list[str]:
    return [f"{seq}:{removals.get(seq, '')}" for seq in range(1, length + 1)]


def cut(lines: list[str], first: int, last: int, removals: dict[int, str]) -> Slice:
    gone = tuple((seq, removals[seq]) for seq in range(first, last + 1) if seq in removals)
    return Slice("chat", first, tuple(lines[first - 1 : last]), gone)


histories = st.integers(1, 30).flatmap(
    lambda length: st.tuples(
        st.just(length),
        st.dictionaries(st.integers(1, length), st.sampled_from([ME, OTHER]), max_size=4),
        st.lists(
            st.tuples(st.integers(1, length), st.integers(1, length)).map(lambda p: (min(p), max(p))), max_size=25
        ),
        st.integers(0, length),
    )
)


@given(histories)
def test_what_is_given_is_a_run_of_the_timeline_that_ends_at_ones_own_removal(
    history: tuple[int, dict[int, str], list[tuple[int, int]], int],
) -> None:
    length, removals, cuts, start = history
    lines, cursor, over = timeline(length, removals), start, False
    shown: list[str] = []
    for first, last in cuts:
        before = cursor
        given_ = give(cut(lines, first, last, removals), cursor, ME)
        assert given_.gap == (first > cursor + 1 and last > cursor)
        if given_.gap or last <= cursor:
            assert not given_.lines and given_.cursor == before
        else:
            assert given_.lines, "whatever follows is given, at least one"
        shown += given_.lines
        cursor = given_.cursor
        assert cursor == before + len(given_.lines)
        if given_.removed:
            over = True
            break
    assert shown == lines[start:cursor], "no gap, no repeat, in order"
    removed_at = [seq for seq, user in removals.items() if user == ME and start < seq <= cursor]
    assert over == bool(removed_at)
    assert all(seq == cursor for seq in removed_at), "nothing is given beyond the first removal"


@given(histories)
def test_with_gaps_filled_everything_is_given(
    history: tuple[int, dict[int, str], list[tuple[int, int]], int],
) -> None:
    """Who falls behind reads from the cursor on: then old state + what is given is the fresh state."""
    length, removals, cuts, start = history
    removals = dict.fromkeys(removals, OTHER)
    lines, cursor = timeline(length, removals), start
    shown: list[str] = []
    for first, last in [*cuts, (length, length)]:
        for part in (cut(lines, first, last, removals), cut(lines, min(cursor + 1, length), length, removals)):
            given_ = give(part, cursor, ME)
            shown += given_.lines
            cursor = given_.cursor
            if not given_.gap:
                break
    assert lines[:start] + shown == lines


def test_the_first_of_two_removals_ends_it() -> None:
    removals = {2: ME, 4: ME}
    part = cut(timeline(5, removals), 1, 5, removals)
    assert give(part, 0, ME) == (("1:", "2:me"), 2, False, True)
    assert give(part, 2, ME) == (("3:", "4:me"), 4, False, True), "added again meanwhile: up to the next"
    assert give(part, 4, ME) == (("5:",), 5, False, False)
    assert give(part, 0, OTHER).cursor == 5


def test_a_whole_slice_is_given_as_it_is() -> None:
    part = cut(timeline(3, {}), 1, 3, {})
    assert give(part, 0, ME).lines is part.lines
