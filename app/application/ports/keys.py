"""Keys: what programs have in place of a password and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Key:
    """Without itself, which is shown once and kept by nobody. user_id: who acts with it; a service's has a bot of its own.
    prefix: by which people tell keys apart."""

    id: str
    user_id: str
    service: bool
    name: str
    prefix: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = None


class Keys(Protocol):
    """Each raises Transient. What is over (ended, expired, its user disabled) is found by nobody. Each act is written down."""

    async def add(self, key: Key, hash_: str, actor_id: str, most: int) -> Key | None:
        """With the time of its making. None where its user has so many already; of a service's so many count in all."""
        ...

    async def by_hash(self, hash_: str) -> tuple[Key, float | None] | None:
        """(the key, seconds until it expires). That it is used is noted, once a minute at most."""
        ...

    async def of(self, user_id: str | None, before_id: str | None, limit: int) -> list[Key]:
        """A person's own, or all of services; newest first, before that one."""
        ...

    async def end(self, key_id: str, user_id: str | None, actor_id: str) -> str | None:
        """From here on it is good for nothing, and its sockets close. user_id: whose it is; None of a service's. Whose it was;
        None for no such key."""
        ...
