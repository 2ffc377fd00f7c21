"""Who and what the examples are about: Anna (owner) and Ben talk in a group, and ask the assistant. Tests run them."""

from __future__ import annotations

from app.domain.ids import ASSISTANT_ID as ASSISTANT

ANNA = "0198c0de-0000-7000-8000-00000000a001"
BEN = "0198c0de-0000-7000-8000-00000000b002"
CHAT = "0198c0de-0000-7000-8000-0000000c4a70"
MESSAGE = "0198c0de-0000-7000-8000-0000000e5501"
REPLY = "0198c0de-0000-7000-8000-0000000e5502"
SEND_ID = "6f1d5e0a-2c84-4a57-9d0e-5b8a3f6c7d10"
COMMAND = "2b7c9d4e-8f13-4e6a-b5a0-1c2d3e4f5a60"
SESSION = "0198c0de-0000-7000-8000-0000005e5510"
AT = "2026-01-31T12:00:00.000Z"

__all__ = ["ANNA", "ASSISTANT", "AT", "BEN", "CHAT", "COMMAND", "MESSAGE", "REPLY", "SEND_ID", "SESSION"]
