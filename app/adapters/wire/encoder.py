"""The core's words as JSON: one line for each thing that it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from app.adapters.wire.chats import chat_json
from app.adapters.wire.messages import message_json
from app.adapters.wire.people import person_json, user_json
from app.adapters.wire.problems import error_frame
from app.adapters.wire.registry import event_json
from app.adapters.wire.text import encode, encode_list
from app.application.ports.history import Membership, Page
from app.application.ports.people import Account
from app.domain.command import Command
from app.domain.errors import ParleyError
from app.domain.events import Event
from app.domain.messages import SendMessage
from app.domain.state import Outcome, Silence
from app.domain.values import MessageKind, Person

_WELCOME_BYTES = 700 * 1024


@dataclass(frozen=True, slots=True)
class ShownLimits:
    """What a welcome tells of our limits: characters of a body, bytes of a frame to us, members, sockets, seconds."""

    body_max: int
    frame_max: int
    group_members_max: int
    sockets_per_user: int
    heartbeat_s: int


@lru_cache(maxsize=64)
def _about(line: str) -> tuple[int, str, str]:
    """Many sessions ask about the same line."""
    frame = msgspec.json.decode(line)
    message = frame.get("message")
    if message is None:
        return frame["seq"], "", line
    place = {name: frame[name] for name in ("type", "chat_id", "seq", "at", "actor_id")}
    return message["seq"], message["id"] if message["kind"] == MessageKind.ASSISTANT else "", encode(place)


class JsonCodec:
    """Implements the core's Codec."""

    def __init__(self, limits: ShownLimits) -> None:
        self._limits = {
            "body_max": limits.body_max,
            "frame_max": limits.frame_max,
            "group_members_max": limits.group_members_max,
            "sockets_per_user": limits.sockets_per_user,
        }
        self._heartbeat_s = limits.heartbeat_s

    def event(self, event: Event) -> str:
        return encode(event_json(event))

    def welcome(
        self, session_id: str, account: Account, epoch: str, listed: Sequence[Membership], chats_more: bool
    ) -> str:
        return encode(
            {
                "type": "welcome",
                "session_id": session_id,
                "user": user_json(account),
                "heartbeat_s": self._heartbeat_s,
                "limits": self._limits,
                "epoch": epoch,
                "chats": _shown(listed),
                "chats_more": chats_more,
            }
        )

    def synced(self, chat_id: str, ref: str | None, head: int) -> str:
        return encode({"type": "synced", **_ref(ref), "chat_id": chat_id, "head": head})

    def reset(self, chat_id: str, ref: str | None, head: int, code: str) -> str:
        return encode({"type": "reset", **_ref(ref), "chat_id": chat_id, "head": head, "code": code})

    def gone(self, chat_id: str, ref: str | None) -> str:
        return encode({"type": "gone", **_ref(ref), "chat_id": chat_id})

    def chat_joined(self, membership: Membership, after: int) -> str:
        return encode({"type": "chat.joined", "chat": chat_json(membership), "after": after})

    def page(self, page: Page) -> bytes:
        items, count = encode_list(message_json(message) for message in page.messages)
        more = page.has_more or count < len(page.messages)
        return b'{"items":' + items + b',"has_more":' + (b"true}" if more else b"false}")

    def accepted(self, ref: str, command: Command) -> str:
        return encode({"type": "accepted", "ref": ref, _id_name(command.type): command.id})

    def committed(self, ref: str, key: tuple[str, str, str], outcome: Outcome) -> str:
        frame: dict[str, object] = {
            "type": "committed", "ref": ref, "chat_id": key[0], _id_name(outcome.type): key[2],
        }  # fmt: skip
        if outcome.seq is not None:
            frame["seq"] = outcome.seq
        return encode(frame)

    def rejected(self, ref: str | None, key: tuple[str, str, str], outcome: Outcome) -> str:
        return encode(
            {
                "type": "rejected",
                **_ref(ref),
                "chat_id": key[0],
                _id_name(outcome.type): key[2],
                "code": outcome.code,
                "reason": outcome.reason,
                "policies": list(outcome.policies),
            }
        )

    def error(self, ref: str | None, error: ParleyError) -> str:
        return encode(error_frame(ref, error))

    def delta(self, chat_id: str, message_id: str, attempt: int, index: int, text: str) -> str:
        return encode(
            {
                "type": "reply.delta",
                "chat_id": chat_id,
                "message_id": message_id,
                "attempt": attempt,
                "index": index,
                "text": text,
            }
        )

    def snapshot(self, chat_id: str, message_id: str, attempt: int, next_index: int, text: str) -> str:
        return encode(
            {
                "type": "reply.snapshot",
                "chat_id": chat_id,
                "message_id": message_id,
                "attempt": attempt,
                "next_index": next_index,
                "text": text,
            }
        )

    def reply_queued(self, chat_id: str, message_id: str, queue: int) -> str:
        return encode({"type": "reply.queued", "chat_id": chat_id, "message_id": message_id, "queue": queue})

    def reply_thinking(self, chat_id: str, message_id: str, attempt: int, chars: int) -> str:
        return encode(
            {
                "type": "reply.thinking",
                "chat_id": chat_id,
                "message_id": message_id,
                "attempt": attempt,
                "chars": chars,
            }
        )

    def about(self, line: str) -> tuple[int, str, str]:
        return _about(line)

    def reply_of(self, text: str) -> str:
        return str(msgspec.json.decode(text).get("message_id", "")) if text.startswith('{"type":"reply.') else ""

    def reply_waiting(
        self, chat_id: str, message_id: str, attempt: int, code: str, retry_in_ms: int, instead: str | None
    ) -> str:
        signal = {
            "type": "reply.waiting",
            "chat_id": chat_id,
            "message_id": message_id,
            "attempt": attempt,
            "code": code,
            "retry_in_ms": retry_in_ms,
        }
        return encode(signal | ({"instead": instead} if instead else {}))

    def typing(self, chat_id: str, user_id: str, expires_in_ms: int) -> str:
        return encode({"type": "typing", "chat_id": chat_id, "user_id": user_id, "expires_in_ms": expires_in_ms})

    def read_marked(self, chat_id: str, user_id: str, read_seq: int) -> str:
        return encode({"type": "read.marked", "chat_id": chat_id, "user_id": user_id, "read_seq": read_seq})

    def preferences_changed(self, preferences: dict[str, object]) -> str:
        return encode({"type": "preferences.changed", "preferences": preferences})

    def chat_hidden(self, chat_id: str, hidden: bool) -> str:
        return encode({"type": "chat.hidden", "chat_id": chat_id, "hidden": hidden})

    def assistant_silent(self, silence: Silence) -> str:
        return encode(
            {
                "type": "assistant.silent",
                "chat_id": silence.chat_id,
                "message_id": silence.message_id,
                "assistant_id": silence.assistant_id,
                "code": silence.code,
            }
        )

    def user_updated(self, person: Person) -> str:
        return encode({"type": "user.updated", "user": person_json(person)})

    def draining(self, reconnect_after_ms: int) -> str:
        return encode({"type": "draining", "reconnect_after_ms": reconnect_after_ms})

    # The socket's own answers, which the core doesn't give

    def pong(self, ref: str) -> str:
        return encode({"type": "pong", "ref": ref})

    def ok(self, ref: str, fields: dict[str, Any]) -> str:
        return encode({"type": "ok", "ref": ref, **fields})

    def auth_expiring(self, expires_in_s: int) -> str:
        return encode({"type": "auth.expiring", "expires_in": expires_in_s})


def _ref(ref: str | None) -> dict[str, str]:
    return {} if ref is None else {"ref": ref}


def _id_name(command_type: str) -> str:
    return "client_message_id" if command_type == SendMessage.type else "command_id"


def _shown(listed: Sequence[Membership]) -> list[dict[str, Any]]:
    """The chats of a welcome. A frame is never over 1 MiB, so what is long is left to REST once there is much."""
    chats, size = [], 0
    for membership in listed:
        chat = chat_json(membership)
        length = len(encode(chat).encode())
        if size + length > _WELCOME_BYTES:
            chat["last_message"] = None
            if isinstance(assistant := chat.get("assistant"), dict):
                chat["assistant"] = {**assistant, "instructions": None}
            length = len(encode(chat).encode())
        size += length
        chats.append(chat)
    return chats
