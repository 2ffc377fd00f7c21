"""What processes tell each other over the fan-out: its channels, and the form of each message.

All of it may be lost. A slice of events carries its own place (first seq to last seq), so that a loss is seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.decide import kind_of
from app.domain.events import Event
from app.domain.state import Outcome, Result

ASSISTANTS = "assistants"
FRAME_MAX = 256 * 1024
"""Bytes of a frame to a client, unless one event alone is larger."""
SIGNAL_MEMBERS_MAX = 100
"""Typing only in chats of up to so many; read marks go to all members only there."""


def chat_channel(chat_id: str) -> str:
    return f"chat:{chat_id}"


def user_channel(user_id: str) -> str:
    return f"user:{user_id}"


def process_channel(process_id: str) -> str:
    return f"process:{process_id}"


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive events of one chat, encoded once: line i is the event at first + i.

    removed: (seq, user id) of those whom an event in it removes. done: replies that end in it. asked: by process, which of its
    requests these events are the end of.
    trace, sent_at: of the command whose event is the first, for whoever watches.
    """

    chat_id: str
    first: int
    lines: tuple[str, ...]
    removed: tuple[tuple[int, str], ...] = ()
    done: tuple[str, ...] = ()
    trace: str = ""
    sent_at: float = 0.0
    asked: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return self.first + len(self.lines) - 1


def slice_of(
    chat_id: str,
    events: Sequence[Event],
    lines: Sequence[str],
    trace: str = "",
    sent_at: float = 0.0,
    asked: Mapping[str, Sequence[int]] | None = None,
) -> Slice:
    removed: list[tuple[int, str]] = []
    done: list[str] = []
    for event in events:
        kind = kind_of(event)
        removed += [(event.seq, user_id) for user_id in kind.goes(event.payload)]
        done += kind.ends(event.payload)
    return Slice(chat_id, events[0].seq, tuple(lines), tuple(removed), tuple(done), trace, sent_at, asked or {})


def framed(events: Sequence[Event], lines: Sequence[str]) -> list[tuple[Sequence[Event], Sequence[str]]]:
    """Cut consecutive events so that each part is one frame to a client."""
    parts: list[tuple[Sequence[Event], Sequence[str]]] = []
    start = size = 0
    for place, line in enumerate(lines):
        length = len(line.encode()) + 1
        if place > start and size + length > FRAME_MAX:
            parts.append((events[start:place], lines[start:place]))
            start, size = place, 0
        size += length
    if events:
        parts.append((events[start:], lines[start:]))
    return parts


def pack_slice(part: Slice) -> bytes:
    anything = part.removed or part.done or part.asked
    more = json.dumps([part.removed, part.done, part.asked], separators=(",", ":")) if anything else ""
    head = f"E{part.first}\t{part.sent_at:.3f}\t{part.trace}\t{more}"
    return "\n".join((head, *part.lines)).encode()


def pack_head(head: int) -> bytes:
    """The chat's log reaches to here; whoever is behind reads it."""
    return f"H{head}".encode()


@dataclass(frozen=True, slots=True)
class DeltaSignal:
    message_id: str
    attempt: int
    index: int
    text: str


def pack_delta(delta: DeltaSignal) -> bytes:
    return b"D" + json.dumps([delta.message_id, delta.attempt, delta.index, delta.text]).encode()


@dataclass(frozen=True, slots=True)
class Frame:
    """Ready for the sockets that hear the channel, but for those of one user."""

    text: str
    but_user: str = ""


def pack_frame(frame: Frame) -> bytes:
    return f"S{frame.but_user}\n{frame.text}".encode()


@dataclass(frozen=True, slots=True)
class Head:
    head: int


@dataclass(frozen=True, slots=True)
class Note:
    """kind: chat (membership of this user changed), rejected, outcomes, revoked, evicted (session ids); to assistants:
    asked, stop ([chat id, message id])."""

    kind: str
    data: Any = None


def pack_note(note: Note) -> bytes:
    return b"N" + json.dumps([note.kind, note.data]).encode()


Signal = Slice | Head | DeltaSignal | Frame | Note


def unpack(chat_id: str, payload: bytes) -> Signal | None:
    """chat_id: whose channel it came on. None for what a newer version says: it may be lost like anything here."""
    kind = payload[:1]
    if kind == b"E":
        head, *lines = payload.decode().split("\n")
        first, sent_at, trace, more = head[1:].split("\t", 3)
        removed, done, *rest = json.loads(more) if more else ((), ())
        whom = tuple((s, u) for s, u in removed)
        return Slice(
            chat_id, int(first), tuple(lines), whom, tuple(done), trace, float(sent_at), rest[0] if rest else {}
        )
    if kind == b"H":
        return Head(int(payload[1:]))
    if kind == b"D":
        return DeltaSignal(*json.loads(payload[1:])[:4])
    if kind == b"S":
        but_user, _, text = payload[1:].decode().partition("\n")
        return Frame(text, but_user)
    if kind == b"N":
        return Note(*json.loads(payload[1:])[:2])
    return None


@dataclass(frozen=True, slots=True)
class Told:
    """How a command ended, for who asked. tag: which request of the asking process."""

    key: tuple[str, str, str]
    outcome: Outcome
    repeat: bool
    tag: int
    origin: str


def pack_told(result: Result) -> list[Any]:
    o, command = result.outcome, result.command
    ended = [o.type, o.seq, o.code, o.reason, list(o.policies)]
    return [*command.key, *ended, result.repeat, command.tag, command.origin]


def unpack_told(data: list[Any]) -> Told:
    """What a newer version adds at the end is passed over."""
    chat_id, actor_id, id_, type_, seq, code, reason, policies, repeat, tag, origin, *_ = data
    outcome = Outcome(type_, seq, code, reason, tuple(policies))
    return Told((chat_id, actor_id, id_), outcome, repeat, tag, origin)
