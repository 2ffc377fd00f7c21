"""What the service says of itself, and of a call that it can't answer yet."""

from __future__ import annotations

from typing_extensions import TypedDict


class StatusJson(TypedDict):
    status: str


class AcceptedJson(TypedDict):
    """The outcome is not known in time: repeat the call with this as its `Idempotency-Key` (a message with its own id)."""

    command_id: str
