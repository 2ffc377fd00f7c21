"""Names, passwords, reactions, and who is called: one set of rules on every database."""

from __future__ import annotations

import unicodedata
import uuid

import pytest

from parley_client import Rest
from tests.scenarios.test_accounts import make_operator, refused
from tests.scenarios.test_hostile_input import UPGRADE, tell
from tests.world import People, new_id


async def test_names_are_seen_trimmed_and_composed(people: People) -> None:
    anna = await people.make()
    for blank in (" ", "\u3164", "\u2800\u200b", "\uffa0", "\u034f", "\ufe0f"):
        assert (await refused(anna.rest.patch("/v1/me", {"display_name": blank}))).code == "empty"
        assert (await refused(anna.rest.post("/v1/chats", {"kind": "group", "title": blank}))).code == "empty"
    me = await anna.rest.patch("/v1/me", {"display_name": "  E\u0301va "})
    assert me["display_name"] == "Éva" == (await anna.rest.get("/v1/me"))["display_name"]
    group = await anna.rest.post("/v1/chats", {"kind": "group", "title": " Cafe\u0301\t"})
    assert group["title"] == "Café"
    for blank in ("\u3164", "\u2800"):
        body = {"client_message_id": new_id(), "body": blank}
        assert (await refused(anna.rest.post(f"/v1/chats/{group['id']}/messages", body))).code == "empty"


async def test_who_one_is_does_not_depend_on_the_keyboard(people: People) -> None:
    url = people.world.urls[0]
    composed, name = "pässwörd été", f"u-{uuid.uuid4().hex[:10]}"
    decomposed = unicodedata.normalize("NFD", composed)
    for n, (first, then) in enumerate(((composed, decomposed), (decomposed, composed))):
        async with Rest(url) as rest:
            await rest.register(f"{name}{n}", first)
            for typed, as_name in ((then, f" {name}{n}\t"), (first, f"{name}{n}".upper())):
                form = {"grant_type": "password", "username": as_name, "password": typed}
                answer = await rest.http.post("/v1/auth/token", data=form)
                assert answer.status_code == 200, answer.text


async def test_a_reaction_is_one_emoji_in_one_form(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    message = await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "x"})
    path = f"/v1/chats/{chat_id}/messages/{message['id']}/reactions"
    await anna.rest.put(f"{path}/👍\ufe0f")
    shown = await ben.rest.put(f"{path}/👍")
    assert [(r["emoji"], r["count"]) for r in shown["reactions"]] == [("👍", 2)]
    for given, told in (("ℹ", "ℹ️"), ("❤", "❤️"), ("1⃣", "1️⃣")):
        shown = await anna.rest.put(f"{path}/{given.replace('#', '%23')}")
        assert shown["reactions"][-1]["emoji"] == told
    await anna.rest.delete(f"{path}/❤️")
    for none in ("\u2800", "🏽", "x", "👍👍"):
        assert (await refused(anna.rest.put(f"{path}/{none}"))).code == "invalid"
    raw = await ben.socket()
    command = {"type": "reaction.remove", "chat_id": chat_id, "message_id": message["id"], "emoji": "👍\ufe0f"}
    await raw.send(command | {"ref": "1", "command_id": new_id()})
    assert (await raw.expect("reaction.removed"))["emoji"] == "👍"


async def test_only_who_is_called_answers(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)

    async def seq_after(body: str) -> int:
        await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": body})
        return int((await anna.rest.get(f"/v1/chats/{chat_id}"))["head"])

    head = 1
    for body in (
        "`@assistant`",
        "> @assistant",
        "see https://x.y/@assistant",
        "@assistant@mastodon.social",
        "```\n@assistant\n```",
    ):
        head += 1
        assert await seq_after(body) == head, body
    assert await seq_after("你好@assistant你好") >= head + 2


