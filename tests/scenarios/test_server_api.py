"""The server API: a host's backend with a key of its own."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from parley_client import Rest
from stack.pace import within
from tests.scenarios.test_accounts import operator, refused
from tests.scenarios.test_keys import over, with_key
from tests.world import People, Person, Raw, new_id

SCOPES = ("users", "chats", "messages", "tokens", "feed")
PROTOCOL = Path(__file__).parents[2] / "docs" / "protocol.md"


class Host:
    """A host's backend: its key, and names that nobody else has."""

    def __init__(self, root: Person, rest: Rest) -> None:
        self.root, self.rest, self.mark = root, rest, new_id()[:8]

    def name(self, what: str) -> str:
        return f"{what}-{self.mark}"

    async def user(self, what: str, **more: Any) -> dict[str, Any]:
        body = {"display_name": what.title(), **more}
        return dict(await self.rest.put(f"/v1/server/users/{self.name(what)}", body))

    async def signed_in(self, what: str) -> Rest:
        answer = await self.rest.post(f"/v1/server/users/{self.name(what)}/tokens")
        rest = Rest(self.root.world.urls[-1])
        rest.access_token, rest.user = answer["access_token"], answer["user"]
        return rest

    async def chat(self, *members: str, **more: Any) -> dict[str, Any]:
        named = [
            {"external_id": self.name(what), "role": role} for what, _, role in (m.partition(" ") for m in members)
        ]
        for member in named:
            member["role"] = member["role"] or "member"
        body = {"kind": "group", "members": named, **more}
        return dict(await self.rest.put(f"/v1/server/chats/{self.name('chat')}", body))


async def host(people: People, *scopes: str) -> Host:
    root = await operator(people)
    made = await root.rest.post("/v1/admin/keys", {"name": "Our Shop", "scopes": list(scopes or SCOPES)})
    return Host(root, with_key(root, made["key"]))


def matrix() -> dict[tuple[str, str], str]:
    """(method, path) → the scope that it takes, as the contract's table says."""
    text = PROTOCOL.read_text()
    table = text[text.index("## The server API") : text.index("### `PUT /v1/server/users")]
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)
    return {(m, f"/v1/server/{p}"): scope for scope, calls in rows for m, p in re.findall(r"`([A-Z]+) ([^`]+)`", calls)}


async def test_each_scope_alone_opens_what_the_table_says(people: People) -> None:
    table = matrix()
    anna = await people.make("anna")
    full = await host(people)
    await full.user("ann")
    await full.user("ben")
    await full.chat("ann owner", "ben")
    document = (await anna.rest.http.get("/openapi.json")).json()
    served = {(m.upper(), p) for p, calls in document["paths"].items() if p.startswith("/v1/server/") for m in calls}
    assert served == set(table), "the table has every call"
    user, chat = full.name("ann"), full.name("chat")
    bodies: dict[tuple[str, str], Any] = {
        ("PUT", "/v1/server/users/{external_id}"): {"display_name": "Ann"},
        ("POST", "/v1/server/users:batch"): {"users": [{"external_id": user}]},
        ("PUT", "/v1/server/chats/{external_id}"): {"members": [{"external_id": user, "role": "owner"}]},
        ("POST", "/v1/server/chats/{external_id}/messages"): {"body": "x"},
    }
    others = [
        anna.rest,
        with_key(anna, (await anna.rest.post("/v1/me/keys", {"name": "k", "scopes": ["read", "write", "ask"]}))["key"]),
    ]
    for scope in SCOPES:
        made = await full.root.rest.post("/v1/admin/keys", {"name": scope, "scopes": [scope]})
        rest = with_key(full.root, made["key"])
        for (method, path), takes in table.items():
            if method == "DELETE":
                continue  # below: it would take the user from the others
            body = bodies.get((method, path))
            if path.endswith("/messages") and method == "POST":
                body = {"body": "x", "client_message_id": new_id()}
            where = path.replace("{external_id}", user if "/users/" in path else chat)
            work = rest.call(method, where, json=body)
            if takes == scope:
                await work
            else:
                problem = await refused(work)
                assert (problem.status, problem.code) == (403, "not_allowed"), (scope, method, path)
        if scope != "users":
            assert (await refused(rest.delete(f"/v1/server/users/{user}"))).status == 403
        assert (await refused(rest.get("/v1/me"))).status == 403, "it is good at the server API alone"
        raw = await Raw.open(full.root.world.urls[0])
        await raw.send({"type": "hello", "token": rest.access_token})
        assert await raw.closed() == 4401
        await rest.close()
    for rest in others:
        for method, path in table:
            where = path.replace("{external_id}", user if "/users/" in path else chat)
            body = bodies.get((method, path))
            if path.endswith("/messages") and method == "POST":
                body = {"body": "x", "client_message_id": new_id()}
            assert (await refused(rest.call(method, where, json=body))).status == 403, (method, path)
    assert (await full.rest.http.put(f"/v1/server/users/{user}", json={})).status_code == 401
    await others[1].close()
    await full.rest.close()


