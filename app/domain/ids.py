"""Identifiers: lower-case UUID strings everywhere, and the few that are derived rather than drawn."""

from __future__ import annotations

import re
import uuid

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_is_id = re.compile(UUID_PATTERN[:-1] + r"\Z").match

_NAMESPACE = uuid.UUID("6f0a5f6e-3a52-5c0e-9a6c-52a1d6f1b7ce")
ASSISTANT_ID = str(uuid.uuid5(_NAMESPACE, "assistant"))
"""The built-in assistant's user id: the same in every deployment."""
ASSISTANT_NAME = "assistant"
DEFAULT_PROVIDER = "default"
"""The name in the settings of whom answers come from where nothing else is said."""
SYSTEM_ID = str(uuid.UUID(int=0))
"""Who sends what the service itself says; in public it is null."""


def is_id(value: object) -> bool:
    return isinstance(value, str) and _is_id(value) is not None


def derived_id(*parts: str) -> str:
    """The same parts give the same id, so that a repeated command meets its first in one place."""
    return str(uuid.uuid5(_NAMESPACE, "\x00".join(parts)))


def direct_chat_id(one: str, other: str) -> str:
    return derived_id("direct", *sorted((one, other)))


def created_chat_id(creator_id: str, command_id: str) -> str:
    return derived_id("chat", creator_id, command_id)


def shard_of(chat_id: str, shards: int) -> int:
    """The shard that orders this chat. Stable across processes, unlike hash()."""
    return int(chat_id.replace("-", ""), 16) % shards


def external_user_id(external_id: str) -> str:
    """Of a user of the host's: whoever speaks of them, and whenever, means the same."""
    return derived_id("external user", external_id)


def external_chat_id(external_id: str) -> str:
    return derived_id("external chat", external_id)
