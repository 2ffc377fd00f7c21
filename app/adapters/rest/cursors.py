"""Lists that go on: opaque cursors, signed, and bound to who asks and what for."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from app.adapters.wire.text import ITEMS_BYTES_MAX, encode_bytes
from app.domain.errors import Code, ParleyError

T = TypeVar("T")


class Cursors:
    """keys: the first signs, all verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def of(self, user_id: str, query: str, place: list[Any]) -> str:
        text = msgspec.json.encode(place)
        return base64.urlsafe_b64encode(_mac(self._keys[0], user_id, query, text) + text).decode().rstrip("=")

    def place(self, user_id: str, query: str, cursor: str, types: tuple[type, ...]) -> list[Any]:
        """Raises ParleyError `invalid`."""
        try:
            raw = base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            mac, text = raw[:16], raw[16:]
            if not any(hmac.compare_digest(mac, _mac(key, user_id, query, text)) for key in self._keys):
                raise ValueError
            return list(msgspec.json.decode(text, type=tuple[types]))  # type: ignore[valid-type]
        except (ValueError, msgspec.MsgspecError):
            raise ParleyError(Code.INVALID, "this cursor is not one of this list") from None


class Paging(Generic[T]):
    """One list of one person: its cursor in, its page and next cursor out.

    query: names the list and what it was narrowed to. types: of the place that a cursor holds.
    """

    def __init__(
        self, cursors: Cursors, user_id: str, query: str, cursor: str | None, limit: int, *types: type
    ) -> None:
        self._cursors, self._user_id, self._query = cursors, user_id, query
        self.limit = limit
        self.place = cursors.place(user_id, query, cursor, types) if cursor is not None else None
        """Of the last one seen; None at the beginning."""

    @property
    def to_ask(self) -> int:
        """What to ask the store for: one more tells whether the list goes on."""
        return self.limit + 1

    def page(
        self,
        found: Sequence[T],
        shown: Callable[[T], Any],
        place: Callable[[T], list[Any]],
        goes_on: list[Any] | None = None,
    ) -> dict[str, Any]:
        """The public list. place: where the next page begins after this item. goes_on: where it begins after the last of
        them, for who hasn't asked for one more."""
        items = fitting([shown(item) for item in found[: self.limit]])
        next_cursor = None
        if len(found) > len(items):
            next_cursor = self._cursors.of(self._user_id, self._query, place(found[len(items) - 1]))
        elif goes_on is not None:
            next_cursor = self._cursors.of(self._user_id, self._query, goes_on)
        return {"items": items, "next_cursor": next_cursor}


def fitting(items: list[Any]) -> list[Any]:
    """As many of these as an answer takes, one at least: the list goes on behind them."""
    size = 0
    for place, item in enumerate(items):
        size += len(encode_bytes(item)) + 1
        if size > ITEMS_BYTES_MAX and place:
            return items[:place]
    return items


def _mac(key: bytes, user_id: str, query: str, text: bytes) -> bytes:
    return hmac.digest(key, f"{user_id}\x00{query}\x00".encode() + text, "sha256")[:16]