async def test_users_are_put_as_the_host_has_them(people: People) -> None:
    h = await host(people, "users", "tokens")
    anna = await people.make("anna")
    made = await h.user("ann", attributes={"staff": True, "team": {"name": "sales"}})
    assert made["external_id"] == h.name("ann") and made["username"] == h.name("ann")[:32] and not made["disabled"]
    again = await h.user("ann")
    assert again == made, "what isn't named stays"
    renamed = await h.user("ann", display_name="Ann B.", username=f"ann-{h.mark}-b", attributes={})
    assert (renamed["id"], renamed["display_name"], renamed["attributes"]) == (made["id"], "Ann B.", {})
    seen = await anna.rest.get(f"/v1/users/{made['id']}")
    assert seen == {"id": made["id"], "username": f"ann-{h.mark}-b", "display_name": "Ann B.", "kind": "human"}
    for body, code in (
        ({"username": anna.name}, "conflict"), ({"username": "a"}, "invalid"), ({"display_name": ""}, "invalid"),
        ({"display_name": " "}, "empty"), ({"attributes": {"x": "y" * 20_000}}, "too_large"), ({"role": "operator"}, "invalid"),
        ({"attributes": [1]}, "invalid"), ({"disabled": 1}, "invalid"),
    ):  # fmt: skip
        assert (await refused(h.rest.put(f"/v1/server/users/{h.name('ann')}", body))).code == code, body
    rest = await h.signed_in("ann")
    assert (await rest.get("/v1/me"))["id"] == made["id"]
    await h.user("ann", disabled=True)
    await over(rest)
    assert (await refused(h.rest.post(f"/v1/server/users/{h.name('ann')}/tokens"))).code == "conflict"
    await h.user("ann", disabled=False)
    again_in = await h.signed_in("ann")
    await again_in.get("/v1/me")
    assert (await refused(h.rest.post(f"/v1/server/users/{h.name('nobody')}/tokens"))).code == "not_found"
    for one in (rest, again_in, h.rest):
        await one.close()


async def test_a_thousand_users_in_one_call_twice(people: People) -> None:
    h = await host(people, "users")
    anna = await people.make("anna")
    users = [{"external_id": h.name(f"u{n}"), "display_name": f"User {n}"} for n in range(998)]
    users += [{"external_id": h.name("taken"), "username": anna.name}, {"external_id": h.name("bad"), "username": "!"}]
    # The library's form is looked at before: a bad name refuses the call, and says where.
    assert (await refused(h.rest.post("/v1/server/users:batch", {"users": users}))).code == "invalid"
    users[-1] = {"external_id": h.name("u0"), "display_name": "User 0"}
    first = (await h.rest.post("/v1/server/users:batch", {"users": users}))["items"]
    assert [item["external_id"] for item in first] == [user["external_id"] for user in users]
    assert [item["status"] for item in first] == [201] * 998 + [409, 200] and first[998]["code"] == "conflict"
    second = (await h.rest.post("/v1/server/users:batch", {"users": users}))["items"]
    assert [item["status"] for item in second] == [200] * 998 + [409, 200]
    assert [item["id"] for item in second] == [item["id"] for item in first]
    too_many = [*users, {"external_id": h.name("more")}]
    assert (await refused(h.rest.post("/v1/server/users:batch", {"users": too_many}))).code == "invalid"
    await h.rest.close()


