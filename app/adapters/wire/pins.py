"""Pins: the messages that a chat holds up."""

from __future__ import annotations

from typing import Any, Literal

from app.adapters.wire.examples import CHAT, COMMAND, MESSAGE
from app.adapters.wire.values import AnyEvent, CommandShape, EventShape, OnMessage
from app.domain.pins import PinChange, PinMessage, UnpinMessage


class MessagePin(OnMessage):
    type: Literal["message.pin"]


class MessageUnpin(OnMessage):
    type: Literal["message.unpin"]


class MessagePinned(AnyEvent):
    type: Literal["message.pinned"]
    message_id: str


class MessageUnpinned(AnyEvent):
    type: Literal["message.unpinned"]
    message_id: str


def _fields(change: PinChange) -> dict[str, Any]:
    return {"message_id": change.message_id}


COMMANDS = (
    CommandShape(
        MessagePin,
        lambda request: PinMessage(request.message_id),
        {"ref": "11", "chat_id": CHAT, "message_id": MESSAGE},
    ),
    CommandShape(
        MessageUnpin,
        lambda request: UnpinMessage(request.message_id),
        {"ref": "12", "chat_id": CHAT, "message_id": MESSAGE},
    ),
)
EVENTS = (
    EventShape(MessagePinned, _fields, {"seq": 14, "command_id": COMMAND, "message_id": MESSAGE}),
    EventShape(MessageUnpinned, _fields, {"seq": 15, "command_id": COMMAND, "message_id": MESSAGE}),
)
