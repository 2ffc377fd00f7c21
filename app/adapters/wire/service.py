"""What the service says of itself, and of a call that it can't answer yet."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class StatusJson(TypedDict):
    status: str


class ReadyJson(TypedDict):
    """status: ready, degraded (something can't be done), draining or unavailable (nothing can). parts: of each ok, or
    why not."""

    status: Literal["ready", "degraded", "draining", "unavailable"]
    parts: dict[str, str]


class AcceptedJson(TypedDict):
    """The outcome is not known in time: repeat the call with this as its `Idempotency-Key` (a message with its own id)."""

    command_id: str
