"""The two forms of a list, for OpenAPI: by cursor, and by seq."""

from __future__ import annotations

from typing import Generic, TypeVar

from typing_extensions import TypedDict

T = TypeVar("T")


class Listed(TypedDict, Generic[T]):
    """next_cursor: of the next page; null at the end."""

    items: list[T]
    next_cursor: str | None


class ListedBySeq(TypedDict, Generic[T]):
    items: list[T]
    has_more: bool


class Items(TypedDict, Generic[T]):
    items: list[T]
