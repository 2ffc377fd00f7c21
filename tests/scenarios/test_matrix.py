"""PROTOCOL's matrix, executed through the socket, REST and straight from the queue; the table stands beside the policies."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from app.adapters.wire.registry import COMMANDS
from app.domain.command import Command
from app.infrastructure.wiring import POLICIES
from parley_client import Problem, Rejected
from tests import actions as c
from tests.world import People, Person, World, new_id, straight_to_the_queue

ROLES = ("owner", "admin", "member", "reader")
OF_A_QUESTION = ("reply.regenerate", "reply.steer")
"""Of one's own question: tests/scenarios/test_replies.py."""
ROWS = list(csv.DictReader(line for line in (POLICIES / "matrix.csv").open() if not line.startswith("#")))


class Scene:
    """A group with one person of each role, a bystander member and a bystander admin."""

    def __init__(self, people: People) -> None:
        self.people = people

    async def set_up(self) -> None:
        self.root = await self.people.make("root")
        self.by_role = {role: await self.people.make(role) for role in ROLES}
        self.others = {"member": await self.people.make("other"), "admin": await self.people.make("deputy")}
        everybody = [*self.by_role.values(), *self.others.values()]
        self.chat_id = await self.people.group(self.root, *everybody)
        for role, person in [*self.by_role.items(), ("admin", self.others["admin"])]:
            if role not in ("member", "reader"):
                await self.root.rest.patch(f"/v1/chats/{self.chat_id}/members/{person.id}", {"role": role})
        self.message = await self.write(self.root)
        self.own = {role: await self.write(person) for role, person in self.by_role.items()}
        await self.root.rest.patch(f"/v1/chats/{self.chat_id}/members/{self.by_role['reader'].id}", {"role": "reader"})

    async def write(self, person: Person) -> str:
        body = {"client_message_id": new_id(), "body": "words"}
        return str((await person.rest.post(f"/v1/chats/{self.chat_id}/messages", body))["id"])


async def outcome(work: Any) -> str:
    """ "yes", or the code of the refusal; a rule of the state (conflict …) comes after the policies said yes."""
    try:
        await work
    except (Problem, Rejected) as error:
        return "yes" if error.code in ("conflict", "invalid") else error.code
    return "yes"


def rest_call(scene: Scene, action: str, message_id: str, other: Person) -> tuple[str, str, dict[str, Any] | None]:
    chat, message = f"/v1/chats/{scene.chat_id}", f"/v1/chats/{scene.chat_id}/messages/{message_id}"
    return {
        "chat.read": ("GET", f"{chat}/messages", None),
        "message.send": ("POST", f"{chat}/messages", {"client_message_id": new_id(), "body": "x"}),
        "message.edit": ("PATCH", message, {"body": new_id()}),
        "message.delete": ("DELETE", message, None),
        "reaction.add": ("PUT", f"{message}/reactions/%F0%9F%91%8D", None),
        "reaction.remove": ("DELETE", f"{message}/reactions/%F0%9F%91%8D", None),
        "message.pin": ("PUT", f"{chat}/pins/{message_id}", None),
        "message.unpin": ("DELETE", f"{chat}/pins/{message_id}", None),
        "reply.stop": ("POST", f"{message}/stop", None),
        "reply.regenerate": ("POST", f"{message}/regenerate", None),
        "reply.steer": ("POST", f"{message}/steer", {"text": "shorter"}),
        "assistant.consent": ("PATCH", chat, {"assistant_consent": True}),
        "chat.update": ("PATCH", chat, {"title": new_id()}),
        "member.add": ("POST", f"{chat}/members", {"user_id": other.id}),
        "member.add as admin": ("POST", f"{chat}/members", {"user_id": other.id, "role": "admin"}),
        "member.update": ("PATCH", f"{chat}/members/{other.id}", {"role": "reader"}),
        "member.remove": ("DELETE", f"{chat}/members/{other.id}", None),
        "member.ban": ("PUT", f"{chat}/bans/{other.id}", None),
        "message.report": ("POST", f"{message}/report", {"reason": "spam"}),
        "chat.moderate": ("POST", f"/v1/admin{chat.removeprefix('/v1')}/members/{other.id}/mute", {"reason": "spam"}),
        "policy.explain": (
            "POST",
            "/v1/policy/explain",
            {"action": "typing", "chat_id": scene.chat_id, "user_id": other.id},
        ),
    }[action]


