"""The values that requests are made of, and the forms that are the same for all subjects."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, NotRequired, TypeVar, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import TypedDict, get_type_hints

from app.domain.command import Action
from app.domain.ids import UUID_PATTERN
from app.domain.text import check_text

Id = Annotated[str, Field(strict=True, pattern=UUID_PATTERN, description="a UUID in lower case")]
Text = Annotated[str, Field(strict=True), AfterValidator(check_text)]
Ref = Annotated[str, Field(strict=True, min_length=1, max_length=64), AfterValidator(check_text)]
Seq = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")


def _a_time_as_text(value: object) -> object:
    if value is not None and not (isinstance(value, str) and _RFC3339.match(value)):
        raise ValueError("a time is a text in RFC 3339")
    return value


def _in_utc(at: datetime) -> datetime:
    """Cut to the milliseconds that are shown."""
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        raise ValueError("a time within years 1 to 9999 of UTC") from None
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


Time = Annotated[AwareDatetime, BeforeValidator(_a_time_as_text), AfterValidator(_in_utc)]

# Requests


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RefRequest(Request):
    ref: Ref


class OnChat(RefRequest):
    chat_id: Id


class OnMessage(OnChat):
    message_id: Id
    command_id: Id | None = None


# Lists

T = TypeVar("T")


class Listed(TypedDict, Generic[T]):
    """next_cursor: of the next page; null at the end."""

    items: list[T]
    next_cursor: str | None


class ListedBySeq(TypedDict, Generic[T]):
    items: list[T]
    has_more: bool


# Rows of the registry: what a subject's file says of itself


class AnyEvent(TypedDict):
    """The place of a durable event, which all have. actor_id: null of what the service itself says. One of a type that this server doesn't know is this alone."""

    chat_id: str
    seq: int
    at: str
    actor_id: str | None
    command_id: NotRequired[str]


def type_of(shape: Any) -> str:
    """The frame's own word: "message.created" of MessageCreated."""
    return str(get_args(get_type_hints(shape)["type"])[0])


@dataclass(frozen=True, slots=True)
class EventShape:
    """A durable event in public. shape: a typed dict, with its `type`. fields: what it carries beside its place, of its
    payload. example: of those fields, and of the place where it differs."""

    shape: Any
    fields: Callable[[Any], dict[str, Any]]
    example: dict[str, Any]

    @property
    def type(self) -> str:
        return type_of(self.shape)


@dataclass(frozen=True, slots=True)
class CommandShape:
    """A command as the socket takes it. model: with its `type`. action: what is asked of the chat. id: the field that
    names it, else one is drawn."""

    model: type[OnChat]
    action: Callable[[Any], Action]
    example: dict[str, Any]
    id: str = "command_id"

    @property
    def type(self) -> str:
        return type_of(self.model)


@dataclass(frozen=True, slots=True)
class Shown:
    """Any other public shape, by its example: a signal, an answer, a body of REST."""

    shape: Any
    example: dict[str, Any]
