"""What a key is good for."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """Of a personal key: what its person may read, what they may do, and whether they may ask assistants."""

    READ = "read"
    WRITE = "write"
    ASK = "ask"


class ServiceScope(StrEnum):
    """Of a service's key: the parts of the server API."""

    USERS = "users"
    CHATS = "chats"
    MESSAGES = "messages"
    FEED = "feed"
    TOKENS = "tokens"


Scopes = frozenset[str] | None
"""None: no key, nothing is left out."""

ASK_FIRST = "keys-ask-with-the-scope"
"""The policy by which a key without the scope asks no assistant."""

__all__ = ["ASK_FIRST", "Scope", "Scopes", "ServiceScope"]
