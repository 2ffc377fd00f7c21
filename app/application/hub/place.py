"""What of a slice goes to whom: the pure middle of all delivering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from app.application.signals import Slice


class Given(NamedTuple):
    """lines: to send, in order, none where there is nothing. cursor: the last seq given, then. gap: the slice doesn't
    follow the cursor, so nothing of it may be sent. removed: the last line takes the user out of the chat."""

    lines: Sequence[str]
    cursor: int
    gap: bool = False
    removed: bool = False


def give(part: Slice, cursor: int, user_id: str) -> Given:
    """The part of a slice that follows the cursor, up to and including the user's own removal.

    Old state + what is given = fresh state: whatever slices come, in whatever order and however often, what is given one
    after the other is a run of the timeline without gap or repeat.
    """
    if part.last <= cursor:
        return Given((), cursor)
    if part.first > cursor + 1:
        return Given((), cursor, gap=True)
    end, removed = part.last, False
    for seq, gone in part.removed:
        if gone == user_id and seq > cursor:
            end, removed = seq, True
            break
    if cursor + 1 == part.first and end == part.last:
        return Given(part.lines, end, removed=removed)
    return Given(part.lines[cursor + 1 - part.first : end + 1 - part.first], end, removed=removed)
