"""How people get in: who may register, invitations by link, forgotten passwords, letters by a real mail server."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from parley_client import Rest
from stack.pace import within
from stack.processes import free_port
from tests.scenarios.test_accounts import operator, refused
from tests.scenarios.test_keys import over
from tests.world import PASSWORD, People, World, new_id, start_embedded, stop_embedded

NEW = "another horse battery"


class Mailbox:
    """A real SMTP server that asks for a password. refuses: it takes no letter."""

    def __init__(self) -> None:
        self.letters: list[Envelope] = []
        self.refuses = False
        self.controller = Controller(
            self, "127.0.0.1", free_port(), auth_required=True, auth_require_tls=False, authenticator=self.authenticate
        )  # fmt: skip

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"parley", b"p@ss")
        return AuthResult(success=good)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.refuses:
            return "451 not now"
        self.letters.append(envelope)
        return "250 taken"

    @property
    def url(self) -> str:
        return f"smtp://parley:p%40ss@127.0.0.1:{self.controller.port}"


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    made.controller.start()
    yield made
    made.controller.stop()


@pytest.fixture(scope="module")
def closed_house(mailbox: Mailbox) -> Iterator[World]:
    """One process where people come by invitation, and letters go out."""
    environment = {
        "REGISTRATION": "invite", "SMTP_URL": mailbox.url, "MAIL_FROM": "Parley <chat@example.org>",
        "PUBLIC_URL": "https://chat.example.org/talk",
    }  # fmt: skip
    world = start_embedded(environment)
    yield world
    stop_embedded(world)


def code_in(url: str) -> str:
    found = re.search(r"#code=([A-Za-z0-9_-]+)$", url)
    assert found is not None, url
    return found[1]


def reset(rest: Rest, code: str, password: str = NEW) -> Any:
    body = {"code": code, "new_password": password}
    return rest.call("POST", "/v1/auth/password-reset", json=body, signed=False)


async def root_of(world: World) -> Rest:
    """The first person of a house where nobody registers: by the command line, which makes the operator's account."""
    assert world.role is not None
    rest = Rest(world.urls[0])
    name = f"root-{new_id()[:8]}"
    done = await asyncio.to_thread(world.role.run, "operator", name, "--make")
    assert done.returncode == 0, done.stderr
    await reset(rest, code_in(done.stdout.split()[-1]), PASSWORD)
    await rest.sign_in(name, PASSWORD)
    return rest


async def test_in_a_closed_house_one_needs_an_invitation(closed_house: World) -> None:
    root = await root_of(closed_house)
    said = await root.http.get("/v1/auth/providers")
    assert said.json() == {"registration": "invite", "password": True, "providers": []}
    stranger = Rest(closed_house.urls[0])

    def register(**more: Any) -> Any:
        body = {"username": f"p-{new_id()[:8]}", "password": PASSWORD, **more}
        return stranger.call("POST", "/v1/auth/register", json=body, signed=False)

    invitation = await root.post("/v1/invitations", {"uses": 2})
    assert invitation["url"] == f"https://chat.example.org/talk/invitation#code={invitation['code']}"
    assert (await refused(register())).code == "not_allowed"
    assert (await refused(register(invitation="guess"))).code == "not_allowed"
    taken = root.user["username"]
    assert (await refused(register(username=taken, invitation=invitation["code"]))).code == "conflict"
    first = (await register(invitation=invitation["code"])).json()
    both = await asyncio.gather(
        *(register(invitation=invitation["code"]) for _ in range(5)), return_exceptions=True
    )  # fmt: skip
    assert sum(not isinstance(one, Exception) for one in both) == 1, "exactly as many as it says, also at once"
    [shown] = (await root.get("/v1/invitations"))["items"]
    assert (shown["used"], shown["uses"]) == (2, 2)
    assert (await refused(register(invitation=invitation["code"]))).code == "not_allowed"
    member = Rest(closed_house.urls[0])
    member.access_token = first["access_token"]
    assert (await refused(member.post("/v1/invitations", {}))).code == "not_allowed"
    chat = (await member.post("/v1/chats", {"kind": "group", "title": "g"}))["id"]
    into_chat = await member.post("/v1/invitations", {"chat_id": chat})
    assert (await refused(register(invitation=into_chat["code"]))).code == "not_allowed", (
        "that is no way into the service"
    )
    for rest in (root, stranger, member):
        await rest.close()


