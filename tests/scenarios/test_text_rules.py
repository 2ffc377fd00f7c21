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
    other = await people.group(anna, await people.make())
    carl = await people.make()
    await anna.rest.post(f"/v1/chats/{other}/members", {"user_id": carl.id})
    await operator.rest.patch(f"/v1/admin/users/{carl.id}", {"disabled": True})
    await anna.rest.delete(f"/v1/chats/{other}/members/{carl.id}")
    left = {one["user"]["id"] for one in (await anna.rest.get(f"/v1/chats/{other}/members"))["items"]}
    assert carl.id not in left, "and can be removed"


async def test_people_are_found_by_who_they_are_first(people: People) -> None:
    """The exact username, the exact name, then prefixes, each by username; caseless, in any form; with pages."""
    tag = uuid.uuid4().hex[:8]
    names = {
        f"{tag}": "Someone", f"a-{tag}": f"{tag}", f"{tag}-z": "Z", f"{tag}-b": "B", f"c-{tag}": f"{tag.upper()} and more",
        f"n-{tag}": f"ΝΊΚΟΣ {tag}", f"i-{tag}": f"İpek {tag}",
    }  # fmt: skip
    async with Rest(people.world.urls[0]) as rest:
        for username, name in names.items():
            await rest.register(username, "a long password", name)

        async def found(query: str, limit: int = 50) -> list[str]:
            usernames, cursor = [], None
            while True:
                more: dict[str, str] = {"cursor": cursor} if cursor else {}
                page = await rest.get("/v1/users", query=query, limit=limit, **more)
                usernames += [person["username"] for person in page["items"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    return usernames

        ranked = [tag, f"a-{tag}", *sorted((f"{tag}-b", f"{tag}-z", f"c-{tag}"))]
        assert await found(tag) == ranked == await found(tag.upper(), 2) == await found(tag, 1)
        for query in (f"νίκος {tag}", f"ΝΊΚΟΣ {tag.upper()}", unicodedata.normalize("NFD", f"Νίκος {tag}")):
            assert await found(query) == [f"n-{tag}"], query
        assert await found(f"ipek {tag}") == [f"i-{tag}"] == await found(f"İPEK {tag}")
        assert await found(f"n%-{tag}") == [] == await found(f"n_{tag}")
        await rest.call("PATCH", "/v1/me", json={"display_name": f"Éva {tag}"})
        assert await found(f"e\u0301va {tag}") == [f"i-{tag}"]
        problem = await refused(rest.get("/v1/users", query=tag, cursor="x"))
        assert problem.code == "invalid"


async def test_chats_are_ordered_by_what_was_said_last(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    first, second, third = [await people.group(anna, ben) for _ in range(3)]

    async def order() -> list[str]:
        return [chat["id"] for chat in (await anna.rests[-1].get("/v1/chats"))["items"]]

    async def say(chat_id: str) -> str:
        body = {"client_message_id": new_id(), "body": "x"}
        return str((await ben.rest.post(f"/v1/chats/{chat_id}/messages", body))["id"])

    assert await order() == [third, second, first]
    said = await say(first)
    assert await order() == [first, third, second]
    await say(second)
    await ben.rest.put(f"/v1/chats/{first}/messages/{said}/reactions/👍")
    await ben.rest.patch(f"/v1/chats/{first}/messages/{said}", {"body": "y"})
    await anna.rest.patch(f"/v1/chats/{third}/members/{ben.id}", {"role": "admin"})
    await anna.rest.patch(f"/v1/chats/{third}", {"title": "new"})
    await anna.rest.put(f"/v1/chats/{first}/read", {"seq": 2})
    await anna.rest.put(f"/v1/chats/{first}/pins/{said}")
    assert await order() == [second, first, third], (
        "reactions, edits, roles, titles, read marks and pins don't move a chat"
    )
    fourth = await people.group(ben)
    await say(third)
    await ben.rest.post(f"/v1/chats/{fourth}/members", {"user_id": anna.id})
    assert await order() == [fourth, third, second, first], "joining does"
    page = await anna.rest.get("/v1/chats", limit=2)
    rest = await anna.rest.get("/v1/chats", limit=2, cursor=page["next_cursor"])
    assert [chat["id"] for chat in (*page["items"], *rest["items"])] == [fourth, third, second, first]


async def test_a_chat_is_hidden_from_ones_own_list_until_it_is_spoken_in(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    chat_id, other = await people.group(anna, ben), await people.group(anna, ben)
    direct = str((await anna.rest.post("/v1/chats", {"kind": "direct", "member_ids": [ben.id]}))["id"])
    said = await ben.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "x"})
    raw = await anna.socket(1)

    async def listed(**query: str) -> set[str]:
        return {chat["id"] for chat in (await anna.rests[-1].get("/v1/chats", **query))["items"]}

    for hidden in (chat_id, direct):
        await anna.rest.put(f"/v1/chats/{hidden}/hidden")
        told = await raw.expect("chat.hidden")
        assert (told["chat_id"], told["hidden"]) == (hidden, True)
    assert await listed() == {other} and await listed(hidden="true") == {chat_id, direct}
    assert (await anna.rest.get(f"/v1/chats/{chat_id}"))["hidden"] is True
    assert (await ben.rest.get(f"/v1/chats/{chat_id}"))["hidden"] is False, "and from nobody else's"
    await ben.rest.put(f"/v1/chats/{chat_id}/messages/{said['id']}/reactions/👍")
    await ben.rest.patch(f"/v1/chats/{chat_id}/messages/{said['id']}", {"body": "y"})
    await anna.rest.patch(f"/v1/chats/{chat_id}", {"title": "new"})
    assert await listed() == {other}, "only a message brings it back"
    await ben.rest.post(f"/v1/chats/{direct}/messages", {"client_message_id": new_id(), "body": "x"})
    assert await listed() == {other, direct}
    await anna.rest.delete(f"/v1/chats/{chat_id}/hidden")
    assert (await raw.expect("chat.hidden"))["hidden"] is False
    assert await listed() == {other, direct, chat_id} and await listed(hidden="true") == set()
    stranger = await people.make()
    assert (await refused(stranger.rest.put(f"/v1/chats/{chat_id}/hidden"))).code == "not_found"


async def test_a_new_name_is_told_to_all_who_share_a_chat_and_history_has_it(people: People) -> None:
    anna, ben, stranger = await people.make("anna"), await people.make("ben"), await people.make()
    chat_id = await people.group(anna, ben)
    hers, his, elsewhere = await anna.socket(), await ben.socket(1), await stranger.socket()
    await anna.rest.patch("/v1/me", {"display_name": "Anna B."})
    for raw in (hers, his):
        told = await raw.expect("user.updated")
        assert told["user"] == {"id": anna.id, "username": anna.name, "display_name": "Anna B.", "kind": "human"}
    await anna.rest.patch("/v1/me", {"display_name": "Anna B.", "preferences": {"a": 1}})
    await hers.expect("preferences.changed")
    assert [f for f in await his.settle() if f["type"] == "user.updated"][1:] == [], "nothing new, nothing told"
    assert not [f for f in await elsewhere.settle() if f["type"] == "user.updated"]
    for rest in ben.rests:
        events = (await rest.get(f"/v1/chats/{chat_id}/timeline", after=0))["items"]
        names = {member["user"]["display_name"] for member in events[0]["members"]}
        assert "Anna B." in names
