"""An envelope: commands of one lane that travel, are confirmed and acked together. Signed, versioned.

Form: 32 bytes HMAC-SHA256 of the rest, then msgpack [version, lane, [command, …]]. A command is
[type, chat id, actor id, id, origin, wait, tag, action, trace, sent at, scopes of its key], and what later versions add: a command whose
action this version doesn't know is carried as it came. Who may publish is the broker's affair; the signature makes what
someone else puts on the queue worthless.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, cast

import msgspec

from app.application.ports.bus import DeadLetter
from app.domain.command import Command, UnknownAction
from app.domain.decide import ACTIONS
from app.domain.messages import SendMessage

VERSION = 1
_MAC_BYTES = 32
UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class BadEnvelope(Exception):
    """No signature that verifies, or a form that we don't know. Counted, never executed. signed: by us."""

    def __init__(self, why: str, signed: bool = False) -> None:
        super().__init__(why)
        self.signed = signed


class NewerEnvelope(Exception):
    """Written by a newer version than this process understands: leave it for those who do."""


class EnvelopeCodec:
    """secrets: the first signs, all verify. on_bad: told of each command that can't be read, in an envelope of ours."""

    def __init__(self, secrets: Sequence[str], on_bad: Callable[[BaseException], None] = lambda error: None) -> None:
        self._on_bad = on_bad
        self._keys = [hashlib.sha256(b"parley envelope\x00" + secret.encode()).digest() for secret in secrets]

    def pack_command(self, command: Command) -> bytes:
        """A command's part of an envelope; made when it is queued, so that its size is known."""
        action = command.action
        fields: Any
        if isinstance(action, SendMessage):
            fields = {"body": action.body, "reply_to": action.reply_to, "parent_id": action.parent_id}
        else:
            fields = action.fields if isinstance(action, UnknownAction) else asdict(cast(Any, action))
        packed = [
            action.type,
            command.chat_id,
            command.actor_id,
            command.id,
            command.origin,
            command.wait,
            command.tag,
            fields,
            command.trace,
            command.sent_at,
        ]
        if command.scopes is not None:
            packed.append(sorted(command.scopes))
        return _encoder.encode(packed)

    def seal(self, lane: int, packed: Sequence[bytes]) -> bytes:
        body = _encoder.encode([VERSION, lane, [msgspec.Raw(part) for part in packed]])
        return hmac.digest(self._keys[0], body, "sha256") + body

    def open(self, sealed: bytes) -> tuple[int, list[Command], list[DeadLetter]]:
        """(lane, commands, those that can't be read: they alone are dropped, and their neighbours decided). Raises
        BadEnvelope, NewerEnvelope."""
        mac, body = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, hmac.digest(key, body, "sha256")) for key in self._keys):
            raise BadEnvelope("signature")
        try:
            version, *parts = _decoder.decode(body)
            if version > VERSION:
                raise NewerEnvelope(str(version))
            lane, items = parts
            commands: list[Command] = []
            dead: list[DeadLetter] = []
            for item in items:
                try:
                    commands.append(_command(item))
                except UNREADABLE as error:
                    self._on_bad(error)
                    dead.append(DeadLetter(f"a command: {type(error).__name__}: {error}", _encoder.encode(item)))
            return lane, commands, dead
        except UNREADABLE as error:
            raise BadEnvelope(type(error).__name__, signed=True) from error


def _command(item: Any) -> Command:
    type_, chat_id, actor_id, id_, origin, wait, tag, fields, trace, sent_at, *more = item
    try:
        action = msgspec.convert(fields, ACTIONS[type_])
    except (KeyError, msgspec.ValidationError):  # of another form it is as unknown as of another name
        action = UnknownAction(type_, fields)
    if more and more[0] is not None:
        return Command(chat_id, actor_id, id_, action, origin, wait, tag, trace, sent_at, frozenset(more[0]))
    return Command(chat_id, actor_id, id_, action, origin, wait, tag, trace, sent_at)
