"""The texts of answers that are being written: pieces by attempt and index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Writing:
    """next: index of the piece that comes next."""

    attempt: int
    next: int
    text: str


class Replies:
    """By message id."""

    def __init__(self) -> None:
        self.writing: dict[str, Writing] = {}

    def take(self, frame: Any) -> bool:
        """`reply.delta` or `reply.snapshot`: whether the text changed. A piece out of its turn is passed by: a snapshot
        follows it."""
        had = self.writing.get(frame["message_id"])
        if had is not None and frame["attempt"] < had.attempt:
            return False
        if frame["type"] == "reply.snapshot":
            if had is not None and had.attempt == frame["attempt"] and had.next > frame["next_index"]:
                return False
            self.writing[frame["message_id"]] = Writing(frame["attempt"], frame["next_index"], frame["text"])
            return True
        same = had if had is not None and had.attempt == frame["attempt"] else Writing(frame["attempt"], 0, "")
        self.writing[frame["message_id"]] = same
        if frame["index"] != same.next:
            return same is not had
        same.next, same.text = frame["index"] + 1, same.text + frame["text"]
        return True

    def end(self, message_id: str) -> None:
        """It has ended: the message says how."""
        self.writing.pop(message_id, None)
