"""Codes that are good once: in links, and behind another issuer's page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol


class Purpose(StrEnum):
    PASSWORD = "password"
    SIGN_IN = "sign_in"


@dataclass(frozen=True, slots=True)
class CodeUse:
    user_id: str
    details: Mapping[str, Any]


class Codes(Protocol):
    """Of each only a hash is given, and kept. Each raises Transient."""

    async def add(
        self, hash_: str, purpose: Purpose, user_id: str, ttl_s: float, details: Mapping[str, Any], each_s: float = 0.0
    ) -> datetime | None:
        """Until when it is good; a link to set a password takes the place of those before it. each_s: None, and nothing
        is done, where one was made within so many seconds."""
        ...

    async def look(self, hash_: str, purpose: Purpose) -> CodeUse | None:
        """Whose it is, without using it. None where it isn't good."""
        ...

    async def use(self, hash_: str, purpose: Purpose) -> CodeUse | None:
        """The first time, within its life; None ever after."""
        ...