def target(scene: Scene, action: str) -> tuple[str, Person]:
    name, _, of = action.partition(" of ")
    return name, scene.others["admin" if of == "admin" else "member"]


async def restore(scene: Scene, other: Person) -> None:
    """What an allowed change of a bystander did is undone, for the next role."""
    role = "admin" if other is scene.others["admin"] else "member"
    chat = f"/v1/chats/{scene.chat_id}"
    await scene.root.rest.delete(f"{chat}/bans/{other.id}")
    await scene.root.rest.post(f"{chat}/members", {"user_id": other.id, "role": role})
    await scene.root.rest.patch(f"{chat}/members/{other.id}", {"role": role})


async def test_the_matrix_by_rest(people: People) -> None:
    scene = Scene(people)
    await scene.set_up()
    wrong = []
    for row in ROWS:
        action, other = target(scene, row["action"])
        for role in ROLES:
            person = scene.by_role[role]
            for own in (False, True) if "own" in row.values() and action not in OF_A_QUESTION else (False,):
                # What is one's own is about a message written anew, since deleting it ends it.
                message_id = scene.own[role] if own else scene.message
                if action == "message.delete" and row[role] == "yes" and not own:
                    message_id = await scene.write(scene.root)
                method, path, body = rest_call(scene, action, message_id, other)
                got = await outcome(person.rest.call(method, path, json=body))
                expected = "yes" if row[role] == "yes" or (row[role] == "own" and own) else "not_allowed"
                if got != expected:
                    wrong.append((row["action"], role, "own" if own else "other's", got))
            if action.startswith("member.") and row[role] == "yes":
                await restore(scene, other)
        if action == "message.delete":
            scene.own = {role: await scene.write(p) for role, p in scene.by_role.items() if role != "reader"} | {
                "reader": scene.message
            }
    assert wrong == []


async def test_the_matrix_by_socket(people: People) -> None:
    scene = Scene(people)
    await scene.set_up()
    wrong = []
    rows = [row for row in ROWS if row["action"] in COMMANDS]
    for role in ROLES:
        client = await scene.by_role[role].client(1)
        for row in rows:
            action = row["action"]
            if action == "message.send":
                got = await outcome(client.send(scene.chat_id, "x"))
            else:
                message_id = await scene.write(scene.root) if action == "message.delete" else scene.message
                more = {k: v for k, v in COMMANDS[action].example.items() if not k.endswith(("ref", "_id"))}
                got = await outcome(client.command(action, scene.chat_id, message_id=message_id, **more))
            expected = "yes" if row[role] == "yes" else "not_allowed"
            if got != expected:
                wrong.append((action, role, got))
    assert wrong == []


async def test_the_matrix_straight_from_the_queue(real: World) -> None:
    """The worker believes no role from outside: what is put on the queue, signed, is asked all the same."""
    people = People(real)
    scene = Scene(people)
    await scene.set_up()
    watch = await scene.root.client(0)
    head = (await scene.root.rest.get(f"/v1/chats/{scene.chat_id}"))["head"]
    for secret in ("a guess of the secret", ""):
        for role in ROLES:
            person = scene.by_role[role]
            send = Command(scene.chat_id, person.id, new_id(), c.SendMessage(f"from the queue by {role}"))
            update = Command(scene.chat_id, person.id, new_id(), c.UpdateChat(("title",), f"by {role}"))
            await straight_to_the_queue(real, send, update, secret=secret)
    await watch.wait_for(lambda: (watch.chats[scene.chat_id].cursor or 0) >= head + 5)
    events = [e for e in watch.chats[scene.chat_id].events if e["seq"] > head]
    bodies = [e["message"]["body"] for e in events if e["type"] == "message.created"]
    titles = [e["chat"]["title"] for e in events if e["type"] == "chat.updated"]
    assert bodies == [f"from the queue by {role}" for role in ("owner", "admin", "member")]
    assert titles == ["by owner", "by admin"]
    await people.close()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["action"])
def test_the_table_is_the_contract(row: dict[str, str]) -> None:
    assert set(row) == {"action", *ROLES} and set(row.values()) - {row["action"]} <= {"yes", "no", "own"}