async def test_names_are_found_for_those_who_have_none(people: People) -> None:
    h = await host(people, "users")
    mark = h.mark
    same = [f"ann {mark}@a.example", f"ann {mark}@b.example", f"ANN-{mark}", f"{mark}{'x' * 60}1", f"{mark}{'x' * 60}2"]
    done = (await h.rest.post("/v1/server/users:batch", {"users": [{"external_id": id_} for id_ in same]}))["items"]
    assert [item["status"] for item in done] == [201] * 5, done
    names = {(await h.rest.put(f"/v1/server/users/{id_}", {}))["username"] for id_ in same}
    assert len(names) == 5 and f"ann-{mark}" in names
    assert (await refused(h.rest.post("/v1/server/users:batch", {"users": [{"external_id": "a/b"}]}))).code == "invalid"
    await h.rest.close()


async def test_a_refused_chat_leaves_its_name_free(people: People) -> None:
    h = await host(people)
    for what in ("ann", "ben", "cat"):
        await h.user(what, disabled=what == "ben")
    path = f"/v1/server/chats/{h.name('pair')}"
    pairs = [
        {"kind": "direct", "members": [{"external_id": h.name("ann")}, {"external_id": h.name(other)}]}
        for other in ("ben", "cat")
    ]
    assert (await refused(h.rest.put(path, pairs[0]))).code == "invalid"
    assert (await h.rest.put(path, pairs[1]))["kind"] == "direct"
    assert (await refused(h.rest.put(path, {"kind": "group", "members": []}))).code == "conflict"
    await h.rest.close()


async def test_a_chat_is_put_as_the_host_has_it(people: People) -> None:
    h = await host(people)
    for what in ("ann", "ben", "cat"):
        await h.user(what)
    ann, ben = await h.signed_in("ann"), await h.signed_in("ben")
    await ben.patch("/v1/me", {"preferences": {"added_by": "nobody"}})
    raw = await Raw.open(h.root.world.urls[0])
    await raw.send({"type": "hello", "token": ben.access_token})
    await raw.expect("welcome")
    made = await h.chat("ann owner", "ben", title="Order 1")
    assert (made["members_count"], made["kind"], made["title"], made["head"]) == (2, "group", "Order 1", 1)
    joined = await raw.expect("chat.joined")
    assert joined["chat"]["id"] == made["id"], "people's choices don't hold the host"
    assert await h.chat("ann owner", "ben", title="Order 1") == made, "the same again is the same"
    assert await h.chat("ann owner") == made, "who isn't named stays"
    more = await h.chat("ann owner", "ben admin", "cat", title="Order 1 B")
    assert (more["members_count"], more["title"], more["head"]) == (3, "Order 1 B", 4)
    less = await h.chat("ann owner", "cat", exact=True)
    assert (less["members_count"], less["head"]) == (2, 5)
    events = (await ann.get(f"/v1/chats/{made['id']}/timeline", after=0))["items"]
    assert [event["type"] for event in events] == [
        "chat.created", "chat.updated", "member.updated", "member.added", "member.removed",
    ]  # fmt: skip
    assert (await refused(ben.get(f"/v1/chats/{made['id']}"))).code == "not_found"
    assert (await refused(h.chat("ann owner", kind="direct"))).code in ("invalid", "conflict")
    assert (await refused(h.chat("nobody"))).code == "invalid"
    await ann.put(f"/v1/chats/{made['id']}/bans/{ben.user['id']}")
    assert (await refused(h.chat("ann owner", "ben"))).code == "banned"
    pair = {"kind": "direct", "members": [{"external_id": h.name("ann")}, {"external_id": h.name("cat")}]}
    direct = await h.rest.put(f"/v1/server/chats/{h.name('pair')}", pair)
    cat = await h.signed_in("cat")
    theirs = await cat.post("/v1/chats", {"kind": "direct", "member_ids": [ann.user["id"]]})
    assert theirs["id"] == direct["id"], "the one that the two have"
    other = {"kind": "direct", "members": [{"external_id": h.name("ann")}, {"external_id": h.name("ben")}]}
    assert (await refused(h.rest.put(f"/v1/server/chats/{h.name('pair')}", other))).code == "conflict"
    await raw.close()
    for rest in (ann, ben, cat, h.rest):
        await rest.close()


