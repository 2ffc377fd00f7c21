"""A team's people and history as tables: a folder with people.csv, chats.csv and messages.csv, each with a line of names."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from app.application.ports.origin import BadExport, OriginChat, OriginMessage, OriginPerson

_NEEDS = {
    "people.csv": ("id", "username", "display_name"),
    "chats.csv": ("id", "kind", "title", "created_at", "members"),
    "messages.csv": ("id", "chat_id", "sender_id", "created_at", "body"),
}


class Tables:
    """Implements Origin. people.csv may have email and disabled (true or false); messages.csv may have reply_to. members:
    `id` or `id:role`, with spaces between."""

    name = "csv"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _rows(self, name: str) -> Iterator[tuple[str, dict[str, str]]]:
        """(where it stands, by column)"""
        path = self._folder / name
        if not path.is_file():
            raise BadExport(f"{path} is missing")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            try:
                missing = [column for column in _NEEDS[name] if column not in (reader.fieldnames or ())]
                if missing:
                    raise BadExport(f"{name}: no column {', '.join(missing)}")
                for row in reader:
                    yield f"{name}:{reader.line_num}", {key: value or "" for key, value in row.items() if key}
            except (csv.Error, UnicodeDecodeError) as error:
                raise BadExport(f"{name}:{reader.line_num}: {error}") from error

    def people(self) -> Iterator[OriginPerson]:
        for _, row in self._rows("people.csv"):
            disabled = row.get("disabled", "").lower() in ("true", "1", "yes")
            yield OriginPerson(row["id"], row["username"], row["display_name"], row.get("email") or None, disabled)

    def chats(self) -> Iterator[OriginChat]:
        for where, row in self._rows("chats.csv"):
            members = tuple(
                (id_, role or "member") for id_, _, role in (m.partition(":") for m in row["members"].split())
            )
            yield OriginChat(row["id"], row["kind"], row["title"] or None, _time(where, row["created_at"]), members)

    @cached_property
    def _messages(self) -> dict[str, list[OriginMessage]]:
        by_chat: dict[str, list[OriginMessage]] = {}
        for where, row in self._rows("messages.csv"):
            at, reply_to = _time(where, row["created_at"]), row.get("reply_to") or None
            message = OriginMessage(row["id"], row["sender_id"], row["body"], at, reply_to)
            by_chat.setdefault(row["chat_id"], []).append(message)
        for messages in by_chat.values():
            messages.sort(key=lambda message: message.created_at)
        return by_chat

    def messages(self, chat_id: str) -> Iterator[OriginMessage]:
        yield from self._messages.get(chat_id, ())


def _time(where: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadExport(f"{where}: created_at is no time in ISO 8601: {text[:40]}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
