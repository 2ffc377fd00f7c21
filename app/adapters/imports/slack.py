"""Slack's export: a zip archive, or the folder that it was unpacked to (https://slack.com/help/articles/220556107): users.json,
channels.json and, where they are part of it, groups.json, mpims.json and dms.json; a folder for each with a file a day."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from app.application.ports.origin import BadExport, OriginChat, OriginMessage, OriginPerson

_LISTS = {"channels.json": "group", "groups.json": "group", "mpims.json": "group", "dms.json": "direct"}
_BETWEEN = re.compile(r"<([^<>\n]+)>")
_NOBODY_SAID = {"channel_join", "channel_leave", "group_join", "group_leave", "bot_add", "bot_remove"}


class Slack:
    """Implements Origin."""

    name = "slack"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = zipfile.ZipFile(path) if path.is_file() and zipfile.is_zipfile(path) else None
        if self._archive is None and not path.is_dir():
            raise BadExport(f"{path} is no zip archive, and no folder")

    @cached_property
    def _names(self) -> list[str]:
        if self._archive is not None:
            return sorted(self._archive.namelist())
        return sorted(found.relative_to(self._path).as_posix() for found in self._path.rglob("*.json"))

    def _json(self, name: str) -> Any:
        try:
            if self._archive is not None:
                return json.loads(self._archive.read(name))
            return json.loads((self._path / name).read_bytes())
        except KeyError:
            raise BadExport(f"{name} is missing") from None
        except (OSError, ValueError) as error:
            raise BadExport(f"{name}: {error}") from error

    @cached_property
    def _users(self) -> dict[str, dict[str, Any]]:
        return {user["id"]: user for user in self._json("users.json")}

    def people(self) -> Iterator[OriginPerson]:
        for id_, user in self._users.items():
            profile = user.get("profile") or {}
            shown = (
                profile.get("display_name")
                or profile.get("real_name")
                or user.get("real_name")
                or user.get("name")
                or id_
            )
            disabled = bool(user.get("deleted") or user.get("is_bot"))
            yield OriginPerson(id_, user.get("name") or id_, shown, profile.get("email"), disabled)

    @cached_property
    def _chats(self) -> dict[str, tuple[str, OriginChat]]:
        """By id: (its folder, the chat)."""
        found: dict[str, tuple[str, OriginChat]] = {}
        for name, kind in _LISTS.items():
            if name not in self._names and name != "channels.json":
                continue
            for said in self._json(name):
                id_, folder = said["id"], said.get("name") or said["id"]
                members = tuple(dict.fromkeys(said.get("members") or ()))
                roles = tuple((member, "owner" if member == said.get("creator") else "member") for member in members)
                at = datetime.fromtimestamp(float(said.get("created") or 946_684_800), UTC)
                is_direct = kind == "direct" and len(members) == 2
                title = None if kind == "direct" else said.get("name")
                found[id_] = folder, OriginChat(id_, "direct" if is_direct else "group", title, at, roles)
        return found

    def chats(self) -> Iterator[OriginChat]:
        for _, chat in self._chats.values():
            yield chat

    def messages(self, chat_id: str) -> Iterator[OriginMessage]:
        folder, _ = self._chats[chat_id]
        said: list[dict[str, Any]] = []
        for name in self._names:
            if name.startswith(f"{folder}/") and name.endswith(".json"):
                said += self._json(name)
        for one in sorted(said, key=lambda each: float(each.get("ts") or 0)):
            if one.get("type") != "message" or one.get("subtype") in _NOBODY_SAID or not one.get("ts"):
                continue
            sender = one.get("user") or one.get("bot_id") or ""
            body = self._plain(one.get("text") or "") + "".join(
                f"\n[{file.get('name') or 'a file'}]" for file in one.get("files") or () if isinstance(file, dict)
            )
            thread = one.get("thread_ts")
            reply_to = thread if thread and thread != one["ts"] else None
            yield OriginMessage(
                one["ts"], sender, body.strip(), datetime.fromtimestamp(float(one["ts"]), UTC), reply_to
            )

    def _plain(self, text: str) -> str:
        """Slack's own marks as Markdown: people, channels, links; what it escaped as it was."""
        return html.unescape(_BETWEEN.sub(self._mark, text))

    def _mark(self, found: re.Match[str]) -> str:
        what, _, label = found[1].partition("|")
        if what.startswith("@"):
            return f"@{label or (self._users.get(what[1:]) or {}).get('name') or what[1:]}"
        if what.startswith("#"):
            channel = self._chats.get(what[1:])
            return f"#{label or (channel[0] if channel else what[1:])}"
        if what.startswith("!"):
            return f"@{label or what[1:].partition('^')[0]}".replace("@@", "@")
        return f"[{label}]({what})" if label and label != what else what