async def test_rules_about_people(people: People) -> None:
    """Owners are people; a newcomer has read what was before; a disabled account is a person still; direct chats have no title."""
    anna, ben, carl = [await people.make() for _ in range(3)]
    chat_id = await people.group(anna, ben)
    for n in range(3):
        await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": str(n)})
    assert (await ben.rest.get(f"/v1/chats/{chat_id}"))["unread"] == 3
    members = f"/v1/chats/{chat_id}/members"
    await anna.rest.post(members, {"user_id": carl.id})
    mine = await carl.rest.get(f"/v1/chats/{chat_id}")
    assert (mine["unread"], mine["read_seq"]) == (0, mine["head"])
    await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "new"})
    assert (await carl.rest.get(f"/v1/chats/{chat_id}"))["unread"] == 1
    await anna.rest.delete(f"{members}/{carl.id}")
    await anna.rest.post(members, {"user_id": carl.id})
    assert (await carl.rest.get(f"/v1/chats/{chat_id}"))["unread"] == 0, "added again: the same"
    found = await anna.rest.get("/v1/users?query=assistant")
    assistant = next(user["id"] for user in found["items"] if user["kind"] == "assistant")
    for role in ("owner", "admin"):
        assert (await refused(anna.rest.post(members, {"user_id": assistant, "role": role}))).code == "invalid"
    await anna.rest.post(members, {"user_id": assistant})
    assert (await refused(anna.rest.patch(f"{members}/{assistant}", {"role": "owner"}))).code == "invalid"
    assert (await anna.rest.patch(f"{members}/{assistant}", {"role": "reader"}))["role"] == "reader"
    body = {"kind": "direct", "member_ids": [ben.id]}
    assert (await refused(anna.rest.post("/v1/chats", body | {"title": "mine"}))).code == "invalid"
    direct = await anna.rest.post("/v1/chats", body)
    assert (await refused(anna.rest.patch(f"/v1/chats/{direct['id']}", {"title": "mine"}))).code == "invalid"


async def test_paths_methods_and_hosts(people: People) -> None:
    anna = await people.make()
    async with Rest(people.world.urls[0]) as rest:
        http, mine = rest.http, {"Authorization": f"Bearer {anna.rest.access_token}"}
        for path in ("/v1/me", "/livez", "/openapi.json", "/docs", "/v1/chats"):
            got, head = await http.get(path, headers=mine), await http.head(path, headers=mine)
            assert (head.status_code, head.content) == (200, b"") and got.content
            assert head.headers["content-type"] == got.headers["content-type"]
        assert (await http.head("/v1/me")).status_code == 401 and (await http.head("/v1/nothing")).status_code == 404
        for path in ("/v1/me/", "/v1/chats/", "//v1/me", "/livez/", "/v1/auth/token/"):
            answer = await http.get(path, headers=mine | {"Host": "evil.example"})
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        answer = await http.get("/v1/ws", headers=mine)
        assert (answer.status_code, answer.headers["upgrade"], answer.json()["code"]) == (426, "websocket", "invalid")


@pytest.mark.parametrize(
    ("host", "origin", "good"),
    [
        ("Chat.Example.com:443", "https://chat.example.com", True), ("chat.example.com", "https://Chat.example.com:443", True),
        ("chat.example.com:80", "http://chat.example.com", True), ("chat.example.com:8080", "http://chat.example.com", False),
        ("chat.example.com", "http://chat.example.com:443", False), ("chat.example.com", "https://chat.example.com.evil", False),
    ],
)  # fmt: skip
async def test_the_same_host_in_other_letters(people: People, host: str, origin: str, good: bool) -> None:
    head = UPGRADE.replace(b"Host: x", f"Host: {host}\r\nOrigin: {origin}".encode())
    answer = await tell(people.world.urls[0], head)
    assert answer.split(b" ")[1] == (b"101" if good else b"403")


async def test_a_disabled_account_is_a_person_still(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    operator = await people.make()
    await make_operator(people.world, operator)
    await operator.rest.patch(f"/v1/admin/users/{ben.id}", {"disabled": True})
    member = await anna.rest.patch(f"/v1/chats/{chat_id}/members/{ben.id}", {"role": "reader"})
    assert member["role"] == "reader"
    await anna.rest.put(f"/v1/chats/{chat_id}/bans/{ben.id}")
    assert [person["id"] for person in (await anna.rest.get(f"/v1/chats/{chat_id}/bans"))["items"]] == [ben.id]
    await anna.rest.delete(f"/v1/chats/{chat_id}/bans/{ben.id}")
    problem = await refused(anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": ben.id}))
    assert problem.code == "invalid"
