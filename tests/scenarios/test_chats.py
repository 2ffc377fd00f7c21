from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from app.domain.ids import ASSISTANT_ID
from parley_client import Problem
from tests.scenarios.test_accounts import refused
from tests.world import People, Person, new_id


async def test_a_direct_chat_is_one_also_when_raced(people: People) -> None:
    anna, bert = await people.make(), await people.make()

    def body(other: Person) -> dict[str, Any]:
        return {"kind": "direct", "member_ids": [other.id]}

    answers = await asyncio.gather(
        *(anna.rests[n % len(anna.rests)].call("POST", "/v1/chats", json=body(bert)) for n in range(4)),
        *(bert.rests[n % len(bert.rests)].call("POST", "/v1/chats", json=body(anna)) for n in range(4)),
    )
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    chat_id = answers[0].json()["id"]
    for path, method in (
        (f"/members/{bert.id}", "DELETE"),
        (f"/members/{anna.id}", "DELETE"),
        (f"/bans/{bert.id}", "PUT"),
    ):
        assert (await refused(anna.rest.call(method, f"/v1/chats/{chat_id}{path}"))).code == "not_allowed"


async def test_the_form_of_a_new_chat(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    ghost = new_id()
    for body, words in (
        ({"kind": "direct", "member_ids": []}, "exactly one"),
        ({"kind": "direct", "member_ids": [anna.id]}, "exactly one"),
        ({"kind": "group", "member_ids": [ghost]}, ghost),
        ({"kind": "nonsense"}, "kind"),
        ({"kind": "group", "title": ""}, "title"),
        ({"kind": "group", "title": "x" * 201}, "title"),
        ({"kind": "group", "colour": "red"}, "colour"),
    ):
        problem = await refused(anna.rest.post("/v1/chats", body))
        assert (problem.status, problem.code) == (422, "invalid") and words in problem.body["detail"]
    group = await anna.rest.post("/v1/chats", {"kind": "group", "member_ids": [anna.id, bert.id, bert.id]})
    assert (group["members_count"], group["my_role"], group["title"], group["head"]) == (2, "owner", None, 1)
    assistant = await anna.rest.post("/v1/chats", {"kind": "assistant", "assistant": {"instructions": "be brief"}})
    assert assistant["assistant"] == {"user_id": ASSISTANT_ID, "model": None, "instructions": "be brief"}


async def test_people_choose_who_adds_them_to_chats(people: People) -> None:
    anna, ben, carl = [await people.make(name) for name in ("anna", "ben", "carl")]
    chat_id = await people.group(anna)

    async def may(who: Person, to: str) -> list[str]:
        """How adding ends: to a chat that there is, in a new group, in a new direct chat."""
        codes = []
        for rest, path, body in (
            (who.rest, f"/v1/chats/{to}/members", {"user_id": carl.id}),
            (who.rests[-1], "/v1/chats", {"kind": "group", "member_ids": [ben.id, carl.id]}),
            (who.rest, "/v1/chats", {"kind": "direct", "member_ids": [carl.id]}),
        ):
            try:
                await rest.post(path, body)
                codes.append("")
            except Problem as problem:
                assert problem.status == 403 and carl.name in problem.body["detail"], problem.body
                assert problem.body["policies"] == ["people-choose-who-adds-them"]
                codes.append(problem.code)
        return codes

    wrong: tuple[Any, ...] = ("friends", 1, True, ["nobody"], {})
    for bad in wrong:
        assert (await refused(carl.rest.patch("/v1/me", {"preferences": {"added_by": bad}}))).code == "invalid"
    await carl.rest.patch("/v1/me", {"preferences": {"added_by": "nobody", "colour": "red"}})
    assert await may(anna, chat_id) == ["not_allowed"] * 3
    await carl.rest.patch("/v1/me", {"preferences": {"added_by": "shared"}})
    assert await may(anna, chat_id) == ["not_allowed"] * 3
    direct = await carl.rest.post("/v1/chats", {"kind": "direct", "member_ids": [anna.id]})
    assert await may(anna, chat_id) == [""] * 3, "they share a chat now"
    await carl.rest.patch("/v1/me", {"preferences": {"added_by": "nobody"}})
    found = await anna.rest.call("POST", "/v1/chats", json={"kind": "direct", "member_ids": [carl.id]})
    assert (found.status_code, found.json()["id"]) == (200, direct["id"]), "a direct chat that exists is found"
    assert (await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": carl.id}))["user"]["id"] == carl.id
    me = await carl.rest.patch("/v1/me", {"preferences": {"added_by": None}})
    assert me["preferences"] == {"colour": "red"}
    stranger = await people.make()
    assert await may(stranger, await people.group(stranger)) == [""] * 3, "by default everybody may"


async def test_a_chat_can_be_refused_for_good(people: People) -> None:
    anna, ben = await people.make("anna"), await people.make("ben")
    chat_id = await people.group(anna, ben)
    refused_, members = f"/v1/chats/{chat_id}/refused", f"/v1/chats/{chat_id}/members"
    await ben.rest.put(refused_)
    assert (await ben.rest.get(f"/v1/chats/{chat_id}"))["members_count"] == 2, "one stays in it"
    await ben.rest.delete(f"{members}/{ben.id}")
    problem = await refused(anna.rest.post(members, {"user_id": ben.id}))
    assert (problem.code, problem.body["policies"]) == ("not_allowed", ["people-refuse-chats"])
    assert ben.name in problem.body["detail"]
    await ben.rests[-1].put(refused_)
    await ben.rest.delete(refused_)
    await ben.rest.delete(refused_)
    assert (await anna.rest.post(members, {"user_id": ben.id}))["role"] == "member"
    await anna.rest.delete(f"{members}/{ben.id}")
    await ben.rest.put(refused_)
    assert (await refused(anna.rest.post(members, {"user_id": ben.id}))).code == "not_allowed", "former members too"
    another = await people.group(anna, ben)
    assert (await ben.rest.get(f"/v1/chats/{another}"))["id"] == another, "other chats are not concerned"


async def test_twenty_strangers_an_hour_add_somebody(people: People) -> None:
    """Who shares a chat isn't counted, whoever tries in vain isn't either; who is one too many waits."""
    anna, friend = await people.make("anna"), await people.make("friend")
    await people.group(anna, friend)
    body = {"kind": "group", "member_ids": [anna.id]}
    for n in range(20):
        stranger = await people.make()
        await refused(stranger.rest.post(f"/v1/chats/{new_id()}/members", {"user_id": anna.id}))
        await stranger.rests[n % len(stranger.rests)].post("/v1/chats", body)
        await stranger.rest.post("/v1/chats", body)
    last = await people.make()
    own = await people.group(last)
    for path, asked in (
        ("/v1/chats", {"kind": "direct", "member_ids": [anna.id]}), (f"/v1/chats/{own}/members", {"user_id": anna.id}),
    ):  # fmt: skip
        problem = await refused(last.rests[-1].post(path, asked))
        assert (problem.status, problem.code, problem.body["retry_after_ms"]) == (429, "rate_limited", 180_000)
        assert anna.name in problem.body["detail"]
    await anna.rest.patch("/v1/me", {"preferences": {"added_by": "nobody"}})
    assert (await refused(last.rest.post(f"/v1/chats/{own}/members", {"user_id": anna.id}))).code == "not_allowed"
    await anna.rest.patch("/v1/me", {"preferences": {"added_by": None}})
    await people.group(friend, anna)
    await people.group(last, friend)


async def test_an_idempotency_key_makes_one_chat(people: People) -> None:
    anna = await people.make()
    key = {"Idempotency-Key": new_id()}
    answers = [await rest.call("POST", "/v1/chats", json={"kind": "group"}, headers=key) for rest in anna.rests * 2]
    assert [answer.status_code for answer in answers] == [201] + [200] * (len(answers) - 1)
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await anna.rest.get("/v1/chats"))["items"]) == 1