async def test_what_the_host_says_as_itself_and_as_a_user(people: People) -> None:
    h = await host(people)
    for what in ("ann", "ben"):
        await h.user(what)
    chat = await h.chat("ann owner", "ben")
    path = f"/v1/server/chats/{h.name('chat')}/messages"
    ann = await h.signed_in("ann")
    first = {"client_message_id": new_id(), "body": "Your order is on its way."}
    said = await h.rest.post(path, first)
    bot = await ann.get(f"/v1/users/{said['sender_id']}")
    assert (bot["kind"], bot["display_name"]) == ("bot", "Our Shop") and "via" not in said
    assert (await h.rest.post(path, first))["id"] == said["id"], "the same id is the same message"
    as_ben = {"client_message_id": new_id(), "body": "Thanks, @assistant what is it?", "as": h.name("ben")}
    told = await h.rest.post(path, as_ben)
    ben = await h.signed_in("ben")
    assert told["sender_id"] == ben.user["id"] and told["via"]["name"] == "Our Shop"
    async with within(20):
        while len((await h.rest.get(path))["items"]) < 3:
            await asyncio.sleep(0.1)
    shown = (await ann.get(f"/v1/chats/{chat['id']}/messages", after=0))["items"]
    assert shown[1]["via"] == told["via"] and shown[2]["kind"] == "assistant", "who says it asks, as they may"
    assert (await h.rest.get(path, after=0))["items"][:2] == shown[:2]
    by_id = await h.rest.get(f"/v1/server/chats/{chat['id']}/messages", limit=1)
    assert by_id["has_more"]
    await ann.patch(f"/v1/chats/{chat['id']}/members/{ben.user['id']}", {"muted_until": "2036-01-01T00:00:00Z"})
    muted = {"client_message_id": new_id(), "body": "x", "as": h.name("ben")}
    assert (await refused(h.rest.post(path, muted))).code == "muted"
    await h.user("eve")
    stranger = {"client_message_id": new_id(), "body": "x", "as": h.name("eve")}
    assert (await refused(h.rest.post(path, stranger))).code == "not_found"
    await ann.patch(f"/v1/chats/{chat['id']}", {"archived": True})
    late = {"client_message_id": new_id(), "body": "x"}
    assert (await refused(h.rest.post(path, late))).code == "archived"
    assert (await refused(h.rest.post(f"/v1/server/chats/{new_id()}/messages", late))).code == "not_found"
    assert (await refused(h.rest.get(f"/v1/server/chats/{h.name('none')}/messages"))).code == "not_found"
    acts = [entry["act"] for entry in (await h.root.rest.get("/v1/admin/audit"))["items"]]
    assert {"chat.read", "user.created", "token.issued"} <= set(acts)
    for rest in (ann, ben, h.rest):
        await rest.close()


async def test_an_erased_user_leaves_what_was_said_and_nothing_else(people: People) -> None:
    h = await host(people)
    await h.user("ann", attributes={"a": 1})
    await h.user("ben")
    chat = await h.chat("ann owner", "ben")
    ann, ben = await h.signed_in("ann"), await h.signed_in("ben")
    await ann.patch("/v1/me", {"email": "ann@example.org", "preferences": {"x": 1}})
    await ann.post(f"/v1/chats/{chat['id']}/messages", {"client_message_id": new_id(), "body": "I was here"})
    raw = await Raw.open(h.root.world.urls[0])
    await raw.send({"type": "hello", "token": ben.access_token})
    await raw.expect("welcome")
    await h.rest.delete(f"/v1/server/users/{h.name('ann')}")
    assert (await raw.expect("user.updated"))["user"]["display_name"] == "Deleted user"
    await over(ann)
    await h.rest.delete(f"/v1/server/users/{h.name('ann')}")
    [message] = (await ben.get(f"/v1/chats/{chat['id']}/messages"))["items"]
    gone = await ben.get(f"/v1/users/{message['sender_id']}")
    assert message["body"] == "I was here" and gone["username"].startswith("deleted-")
    found = await h.root.rest.get("/v1/admin/users", query=gone["username"])
    assert found["items"][0]["email"] is None and found["items"][0]["preferences"] == {}
    assert (await refused(h.user("ann"))).code == "conflict"
    assert (await refused(h.rest.delete(f"/v1/server/users/{h.name('nobody')}"))).code == "not_found"
    await raw.close()
    for rest in (ann, ben, h.rest):
        await rest.close()
