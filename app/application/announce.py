"""After the commit: tell the gateways. One try; what is lost here, a gap or the poll finds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from app.application.ports.fan_out import FanOut, LiveTexts
from app.application.signals import (
    ASSISTANTS,
    Frame,
    Note,
    chat_channel,
    framed,
    pack_frame,
    pack_head,
    pack_note,
    pack_slice,
    pack_told,
    process_channel,
    slice_of,
    user_channel,
)
from app.domain.decide import kind_of, whose_chats_change
from app.domain.events import Event
from app.domain.state import Decided, Result, Silence

EncodeEvent = Callable[[Event], str]
EncodeSilence = Callable[[Silence], str]
EncodeQueued = Callable[[str, str, int], str]


class Announcer:
    def __init__(
        self,
        fan_out: FanOut,
        live: LiveTexts,
        encode: EncodeEvent,
        encode_silence: EncodeSilence,
        encode_queued: EncodeQueued,
    ) -> None:
        self._encode_silence, self._encode_queued = encode_silence, encode_queued
        self._fan_out = fan_out
        self._live = live
        self._encode = encode

    async def announce(self, decided: Decided) -> None:
        messages = [
            *_slices(decided, self._encode),
            *_heads_of_repeats(decided),
            *_whose_chats_changed(decided.events),
            *_refusals(decided.results),
            *_outcomes(decided.results),
            *_for_assistants(decided),
            *(
                (user_channel(silence.user_id), pack_frame(Frame(self._encode_silence(silence))))
                for silence in decided.state.changes.silences
            ),
            *self._moved_in_queues(decided),
        ]
        ended = [(e.chat_id, id_) for e in decided.events for id_ in kind_of(e).ends(e.payload)]
        # Where this fails, deltas of an ended reply are dropped by the hubs too.
        await asyncio.gather(*map(self._live.end, ended), return_exceptions=True)
        if messages:
            await self._fan_out.publish(messages)

    def _moved_in_queues(self, decided: Decided) -> list[tuple[str, bytes]]:
        by_chat: dict[str, list[str]] = {}
        for (chat_id, message_id), queue in decided.state.changes.queued.items():
            by_chat.setdefault(chat_id, []).append(self._encode_queued(chat_id, message_id, queue))
        return [(chat_channel(chat_id), pack_frame(Frame("\n".join(lines)))) for chat_id, lines in by_chat.items()]


def _slices(decided: Decided, encode: EncodeEvent) -> list[tuple[str, bytes]]:
    by_chat: dict[str, list[Event]] = {}
    for event in decided.events:
        by_chat.setdefault(event.chat_id, []).append(event)
    causes = {(r.command.chat_id, r.outcome.seq): r.command for r in decided.results if not r.repeat}
    messages = []
    for chat_id, own in by_chat.items():
        for part, lines in framed(own, [encode(event) for event in own]):
            cause = causes.get((chat_id, part[0].seq))
            watched = (cause.trace, cause.sent_at) if cause is not None else ("", 0.0)
            asked: dict[str, list[int]] = {}
            for event in part:
                command = causes.get((chat_id, event.seq))
                if command is not None and command.origin and command.tag:
                    asked.setdefault(command.origin, []).append(command.tag)
            messages.append((chat_channel(chat_id), pack_slice(slice_of(chat_id, part, lines, *watched, asked))))
    return messages


def _heads_of_repeats(decided: Decided) -> list[tuple[str, bytes]]:
    """A known command may be one whose announcement was lost in a crash: its chat's head makes gateways look."""
    chat_ids = {result.command.chat_id for result in decided.results if result.repeat}
    return [
        (chat_channel(chat_id), pack_head(decided.state.chats[chat_id].head))
        for chat_id in sorted(chat_ids)
        if chat_id in decided.state.chats
    ]


def _whose_chats_changed(events: Sequence[Event]) -> list[tuple[str, bytes]]:
    users = dict.fromkeys((user_id, event.chat_id) for event in events for user_id in whose_chats_change(event))
    return [(user_channel(user_id), pack_note(Note("chat", chat_id))) for user_id, chat_id in users]


def _refusals(results: Sequence[Result]) -> list[tuple[str, bytes]]:
    return [
        (
            user_channel(result.command.actor_id),
            pack_note(Note("rejected", pack_told(result))),
        )
        for result in results
        if result.outcome.code is not None and not result.repeat
    ]


def _outcomes(results: Sequence[Result]) -> list[tuple[str, bytes]]:
    """To the process that asked: what no new event shows, and whatever it waits for."""
    by_process: dict[str, list[object]] = {}
    for result in results:
        command, silent = result.command, result.outcome.seq is None and result.outcome.code is None
        if command.origin and (command.wait or result.repeat or silent):
            by_process.setdefault(command.origin, []).append(pack_told(result))
    return [(process_channel(process_id), pack_note(Note("outcomes", data))) for process_id, data in by_process.items()]


def _for_assistants(decided: Decided) -> list[tuple[str, bytes]]:
    changes, replies = decided.state.changes, decided.state.replies
    stopped = [key for key in changes.replies if replies[key].stop_requested or replies[key].finished]
    notes = [Note("stop", list(key)) for key in stopped]
    if changes.new_replies or 0 in changes.queued.values():
        notes.append(Note("asked"))
    return [(ASSISTANTS, pack_note(note)) for note in notes]
