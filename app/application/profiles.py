"""Oneself and others: what a profile shows, and what one may keep in it."""

from __future__ import annotations

import json
import math
from typing import Any

from app.application.ports.fan_out import FanOut
from app.application.ports.people import Account, Accounts
from app.application.ports.socket import Codec
from app.application.ports.store import Timeline
from app.application.signals import Frame, chat_channel, pack_frame, user_channel
from app.domain.errors import Code, ParleyError, not_found
from app.domain.values import AddedBy, Person

PREFERENCES_BYTES_MAX = 16_384
PREFERENCES_DEPTH_MAX = 32
_TOLD_AT_ONCE = 200


class Profiles:
    def __init__(self, accounts: Accounts, timeline: Timeline, fan_out: FanOut, codec: Codec) -> None:
        self._accounts = accounts
        self._timeline = timeline
        self._fan_out = fan_out
        self._codec = codec

    async def account(self, user_id: str) -> Account:
        """Raises ParleyError `not_found`."""
        account = await self._accounts.by_id(user_id)
        if account is None:
            raise not_found()
        return account

    async def change(
        self,
        user_id: str,
        display_name: str | None,
        preferences: dict[str, Any] | None,
        email: str | None = None,
    ) -> Account:
        """None: that stays; an empty email takes it away. preferences: merged into those that there are, by RFC 7396. Raises ParleyError."""

        def merge(kept: dict[str, object]) -> dict[str, object]:
            made: dict[str, object] = merged(kept, preferences)
            check_preferences(made)
            if preferences and preferences.get("added_by") is not None and made["added_by"] not in list(AddedBy):
                raise ParleyError(Code.INVALID, f"added_by: one of {', '.join(AddedBy)}")
            return made

        if preferences is not None:
            check_preferences(preferences)
        before = await self.account(user_id) if display_name is not None else None
        await self._accounts.update(user_id, display_name, merge if preferences is not None else None, email)
        account = await self.account(user_id)
        if before is not None and account.display_name != before.display_name:
            await self.tell_all(account.person)
        if preferences is not None:
            frame = self._codec.preferences_changed(account.preferences)
            await self._fan_out.publish([(user_channel(user_id), pack_frame(Frame(frame)))])
        return account

    async def tell_all(self, person: Person) -> None:
        """Everyone who shares a chat, once a chat, and one's own sessions."""
        frame = pack_frame(Frame(self._codec.user_updated(person)))
        channels = [user_channel(person.id), *map(chat_channel, await self._timeline.joined(person.id, None))]
        for start in range(0, len(channels), _TOLD_AT_ONCE):
            await self._fan_out.publish([(channel, frame) for channel in channels[start : start + _TOLD_AT_ONCE]])

    async def find(self, query: str, after: tuple[int, str] | None, limit: int) -> list[tuple[int, Person]]:
        """As `Accounts.search`."""
        return [(rank, account.person) for rank, account in await self._accounts.search(query, after, limit)]


def merged(kept: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396): null takes a key out, objects are merged, all else is put in its place."""
    if not isinstance(patch, dict):
        return patch
    made = dict(kept) if isinstance(kept, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = merged(made.get(key), value)
    return made


def check_preferences(preferences: dict[str, Any], what: str = "preferences") -> None:
    """What every store can keep, and not too much of it. Raises ParleyError `too_large`, `invalid`."""
    if len(json.dumps(preferences, ensure_ascii=False, separators=(",", ":")).encode()) > PREFERENCES_BYTES_MAX:
        raise ParleyError(Code.TOO_LARGE, f"{what} take at most 16 KiB of JSON")
    if _depth(preferences) > PREFERENCES_DEPTH_MAX:
        raise ParleyError(Code.INVALID, f"{what} hold at most {PREFERENCES_DEPTH_MAX} levels")
    if not _can_be_kept(preferences):
        raise ParleyError(Code.INVALID, f"{what} hold a NUL character, or a number that is too large")


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
