"""What people report of messages, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Report:
    """closed_at, closed_by, note: of the operator who dealt with it; None until then."""

    id: str
    at: datetime
    chat_id: str
    message_id: str
    reporter_id: str
    reason: str
    closed_at: datetime | None = None
    closed_by: str | None = None
    note: str | None = None


class Reports(Protocol):
    """Each raises Transient."""

    async def add(self, report_id: str, chat_id: str, message_id: str, reporter_id: str, reason: str) -> Report:
        """One of a person and message: the first one stays, and is given back, told by its id."""
        ...

    async def page(self, open_: bool | None, before_id: str | None, limit: int) -> list[Report]:
        """At most limit, newest first, before that one (exclusive); open_: None for all."""
        ...

    async def close(self, operator_id: str, report_id: str, note: str) -> Report | None:
        """Closed by this operator, and written down with it; one that is closed stays as it is. None: there is none."""
        ...

    async def seen(self, operator_id: str, message_id: str, chat_id: str) -> None:
        """Write down that an operator read this message."""
        ...