async def test_members_come_and_go_and_sockets_know(people: People) -> None:
    anna, bert, cleo = [await people.make() for _ in range(3)]
    chat_id = await people.group(anna, bert)
    client = await cleo.client(1)
    path = f"/v1/chats/{chat_id}"
    added = await anna.rest.call("POST", f"{path}/members", json={"user_id": cleo.id, "role": "reader"})
    assert (added.status_code, added.json()["role"], added.headers["parley-seq"]) == (201, "reader", "2")
    again = await anna.rest.call("POST", f"{path}/members", json={"user_id": cleo.id})
    assert again.status_code == 200
    await client.wait_for(lambda: chat_id in client.chats and client.chats[chat_id].cursor == 2)
    assert (
        await refused(cleo.rest.post(f"{path}/messages", {"client_message_id": new_id(), "body": "hi"}))
    ).code == "not_allowed"
    member = await anna.rest.patch(
        f"{path}/members/{cleo.id}", {"role": "member", "muted_until": "2099-01-01T00:00:00Z"}
    )
    assert (member["role"], member["muted_until"]) == ("member", "2099-01-01T00:00:00.000Z")
    problem = await refused(cleo.rest.post(f"{path}/messages", {"client_message_id": new_id(), "body": "hi"}))
    assert (problem.status, problem.code, problem.body["policies"]) == (403, "muted", ["muted-stay-silent"])
    await anna.rest.patch(f"{path}/members/{cleo.id}", {"muted_until": None})
    await cleo.rest.post(f"{path}/messages", {"client_message_id": new_id(), "body": "hi"})
    banned = await anna.rest.call("PUT", f"{path}/bans/{cleo.id}")
    assert banned.status_code == 204
    await client.wait_for(lambda: chat_id not in client.chats)
    assert [item["id"] for item in (await anna.rest.get(f"{path}/bans"))["items"]] == [cleo.id]
    assert (await refused(anna.rest.post(f"{path}/members", {"user_id": cleo.id}))).code == "banned"
    assert (await refused(cleo.rest.get(path))).code == "not_found"
    await anna.rest.delete(f"{path}/bans/{cleo.id}")
    await anna.rest.post(f"{path}/members", {"user_id": cleo.id})
    await client.wait_for(lambda: chat_id in client.chats)
    assert (await refused(anna.rest.delete(f"{path}/members/{anna.id}"))).code == "conflict"
    await anna.rest.patch(f"{path}/members/{bert.id}", {"role": "owner"})
    await anna.rest.delete(f"{path}/members/{anna.id}")
    listed = await bert.rest.get(f"{path}/members", limit=1)
    rest = await bert.rest.get(f"{path}/members", cursor=listed["next_cursor"])
    names = {item["user"]["id"] for item in listed["items"] + rest["items"]}
    assert names == {bert.id, cleo.id}