async def test_a_forgotten_password_comes_back_by_letter(closed_house: World, mailbox: Mailbox) -> None:
    root = await root_of(closed_house)
    name = root.user["username"]
    stranger = Rest(closed_house.urls[0])

    async def forgotten(username: str) -> None:
        answer = await stranger.http.post("/v1/auth/password-forgotten", json={"username": username})
        assert (answer.status_code, answer.content) == (202, b"")

    mailbox.letters.clear()
    await forgotten(name)
    await forgotten("nobody-at-all")
    for bad in ("no address", "a@b", "a b@example.org", "a@example.org\nBcc: all@example.org", "<a@example.org>"):
        assert (await refused(root.patch("/v1/me", {"email": bad}))).code == "invalid", bad
    assert (await root.patch("/v1/me", {"email": "root@example.org"}))["email"] == "root@example.org"
    await forgotten(name.upper())
    async with within(10):
        while not mailbox.letters:
            await asyncio.sleep(0.05)
    await forgotten(name)  # within five minutes
    await asyncio.sleep(0.5)
    [letter] = mailbox.letters
    assert isinstance(letter.content, bytes)
    read = message_from_bytes(letter.content, policy=policy.default)
    text = read.get_content()
    assert letter.rcpt_tos == ["root@example.org"] and read["Subject"] == "A new password" and name in text
    [url] = re.findall(r"https://chat\.example\.org/talk/password#code=\S+", text)
    before = root.access_token
    await reset(stranger, code_in(url))
    await over(root)
    root.access_token = before
    assert (await refused(stranger.sign_in(name, PASSWORD))).code == "invalid_grant"
    await stranger.sign_in(name, NEW)
    assert (await refused(reset(stranger, code_in(url)))).code == "not_found", "good once"
    await stranger.patch("/v1/me", {"email": ""})
    assert (await stranger.get("/v1/me"))["email"] is None
    for rest in (root, stranger):
        await rest.close()


async def test_a_mail_server_that_takes_nothing_takes_nothing_with_it(closed_house: World, mailbox: Mailbox) -> None:
    root = await root_of(closed_house)
    await root.patch("/v1/me", {"email": "root@example.org"})
    mailbox.refuses = True
    answer = await root.http.post("/v1/auth/password-forgotten", json={"username": root.user["username"]})
    assert answer.status_code == 202
    await asyncio.sleep(0.5)
    mailbox.refuses = False
    await root.get("/v1/me")
    assert closed_house.role is not None
    log = closed_house.role.child.log.read_text()
    assert "a letter" in log and "#code=" not in log, "it is told, without what was in it"
    await root.close()


async def test_an_operator_s_link_sets_a_new_password_once(people: People) -> None:
    root, anna = await operator(people), await people.make("anna")
    key = await anna.rest.post("/v1/me/keys", {"name": "k", "scopes": ["read"]})
    assert (await refused(anna.rest.post(f"/v1/admin/users/{root.id}/password-link"))).code == "not_allowed"
    first = await root.rest.post(f"/v1/admin/users/{anna.id}/password-link")
    second = await root.rest.post(f"/v1/admin/users/{anna.id}/password-link")
    assert second["url"].startswith(f"{people.world.urls[0]}/password#code=") and second["expires_at"] > "2026"
    stranger = Rest(people.world.urls[-1])
    for code, password, error in (
        (code_in(first["url"]), NEW, "not_found"), ("guess", NEW, "not_found"), (code_in(second["url"]), "short", "invalid"),
    ):  # fmt: skip
        work = stranger.call(
            "POST", "/v1/auth/password-reset", json={"code": code, "new_password": password}, signed=False
        )
        assert (await refused(work)).code == error
    body = {"code": code_in(second["url"]), "new_password": NEW}
    at_once = await asyncio.gather(
        *(stranger.call("POST", "/v1/auth/password-reset", json=body, signed=False) for _ in range(3)),
        return_exceptions=True,
    )
    assert sum(not isinstance(one, Exception) for one in at_once) == 1
    await over(anna.rest)
    await stranger.sign_in(anna.name, NEW)
    stranger.access_token = key["key"]
    await stranger.get("/v1/me")  # keys stay
    for who in ("bot", "disabled"):
        if who == "bot":
            made = await root.rest.post("/v1/admin/bots", {"username": f"b-{new_id()[:8]}", "display_name": "B"})
            user_id = made["user"]["id"]
        else:
            await root.rest.patch(f"/v1/admin/users/{anna.id}", {"disabled": True})
            user_id = anna.id
        assert (await refused(root.rest.post(f"/v1/admin/users/{user_id}/password-link"))).code == "conflict", who
    assert (await refused(root.rest.post(f"/v1/admin/users/{new_id()}/password-link"))).code == "not_found"
    entry = next(e for e in (await root.rest.get("/v1/admin/audit"))["items"] if e["act"] == "password.linked")
    assert entry["target_id"] == anna.id and not entry["details"]
    await stranger.close()


