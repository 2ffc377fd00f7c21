"""Messages, reactions on them, and the jobs of assistants' replies."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.errors import Code, ParleyError

BODY_MAX = 8_000
TITLE_MAX = 200
REACTIONS_MAX = 20
REACTION_USERS_SHOWN = 20
_SILENT_CATEGORIES = frozenset(("Zs", "Zl", "Zp", "Cc", "Cf"))


class MessageKind(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"


class Status(StrEnum):
    PENDING = "pending"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reaction:
    """count: how many people. user_ids: the first of them, oldest first."""

    emoji: str
    count: int
    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the model's server counted them."""

    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Message:
    chat_id: str
    seq: int
    id: str
    sender_id: str
    kind: str
    client_message_id: str | None
    body: str | None
    reply_to: str | None
    status: str
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    reactions: tuple[Reaction, ...] = ()
    attempt: int | None = None
    regenerates: str | None = None
    failure: Failure | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The job behind an assistant's message; its row is the queue.

    attempt: 0 until first claimed. held: a worker's lease on it has not run out. trace: of the command that asked.
    """

    chat_id: str
    message_id: str
    question_id: str
    attempt: int
    held: bool
    finished: bool = False
    stop_requested: bool = False
    trace: str = ""


def check_text(value: str, what: str = "text") -> str:
    """Text that every store and every client can hold: no NUL, no lone surrogate."""
    if "\x00" in value:
        raise ParleyError(Code.INVALID, f"{what} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ParleyError(Code.INVALID, f"{what} holds a lone surrogate") from None
    return value


def is_silent(value: str) -> bool:
    """Nothing but white space, control and format characters."""
    if value.isprintable() and not value.isspace():  # the usual text, at C's speed
        return not value
    return all(unicodedata.category(c) in _SILENT_CATEGORIES for c in value)


def check_body(body: str, body_max: int = BODY_MAX) -> str:
    if len(body) > body_max:
        raise ParleyError(Code.TOO_LARGE, f"body is longer than {body_max} characters")
    check_text(body, "body")
    if is_silent(body):
        raise ParleyError(Code.EMPTY, "body has nothing to see in it")
    return body


_ZWJ, _KEYCAP = "‍", "⃣"


def _is_pictograph(c: str) -> bool:
    return unicodedata.category(c) == "So" or c in "‼⁉↔↕" or 0x1F000 <= ord(c) <= 0x1FAFF


def is_emoji(value: str) -> bool:
    """One emoji as people send them: a pictograph with modifiers, joined pictographs, a flag or a key cap."""
    if not 1 <= len(value) <= 16:
        return False
    if value.endswith(_KEYCAP):
        return value[0] in "0123456789#*" and value[1:-1] in ("", "️")
    if all(0x1F1E6 <= ord(c) <= 0x1F1FF for c in value):
        return len(value) == 2
    for part in value.split(_ZWJ):
        if not part or not _is_pictograph(part[0]):
            return False
        rest = part[1:]
        if not all(c == "️" or 0x1F3FB <= ord(c) <= 0x1F3FF or 0xE0020 <= ord(c) <= 0xE007F for c in rest):
            return False
        if len(rest) > 8:
            return False
    return True


_ASKS_ASSISTANT = re.compile(r"(?<![\w@.-])@assistant(?![\w-]|\.\w)", re.IGNORECASE)


def asks_assistant(body: str) -> bool:
    """Whether a message in a group calls the assistant by name."""
    return "@" in body and _ASKS_ASSISTANT.search(body) is not None
