"""What isn't one's own: every call of the document and every request of the socket, by everybody who may not.

The calls come from the documents that the service serves, so a new one is tried without being named here. A chat that
is foreign, that one has left, or that one is banned from, answers in all as one that isn't there, and nothing happens.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx2

from app.adapters.wire.registry import COMMANDS, request_examples
from stack.pace import within
from tests.world import People, Person, Raw, new_id

NOT_ABOUT_A_CHAT = {"hello", "ping", "auth.refresh"}


class Scene:
    """A group with a message that is pinned and reacted to and an answer, and those who are not in it any more or yet."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.url = people.world.urls[0]

    async def set_up(self) -> None:
        make = self.people.make
        self.owner, self.member = await make("owner"), await make("member")
        self.former, self.banned, self.stranger = await make("former"), await make("banned"), await make("stranger")
        self.elsewhere = await make("elsewhere")
        self.chat_id = await self.people.group(self.owner, self.member, self.former, self.banned)
        await self.people.group(self.elsewhere, self.owner)
        body = {"client_message_id": new_id(), "body": "@assistant a secret"}
        chat = f"/v1/chats/{self.chat_id}"
        self.message_id = str((await self.former.rest.post(f"{chat}/messages", body))["id"])
        async with within(20):
            while (await self.owner.rest.get(f"{chat}/messages"))["items"][0]["status"] == "pending":
                await asyncio.sleep(0.1)
        await self.owner.rest.put(f"{chat}/pins/{self.message_id}")
        await self.owner.rest.delete(f"{chat}/members/{self.former.id}")
        await self.owner.rest.put(f"{chat}/bans/{self.banned.id}")
        self.outsiders = {
            "stranger": self.stranger, "former": self.former, "banned": self.banned, "elsewhere": self.elsewhere,
        }  # fmt: skip

    def filled(self, value: Any, chat_id: str) -> Any:
        """An example with this scene's ids."""
        if isinstance(value, dict):
            known = {"chat_id": chat_id, "message_id": self.message_id, "user_id": self.member.id}
            return {
                key: known[key]
                if key in known
                else new_id()
                if key in ("client_message_id", "command_id")
                else self.filled(v, chat_id)
                for key, v in value.items()
                if key != "reply_to"
            }
        return [self.filled(one, chat_id) for one in value] if isinstance(value, list) else value


def calls(document: dict[str, Any]) -> list[tuple[str, str, Any]]:
    """(method, path, example of its body) of all that are about a chat."""
    found = []
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            body = schemas[name]["examples"][0] if name else None
            if "{chat_id}" in path or (body is not None and "chat_id" in body):
                found.append((method.upper(), path, body))
            elif any(parameter["name"] == "chat_id" for parameter in operation.get("parameters", ())):
                found.append((method.upper(), f"{path}?q=secret&chat_id={{chat_id}}", body))
    return found


async def test_every_call_about_a_chat_says_to_outsiders_what_it_says_of_none(people: People) -> None:
    scene = Scene(people)
    await scene.set_up()
    async with httpx2.AsyncClient(base_url=scene.url, timeout=30) as http:
        document = (await http.get("/openapi.json")).json()
        found = calls(document)
        assert len(found) >= 25, "the calls are found"
        before = await scene.owner.rest.get(f"/v1/chats/{scene.chat_id}")

        async def told(person: Person, method: str, path: str, body: Any, chat_id: str) -> tuple[int, Any, Any]:
            ids = {
                "chat_id": chat_id,
                "message_id": scene.message_id,
                "user_id": scene.member.id,
                "emoji": "%F0%9F%91%8D",
                "act": "mute",
            }
            path = re.sub(r"{(\w+)}", lambda name: ids[name.group(1)], path)
            headers = {"Authorization": f"Bearer {person.rest.access_token}"}
            answer = await http.request(
                method, path, json=scene.filled(body, chat_id) if body else None, headers=headers
            )
            problem = answer.json() if answer.content else {}
            assert "secret" not in answer.text
            return answer.status_code, problem.get("code"), problem.get("detail")

        for method, path, body in found:
            for name, person in scene.outsiders.items():
                foreign = await told(person, method, path, body, scene.chat_id)
                missing = await told(person, method, path, body, new_id())
                if path.endswith("/refused") and name in ("former", "banned"):
                    assert (foreign[0], missing[:2]) == (204, (404, "not_found")), "who was in it may say so"
                    continue
                wanted = (403, "not_allowed") if path.startswith("/v1/admin/") else (404, "not_found")
                assert foreign == missing and foreign[:2] == wanted, (name, method, path, foreign, missing)
        after = await scene.owner.rest.get(f"/v1/chats/{scene.chat_id}")
        assert after == before, "nothing happened"
        await scene.member.rest.post("/v1/auth/logout")
        for method, path, body in found:
            assert (await told(scene.member, method, path, body, scene.chat_id))[:2] == (401, "unauthenticated"), path


async def test_every_request_of_the_socket_about_a_chat_says_to_outsiders_what_it_says_of_none(people: People) -> None:
    scene = Scene(people)
    await scene.set_up()
    before = await scene.owner.rest.get(f"/v1/chats/{scene.chat_id}")
    requests = {name: example for name, example in request_examples().items() if name not in NOT_ABOUT_A_CHAT}
    assert requests.keys() >= COMMANDS.keys() | {"sync", "read.mark", "typing"}
    for name, person in scene.outsiders.items():
        raw = await person.socket()
        for type_, example in requests.items():
            answers = [await said(raw, scene, type_, example, chat_id) for chat_id in (scene.chat_id, new_id())]
            assert answers[0] == answers[1], (name, type_, answers)
            assert answers[0] is None or "not_found" in answers[0] or answers[0] == ("gone",), (name, type_, answers)
        assert "secret" not in json.dumps([frame for frame in raw.seen if frame["type"] != "welcome"])
        await raw.close()
    assert await scene.owner.rest.get(f"/v1/chats/{scene.chat_id}") == before, "nothing happened"


async def said(raw: Raw, scene: Scene, type_: str, example: dict[str, Any], chat_id: str) -> tuple[Any, ...] | None:
    """How it ended; None where nothing is ever told."""
    if type_ == "typing":
        await raw.send({"type": type_, "chat_id": chat_id})
        return None
    frame = scene.filled(example, chat_id)
    if type_ == "sync":
        frame["chats"] = {chat_id: 0}
    ref = raw.ref()
    await raw.send(frame | {"ref": ref})
    end = await raw.until(lambda f: f.get("ref") == ref and f["type"] != "accepted")
    return (
        ("gone",)
        if end["type"] == "gone"
        else (end["type"], end.get("code"), end.get("reason"), tuple(end.get("policies", ())))
    )