async def test_removed_and_added_again_at_once_the_open_socket_has_the_chat(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    socket = await bert.socket()
    path = f"/v1/chats/{chat_id}/members"
    await asyncio.gather(
        anna.rest.delete(f"{path}/{bert.id}"),
        anna.rest.post(path, {"user_id": bert.id}),
        return_exceptions=True,
    )
    began = time.monotonic()
    if (await anna.rest.get(f"/v1/chats/{chat_id}"))["members_count"] == 2:
        heard = await socket.until(lambda f: f["type"] in ("chat.joined", "member.added") and f.get("after", 1), 5)
        assert heard and time.monotonic() - began < 5
    else:  # the add came first and found a member: then the removal is the chat's last frame
        await socket.expect("member.removed", user_id=bert.id)


async def test_an_archived_chat_rests(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    path = f"/v1/chats/{chat_id}"
    assert (await anna.rest.patch(path, {"archived": True}))["archived"] is True
    assert chat_id not in [c["id"] for c in (await anna.rest.get("/v1/chats"))["items"]]
    assert chat_id in [c["id"] for c in (await anna.rest.get("/v1/chats", archived=True))["items"]]
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "/messages", {"client_message_id": new_id(), "body": "x"}),
        ("PATCH", "", {"title": "t"}),
        ("DELETE", f"/members/{bert.id}", None),
    ]
    for method, more, body in calls:
        assert (await refused(anna.rest.call(method, path + more, json=body))).code == "archived"
    await anna.rest.get(f"{path}/messages")
    await bert.rest.delete(f"{path}/members/{bert.id}")
    assert (await anna.rest.patch(path, {"archived": False}))["archived"] is False


