"""Who is who, for the terminal: names, titles, and who is meant by a name."""

from __future__ import annotations

import unicodedata
from typing import Any

import httpx2

from parley_client.client import Client
from parley_client.rest import Problem

Frame = dict[str, Any]
LOST = (httpx2.HTTPError, OSError, TimeoutError)


def printable(text: str) -> str:
    """Nobody's text moves another's cursor; what follows a line break doesn't look like somebody new."""
    kept = "".join("\ufffd" if unicodedata.category(c) == "Cc" and c not in "\n\t" else c for c in text)
    return kept.replace("\n", "\n  ")


class Directory:
    """Who is who, as the client knows people: each asked for once, and called as they are now."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._rest = client.rest
        self._titles: dict[str, str] = {}

    async def name(self, user_id: str | None) -> str:
        if user_id is None:
            return "the service"
        if user_id == self._rest.user["id"]:
            return "you"
        try:
            return printable((await self._client.person(user_id))["display_name"])
        except (Problem, *LOST):
            return "somebody"

    async def title(self, chat: Frame) -> str:
        """A direct chat is called as the other person is."""
        if chat["kind"] != "direct":
            return printable(chat["title"] or chat["kind"])
        if chat["id"] not in self._titles:
            members = (await self._rest.get(f"/v1/chats/{chat['id']}/members"))["items"]
            others = [one["user"]["username"] for one in members if one["user"]["id"] != self._rest.user["id"]]
            self._titles[chat["id"]] = f"@{others[0]}" if others else "direct"
        return self._titles[chat["id"]]

    async def person(self, name: str) -> str:
        """The id behind exactly this username: nobody's words go to a stranger."""
        name = name.lower().removeprefix("@")
        found = (await self._rest.get("/v1/users", query=name, limit=50))["items"] if len(name) > 1 else []
        for one in found:
            if one["username"] == name:
                return str(one["id"])
        if not name:
            raise Problem(0, "invalid", {"detail": "whom? a username is missing"})
        near = ", ".join(one["username"] for one in found[:5])
        raise Problem(
            404, "not_found", {"detail": f"nobody has the username {name}{f'; there is {near}' if near else ''}"}
        )
