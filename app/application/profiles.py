"""Oneself and others: what a profile shows, and what one may keep in it."""

from __future__ import annotations

import json
import math
from typing import Any

from app.application.ports.people import Account, Accounts
from app.domain.errors import Code, ParleyError, not_found
from app.domain.values import Person

PREFERENCES_BYTES_MAX = 16_384
PREFERENCES_DEPTH_MAX = 32


class Profiles:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def account(self, user_id: str) -> Account:
        """Raises ParleyError `not_found`."""
        account = await self._accounts.by_id(user_id)
        if account is None:
            raise not_found()
        return account

    async def change(self, user_id: str, display_name: str | None, preferences: dict[str, Any] | None) -> Account:
        """None: that stays. Raises ParleyError."""
        if preferences is not None:
            check_preferences(preferences)
        await self._accounts.update(user_id, display_name, preferences)
        return await self.account(user_id)

    async def find(self, prefix: str, limit: int) -> list[Person]:
        """By username or display name, in any case."""
        return [account.person for account in await self._accounts.search(prefix, limit)]


def check_preferences(preferences: dict[str, Any]) -> None:
    """What every store can keep, and not too much of it. Raises ParleyError `too_large`, `invalid`."""
    if len(json.dumps(preferences, ensure_ascii=False, separators=(",", ":")).encode()) > PREFERENCES_BYTES_MAX:
        raise ParleyError(Code.TOO_LARGE, "preferences take at most 16 KiB of JSON")
    if _depth(preferences) > PREFERENCES_DEPTH_MAX:
        raise ParleyError(Code.INVALID, f"preferences hold at most {PREFERENCES_DEPTH_MAX} levels")
    if not _can_be_kept(preferences):
        raise ParleyError(Code.INVALID, "preferences hold a NUL character, or a number that is too large")


def _depth(value: Any) -> int:
    """Levels of objects and lists in each other; the value itself is the first."""
    if not isinstance(value, (dict, list)):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def _can_be_kept(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_can_be_kept(key) and _can_be_kept(inner) for key, inner in value.items())
    if isinstance(value, list):
        return all(map(_can_be_kept, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not (isinstance(value, str) and "\x00" in value)
