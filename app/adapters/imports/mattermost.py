"""Mattermost's bulk export: a file of JSON lines (https://docs.mattermost.com/administration-guide/manage/bulk-export-tool.html),
or the zip archive that holds one. Posts have no ids there: theirs follow from place, sender and time."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from app.application.ports.origin import BadExport, OriginChat, OriginMessage, OriginPerson

_NEVER = datetime(2000, 1, 1, tzinfo=UTC)


class Mattermost:
    """Implements Origin."""

    name = "mattermost"

    def __init__(self, file: Path) -> None:
        self._file = file

    @contextmanager
    def _opened(self) -> Iterator[IO[str]]:
        if zipfile.is_zipfile(self._file):
            with zipfile.ZipFile(self._file) as archive:
                lines = [name for name in archive.namelist() if name.endswith(".jsonl")]
                if not lines:
                    raise BadExport(f"{self._file} holds no file of JSON lines")
                with archive.open(lines[0]) as raw:
                    yield io.TextIOWrapper(raw, "utf-8")
        else:
            with self._file.open(encoding="utf-8") as file:
                yield file

    def _lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """(type, what the line says)"""
        try:
            with self._opened() as file:
                for number, line in enumerate(file, 1):
                    if not line.strip():
                        continue
                    try:
                        said = json.loads(line)
                        yield said["type"], said.get(said["type"]) or {}
                    except (ValueError, LookupError, TypeError, AttributeError) as error:
                        raise BadExport(f"{self._file.name}:{number}: {type(error).__name__}") from error
        except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
            raise BadExport(f"{self._file}: {error}") from error

    @cached_property
    def _read(self) -> tuple[list[OriginPerson], dict[str, OriginChat], dict[str, list[OriginMessage]]]:
        people: list[OriginPerson] = []
        chats: dict[str, OriginChat] = {}
        members: dict[str, dict[str, str]] = {}
        messages: dict[str, list[OriginMessage]] = {}
        for type_, said in self._lines():
            try:
                if type_ == "channel":
                    id_ = f"{said['team']}/{said['name']}"
                    chats[id_] = OriginChat(id_, "group", said.get("display_name") or said["name"], _NEVER)
                elif type_ == "user":
                    people.append(_person(said))
                    for team in said.get("teams") or ():
                        for channel in team.get("channels") or ():
                            role = "owner" if "channel_admin" in (channel.get("roles") or "") else "member"
                            members.setdefault(f"{team['name']}/{channel['name']}", {})[said["username"]] = role
                elif type_ == "direct_channel":
                    _direct(chats, members, said["members"])
                elif type_ == "post":
                    _posted(messages, f"{said['team']}/{said['channel']}", said)
                elif type_ == "direct_post":
                    _posted(messages, _direct(chats, members, said["channel_members"]), said)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                raise BadExport(f"{self._file.name}: a {type_} without {error}") from error
        for found in messages.values():
            found.sort(key=lambda message: message.created_at)
        made = {}
        for id_, chat in chats.items():
            first = messages.get(id_)
            at = first[0].created_at if first else _NEVER
            made[id_] = OriginChat(id_, chat.kind, chat.title, at, tuple(members.get(id_, {}).items()))
        return people, made, messages

    def people(self) -> Iterator[OriginPerson]:
        yield from self._read[0]

    def chats(self) -> Iterator[OriginChat]:
        yield from self._read[1].values()

    def messages(self, chat_id: str) -> Iterator[OriginMessage]:
        yield from self._read[2].get(chat_id, ())


def _person(said: dict[str, Any]) -> OriginPerson:
    names = " ".join(filter(None, (said.get("first_name"), said.get("last_name"))))
    shown = said.get("nickname") or names or said["username"]
    return OriginPerson(
        said["username"], said["username"], shown, said.get("email") or None, bool(said.get("delete_at"))
    )


def _direct(chats: dict[str, OriginChat], members: dict[str, dict[str, str]], names: list[str]) -> str:
    """Its id: a direct chat of two, a group of more, a group of one's own notes."""
    own = sorted(set(names))
    id_ = f"direct/{'/'.join(own)}"
    chats.setdefault(id_, OriginChat(id_, "direct" if len(own) == 2 else "group", None, _NEVER))
    members.setdefault(id_, dict.fromkeys(own, "member"))
    return id_


def _posted(messages: dict[str, list[OriginMessage]], chat_id: str, said: dict[str, Any]) -> None:
    first = _message(chat_id, said, None)
    found = messages.setdefault(chat_id, [])
    found.append(first)
    found += [_message(chat_id, reply, first.id) for reply in said.get("replies") or ()]


def _message(chat_id: str, said: dict[str, Any], reply_to: str | None) -> OriginMessage:
    body, at = str(said.get("message") or ""), int(said["create_at"])
    id_ = sha256(f"{chat_id}\x00{said['user']}\x00{at}\x00{body}".encode()).hexdigest()[:32]
    return OriginMessage(id_, said["user"], body, datetime.fromtimestamp(at / 1000, UTC), reply_to)