async def test_a_stranger_hears_what_a_missing_chat_says_in_every_field(people: People) -> None:
    anna, bert, stranger = [await people.make() for _ in range(3)]
    chat_id, missing = await people.group(anna, bert), new_id()
    sent = await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "secret"})
    watch = await bert.socket()
    socket = await stranger.socket()
    before = len(watch.seen)

    def bare(value: Any) -> Any:
        return {k: v for k, v in value.items() if k not in ("ref", "chat_id", "client_message_id", "command_id")}

    async def rest(method: str, path: str, body: Any = None) -> list[Any]:
        found = []
        for chat in (chat_id, missing):
            problem = await refused(stranger.rest.call(method, path.replace("{c}", chat), json=body))
            found.append((problem.status, problem.body))
        return found

    message = f"/v1/chats/{{c}}/messages/{sent['id']}"
    for method, path, body in (
        ("GET", "/v1/chats/{c}", None), ("PATCH", "/v1/chats/{c}", {"title": "x"}), ("GET", "/v1/chats/{c}/members", None),
        ("GET", "/v1/chats/{c}/messages", None), ("GET", message, None), ("PATCH", message, {"body": "x"}), ("DELETE", message, None),
        ("POST", "/v1/chats/{c}/messages", {"client_message_id": new_id(), "body": "x", "reply_to": sent["id"]}),
        ("GET", "/v1/chats/{c}/timeline", None), ("PUT", "/v1/chats/{c}/read", {"seq": 1}), ("GET", "/v1/chats/{c}/bans", None),
        ("PUT", f"{message}/reactions/%F0%9F%91%8D", None), ("POST", f"{message}/stop", None), ("POST", f"{message}/regenerate", None),
        ("PUT", f"/v1/chats/{{c}}/bans/{anna.id}", None), ("DELETE", f"/v1/chats/{{c}}/members/{anna.id}", None),
        ("POST", "/v1/chats/{c}/members", {"user_id": stranger.id}),
    ):  # fmt: skip
        one, other = await rest(method, path, body)
        assert one == other and one[0] == 404 and one[1]["code"] == "not_found", (method, path)
    for chat in (chat_id, missing):
        problem = await refused(stranger.rest.post("/v1/policy/explain", {"action": "message.send", "chat_id": chat}))
        assert problem.code == "not_found"
    for frame in (
        {"type": "message.send", "body": "x"}, {"type": "message.edit", "message_id": sent["id"], "body": "x"},
        {"type": "message.delete", "message_id": sent["id"]}, {"type": "reaction.add", "message_id": sent["id"], "emoji": "👍"},
        {"type": "reply.stop", "message_id": sent["id"]}, {"type": "read.mark", "seq": 1},
        {"type": "reaction.remove", "message_id": sent["id"], "emoji": "👍"}, {"type": "reply.regenerate", "message_id": sent["id"]},
    ):  # fmt: skip
        found = []
        for chat in (chat_id, missing):
            ref, id_ = socket.ref(), {"client_message_id": new_id()} if frame["type"] == "message.send" else {}
            await socket.send(frame | id_ | {"chat_id": chat, "ref": ref})
            found.append(await socket.until(lambda f: f.get("ref") == ref and f["type"] in ("rejected", "error")))  # noqa: B023
        assert bare(found[0]) == bare(found[1]) and found[0]["code"] == "not_found"
    await socket.send({"type": "typing", "chat_id": chat_id}, {"type": "typing", "chat_id": missing})
    await socket.send({"type": "sync", "ref": "s", "chats": {chat_id: 0, missing: 0}})
    gone = [await socket.expect("gone"), await socket.expect("gone")]
    assert {frame["chat_id"] for frame in gone} == {chat_id, missing} and bare(gone[0]) == bare(gone[1])
    await watch.settle()
    assert list(watch.seen[before:]) == [], "a member's socket heard of a stranger's tries"
    assert (await anna.rest.get(f"/v1/chats/{chat_id}"))["head"] == 2


async def test_explain_says_what_decides(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    told = await anna.rest.post("/v1/policy/explain", {"action": "chat.update", "chat_id": chat_id, "user_id": bert.id})
    assert (told["decision"], told["policies"]) == ("deny", ["owners-and-admins-manage"])
    assert told["facts"]["role"] == "member"
    with pytest.raises(Problem) as caught:
        await bert.rest.post("/v1/policy/explain", {"action": "chat.update", "chat_id": chat_id, "user_id": anna.id})
    assert caught.value.code == "not_allowed"
    assert (
        await refused(anna.rest.post("/v1/policy/explain", {"action": "fly", "chat_id": chat_id}))
    ).code == "invalid"


async def test_the_list_pages_by_cursor_bound_to_user_and_query(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    made = [await people.group(anna) for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await anna.rest.get("/v1/chats", limit=2, cursor=cursor)
        seen += [chat["id"] for chat in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
        last = cursor
    assert seen == made[::-1]
    for rest, path in (
        (bert.rest, "/v1/chats"),
        (anna.rest, "/v1/chats?archived=true"),
        (anna.rest, f"/v1/chats/{made[0]}/members"),
    ):
        joint = "&" if "?" in path else "?"
        assert (await refused(rest.call("GET", f"{path}{joint}cursor={last}"))).code == "invalid"
    for bad in ("x", "%00", "=", "é"):
        assert (await refused(anna.rest.get("/v1/chats", cursor=bad))).code == "invalid"