async def test_the_command_line_prints_such_a_link(people: People) -> None:
    anna = await people.make("anna")
    world = people.world
    role = world.role or (world.stack.gateways[0] if world.stack is not None else None)
    assert role is not None
    done: subprocess.CompletedProcess[str] = await asyncio.to_thread(role.run, "password-link", anna.name)
    assert done.returncode == 0, done.stderr
    stranger = Rest(world.urls[0])
    await reset(stranger, code_in(done.stdout.splitlines()[0]))
    await stranger.sign_in(anna.name, NEW)
    done = await asyncio.to_thread(role.run, "password-link", "nobody-here")
    assert done.returncode == 2 and "no person is called nobody-here" in done.stderr
    await stranger.close()


async def test_an_invitation_brings_people_into_a_chat(people: People) -> None:
    owner, ben, cat, eve = [await people.make(name) for name in ("owner", "ben", "cat", "eve")]
    chat_id = await people.group(owner)
    invitation = await owner.rest.post("/v1/invitations", {"chat_id": chat_id, "uses": 2})
    accept = f"/v1/invitations/{invitation['code']}/accept"
    assert invitation["url"].endswith(f"/invitation#code={invitation['code']}") and invitation["created_by"] == owner.id
    await ben.rest.patch("/v1/me", {"preferences": {"added_by": "nobody"}})
    raw = await ben.socket()
    chat = await ben.rest.post(accept)
    assert (chat["id"], chat["my_role"]) == (chat_id, "member")
    assert (await raw.expect("chat.joined"))["chat"]["id"] == chat_id
    assert (await ben.rest.post(accept))["id"] == chat_id, "again is the same, and doesn't count"
    event = (await owner.rest.get(f"/v1/chats/{chat_id}/timeline", after=1))["items"][0]
    assert (event["type"], event["actor_id"], event["member"]["user"]["id"]) == ("member.added", owner.id, ben.id)
    assert (await refused(ben.rest.post("/v1/invitations", {"chat_id": chat_id}))).code == "not_allowed"
    await owner.rest.put(f"/v1/chats/{chat_id}/bans/{eve.id}")
    assert (await refused(eve.rest.post(accept))).code == "banned"
    await ben.rest.delete(f"/v1/chats/{chat_id}/members/{ben.id}")
    await ben.rest.put(f"/v1/chats/{chat_id}/refused")
    assert (await refused(owner.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": ben.id}))).code == "not_allowed"
    await ben.rest.post(accept)
    await ben.rest.delete(f"/v1/chats/{chat_id}/members/{ben.id}")
    await ben.rest.patch("/v1/me", {"preferences": {"added_by": None}})
    await owner.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": ben.id})  # who accepted refuses no more
    await cat.rest.post(accept)
    assert (await refused(eve.rest.post(accept))).code == "not_found", "two came by it"
    [shown] = (await owner.rest.get("/v1/invitations"))["items"]
    assert (shown["used"], shown["uses"], shown["chat_id"]) == (2, 2, chat_id)
    assert not (await ben.rest.get("/v1/invitations"))["items"]
    assert (await refused(ben.rest.delete(f"/v1/invitations/{invitation['code']}"))).code == "not_found"
    await owner.rest.delete(f"/v1/invitations/{invitation['code']}")
    assert (await refused(ben.rest.post(accept))).code == "not_found"
    for body, code in (
        ({"chat_id": new_id()}, "not_found"), ({"uses": 0}, "invalid"), ({"chat_id": chat_id, "expires_at": "2020-01-01T00:00:00Z"}, "invalid"),
        ({}, "not_allowed"),
    ):  # fmt: skip
        assert (await refused(owner.rest.post("/v1/invitations", body))).code == code, body


async def test_an_invitation_is_good_as_long_as_its_maker_may_add(people: People) -> None:
    owner, second, cat = [await people.make(name) for name in ("owner", "second", "cat")]
    chat_id = await people.group(owner, second)
    await owner.rest.patch(f"/v1/chats/{chat_id}/members/{second.id}", {"role": "admin"})
    invitation = await second.rest.post("/v1/invitations", {"chat_id": chat_id})
    await owner.rest.patch(f"/v1/chats/{chat_id}/members/{second.id}", {"role": "member"})
    accept = f"/v1/invitations/{invitation['code']}/accept"
    assert (await refused(cat.rest.post(accept))).code == "not_found"
    assert (await second.rest.get("/v1/invitations"))["items"][0]["used"] == 0, "who didn't come doesn't count"
    await owner.rest.patch(f"/v1/chats/{chat_id}/members/{second.id}", {"role": "admin"})
    root = await operator(people)
    await root.rest.patch(f"/v1/admin/users/{second.id}", {"disabled": True})
    assert (await refused(cat.rest.post(accept))).code == "not_found"
    await root.rest.patch(f"/v1/admin/users/{second.id}", {"disabled": False})
    await cat.rest.post(accept)
    codes = [one["code"] for one in (await root.rest.get("/v1/invitations"))["items"]]
    assert invitation["code"] in codes, "operators see all"
    await root.rest.delete(f"/v1/invitations/{invitation['code']}")
