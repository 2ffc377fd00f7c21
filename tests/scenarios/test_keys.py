"""Keys and bots: what each scope opens, what no key opens, and their end."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from parley_client import Problem, Rest
from stack.pace import paced, within
from tests.scenarios.test_accounts import operator, refused
from tests.world import People, Person, Raw, new_id


def with_key(person: Person, key: str, gateway: int = 0) -> Rest:
    rest = Rest(person.world.urls[gateway % len(person.world.urls)])
    rest.access_token = key
    return rest


async def key_of(person: Person, *scopes: str, **more: Any) -> str:
    made = await person.rest.post("/v1/me/keys", {"name": "a script", "scopes": list(scopes), **more})
    assert made["key"].startswith(made["prefix"]) and made["key"].startswith("parley_") and len(made["key"]) > 40
    return str(made["key"])


async def over(rest: Rest) -> None:
    """What this one has is good for nothing within 5 s."""
    async with within(5):
        while True:
            try:
                await rest.get("/v1/me")
            except Problem as problem:
                assert problem.status == 401
                return
            await asyncio.sleep(0.1)


async def test_a_key_opens_what_its_scopes_say(people: People) -> None:
    anna, ben = await people.make("anna"), await people.make("ben")
    chat_id = await people.group(anna, ben)
    own = (await anna.rest.post("/v1/chats", {"kind": "assistant", "title": "mine"}))["id"]

    def message() -> dict[str, str]:
        return {"client_message_id": new_id(), "body": "by a script"}

    calls: dict[str, Any] = {
        "read": lambda rest: rest.get(f"/v1/chats/{chat_id}/messages"),
        "read oneself": lambda rest: rest.get("/v1/me"),
        "ask why": lambda rest: rest.post("/v1/policy/explain", {"action": "message.send", "chat_id": chat_id}),
        "read, by another way": lambda rest: rest.get(f"/v1/chats/{chat_id}/messages", limit=7, after=0),
        "write": lambda rest: rest.post(f"/v1/chats/{chat_id}/messages", message()),
        "change oneself": lambda rest: rest.patch("/v1/me", {"preferences": {"a": 1}}),
        "ask": lambda rest: rest.post(f"/v1/chats/{own}/messages", message()),
    }
    opened = {
        ("read",): {"read", "read oneself", "ask why", "read, by another way"},
        ("write",): {"write", "change oneself"},
        ("ask",): set(),
        ("write", "ask"): {"write", "change oneself", "ask"},
        ("read", "write", "ask"): set(calls),
    }
    for scopes, good in opened.items():
        rest = with_key(anna, await key_of(anna, *scopes), gateway=1)
        for name, call in calls.items():
            if name in good:
                await call(rest)
            else:
                problem = await refused(call(rest))
                assert (problem.status, problem.code) == (403, "not_allowed"), (scopes, name)
                assert problem.body["policies"], "which policy it was"
        await rest.close()


async def test_a_key_on_the_socket(people: People) -> None:
    anna, ben = await people.make("anna"), await people.make("ben")
    chat_id = await people.group(anna, ben)
    reading, writing = await key_of(anna, "read"), await key_of(anna, "read", "write")
    raw = await Raw.open(anna.world.urls[-1])
    await raw.send({"type": "hello", "token": reading})
    await raw.expect("welcome")
    send = {"type": "message.send", "chat_id": chat_id, "body": "hello"}
    await raw.send({**send, "ref": "1", "client_message_id": new_id()})
    assert (await raw.expect("error"))["code"] == "not_allowed"
    await raw.send({"type": "read.mark", "ref": "2", "chat_id": chat_id, "seq": 1})
    assert (await raw.expect("error"))["code"] == "not_allowed"
    await ben.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "heard"})
    assert (await raw.expect("message.created"))["message"]["body"] == "heard"
    rest = with_key(anna, writing)
    ticket = (await rest.post("/v1/ws-tickets"))["ticket"]
    by_ticket = await Raw.open(anna.world.urls[0])
    await by_ticket.send({"type": "hello", "ticket": ticket})
    await by_ticket.expect("welcome")
    await by_ticket.send({**send, "ref": "1", "client_message_id": new_id()})
    assert (await by_ticket.expect("message.created"))["message"]["sender_id"] == anna.id
    await by_ticket.send({**send, "ref": "2", "client_message_id": new_id(), "body": "@assistant you?"})
    silent = await by_ticket.expect("assistant.silent")
    assert silent["code"] == "not_allowed", "the message stands, and asks nobody"
    for raw_ in (raw, by_ticket):
        await raw_.close()
    only_write = await Raw.open(anna.world.urls[0])
    await only_write.send({"type": "hello", "token": await key_of(anna, "write")})
    assert await only_write.closed() == 4401
    await rest.close()


async def test_no_key_makes_keys_or_touches_passwords_and_sessions(people: People) -> None:
    root = await operator(people)
    rest = with_key(root, await key_of(root, "read", "write", "ask"))
    some = new_id()
    bot = {"username": f"bot-{some[:8]}", "display_name": "Bot"}
    for work in (
        rest.get("/v1/me/keys"), rest.post("/v1/me/keys", {"name": "k", "scopes": ["read"]}), rest.delete(f"/v1/me/keys/{some}"),
        rest.get("/v1/admin/keys"), rest.post("/v1/admin/keys", {"name": "k", "scopes": ["users"]}),
        rest.delete(f"/v1/admin/keys/{some}"), rest.post("/v1/admin/bots", bot), rest.post("/v1/me/bots", bot), rest.get("/v1/me/bots"),
        rest.post(f"/v1/me/bots/{some}/key"), rest.delete(f"/v1/me/bots/{some}"),
        rest.get("/v1/me/sessions"), rest.delete(f"/v1/me/sessions/{some}"), rest.call("DELETE", "/v1/me/sessions?others=true"),
        rest.post("/v1/me/password", {"current_password": "x" * 10, "new_password": "y" * 10}), rest.post("/v1/auth/logout"),
        rest.post(f"/v1/admin/users/{root.id}/password-link"), rest.patch(f"/v1/admin/users/{root.id}", {"role": "operator"}),
        rest.patch(f"/v1/admin/users/{root.id}", {"disabled": False}), rest.patch("/v1/me", {"email": "thief@example.org"}),
    ):  # fmt: skip
        problem = await refused(work)
        assert (problem.status, problem.code) == (403, "not_allowed"), problem
    assert (await rest.get("/v1/admin/users"))["items"], "what its person may, the key may"
    await rest.close()


async def test_a_key_that_is_ended_is_over_on_every_gateway_and_socket(people: People) -> None:
    anna = await people.make("anna")
    made = await anna.rest.post("/v1/me/keys", {"name": "k", "scopes": ["read", "write"]})
    rests = [with_key(anna, made["key"], n) for n in range(len(anna.world.urls))]
    raws = []
    for n, rest in enumerate(rests):
        await rest.get("/v1/me")
        raw = await Raw.open(anna.world.urls[n])
        await raw.send({"type": "hello", "token": made["key"]})
        await raw.expect("welcome")
        raws.append(raw)
    listed = (await anna.rest.get("/v1/me/keys"))["items"]
    assert [key["id"] for key in listed] == [made["id"]] and "key" not in listed[0]
    assert listed[0]["last_used_at"] is not None and listed[0]["scopes"] == ["read", "write"]
    assert not [one for one in (await anna.rest.get("/v1/me/sessions"))["items"] if one["id"] == made["id"]]
    await anna.rest.delete(f"/v1/me/keys/{made['id']}")
    for raw in raws:
        assert await raw.closed(5) == 4401
    for rest in rests:
        await over(rest)
        await rest.close()
    assert not (await anna.rest.get("/v1/me/keys"))["items"]
    assert (await refused(anna.rest.delete(f"/v1/me/keys/{made['id']}"))).code == "not_found"
    await anna.rest.get("/v1/me")


async def test_a_key_ends_by_itself_and_with_its_person(people: People) -> None:
    root, anna, ben = await operator(people), await people.make("anna"), await people.make("ben")
    soon = (datetime.now(UTC) + timedelta(seconds=paced(3))).isoformat().replace("+00:00", "Z")
    short = with_key(anna, await key_of(anna, "read", expires_at=soon))
    await short.get("/v1/me")
    raw = await Raw.open(anna.world.urls[0])
    await raw.send({"type": "hello", "token": short.access_token})
    await raw.expect("welcome")
    assert await raw.closed(paced(10)) == 4401
    assert (await refused(short.get("/v1/me"))).status == 401
    past = {"name": "k", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}
    assert (await refused(anna.rest.post("/v1/me/keys", past))).code == "invalid"
    lasting = with_key(anna, await key_of(anna, "read"))
    await anna.rest.post("/v1/me/password", {"current_password": "correct horse battery", "new_password": "y" * 12})
    await lasting.get("/v1/me")
    await root.rest.patch(f"/v1/admin/users/{anna.id}", {"disabled": True})
    await over(lasting)
    foreign = with_key(ben, await key_of(ben, "read"))
    [key] = (await ben.rest.get("/v1/me/keys"))["items"]
    assert (await refused(root.rest.delete(f"/v1/me/keys/{key['id']}"))).code == "not_found"
    await foreign.get("/v1/me")
    for rest in (short, lasting, foreign):
        await rest.close()


async def test_what_is_no_key_is_not_good(people: People) -> None:
    anna = await people.make("anna")
    good = await key_of(anna, "read")
    for bad in ("parley_", "parley_x", good[:-1], good + "x", good.upper(), f"{good} ", f"parley_{'x' * 5_000}"):
        rest = with_key(anna, bad.strip())
        if bad.strip() != good:
            assert (await refused(rest.get("/v1/me"))).status == 401, bad
        await rest.close()


async def test_a_bot_talks_and_is_a_member_like_others_but_owns_nothing(people: People) -> None:
    root, anna = await operator(people), await people.make("anna")
    name = f"bot-{new_id()[:8]}"
    made = await root.rest.post("/v1/admin/bots", {"username": name.upper(), "display_name": "Build"})
    assert made["user"]["kind"] == "bot" and made["user"]["username"] == name
    assert (await refused(root.rest.post("/v1/admin/bots", {"username": name, "display_name": "B"}))).code == "conflict"
    assert (
        await refused(anna.rest.post("/v1/admin/bots", {"username": "x-y-z", "display_name": "B"}))
    ).code == "not_allowed"
    assert (
        await refused(anna.rest.post("/v1/me/bots", {"username": "x-y-z", "display_name": "B"}))
    ).code == "not_allowed"
    bot_id = made["user"]["id"]
    chat_id = await people.group(anna)
    bot = with_key(root, made["key"])
    await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": bot_id})
    said = await bot.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "built"})
    assert said["sender_id"] == bot_id
    for role in ("owner", "admin"):
        changed = anna.rest.patch(f"/v1/chats/{chat_id}/members/{bot_id}", {"role": role})
        assert (await refused(changed)).code == "invalid"
    assert (await refused(root.rest.patch(f"/v1/admin/users/{bot_id}", {"role": "operator"}))).code == "conflict"
    asked = await bot.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "@assistant hello"})
    async with within(20):
        while not any(
            one["kind"] == "assistant" and one["reply_to"] == asked["id"]
            for one in (await anna.rest.get(f"/v1/chats/{chat_id}/messages"))["items"]
        ):
            await asyncio.sleep(0.1)
    assert (await refused(bot.post("/v1/chats", {"kind": "group", "title": "mine"}))).code == "not_allowed"
    own_chat = await bot.post("/v1/chats", {"kind": "assistant"})
    assert own_chat["my_role"] == "member", "it owns nothing"
    direct = await anna.rest.post("/v1/chats", {"kind": "direct", "member_ids": [bot_id]})
    assert direct["kind"] == "direct"
    own = await root.rest.post("/v1/me/bots", {"username": f"own-{new_id()[:8]}", "display_name": "Own"})
    mine = [one["id"] for one in (await root.rest.get("/v1/me/bots"))["items"]]
    assert {own["user"]["id"], bot_id} <= set(mine)
    assert (await refused(anna.rest.post(f"/v1/me/bots/{bot_id}/key"))).code == "not_found"
    again = await root.rest.post(f"/v1/me/bots/{bot_id}/key")
    newer = with_key(root, again["key"])
    await newer.get("/v1/me")
    await over(bot)
    await root.rest.delete(f"/v1/me/bots/{bot_id}")
    await over(newer)
    acts = [entry["act"] for entry in (await root.rest.get("/v1/admin/audit"))["items"]]
    assert "key.created" in acts and "user.changed" in acts
    for rest in (bot, newer):
        await rest.close()


async def test_a_bot_ends_with_who_made_it_and_a_service_s_is_nobody_s(people: People) -> None:
    root, second = await operator(people), await operator(people)
    made = await second.rest.post("/v1/me/bots", {"username": f"b-{new_id()[:8]}", "display_name": "B"})
    service = await second.rest.post("/v1/admin/keys", {"name": "shop", "scopes": ["users"]})
    bot, host = with_key(root, made["key"]), with_key(root, service["key"])
    await bot.get("/v1/me")
    assert [one["id"] for one in (await second.rest.get("/v1/me/bots"))["items"]] == [made["user"]["id"]]
    entries = (await root.rest.get("/v1/admin/audit"))["items"]
    host_bot = next(
        e["details"]["user_id"] for e in entries if e["act"] == "key.created" and e["target_id"] == service["id"]
    )
    for work in (root.rest.post(f"/v1/me/bots/{host_bot}/key"), root.rest.delete(f"/v1/me/bots/{host_bot}")):
        assert (await refused(work)).code == "not_found", "it ends with its key alone"
    await root.rest.patch(f"/v1/admin/users/{second.id}", {"disabled": True})
    await over(bot)
    await host.put(f"/v1/server/users/{new_id()}", {})
    for rest in (bot, host):
        await rest.close()


async def test_a_socket_by_ticket_ends_with_its_key(people: People) -> None:
    anna = await people.make("anna")
    soon = (datetime.now(UTC) + timedelta(seconds=paced(3))).isoformat().replace("+00:00", "Z")
    rest = with_key(anna, await key_of(anna, "read", expires_at=soon))
    raw = await Raw.open(anna.world.urls[0])
    await raw.send({"type": "hello", "ticket": (await rest.post("/v1/ws-tickets"))["ticket"]})
    await raw.expect("welcome")
    assert await raw.closed(paced(10)) == 4401
    await rest.close()


async def test_a_key_has_limits_of_its_own(people: People) -> None:
    anna = await people.make("anna")
    rest = with_key(anna, await key_of(anna, "write"))

    async def left(one: Rest) -> int:
        headers = {"Authorization": f"Bearer {one.access_token}"}
        told = (await one.http.patch("/v1/me", json={}, headers=headers)).headers["RateLimit"]
        return int(told.partition("r=")[2].partition(";")[0])

    by_key = await asyncio.gather(*(left(rest) for _ in range(60)))
    assert await left(anna.rest) > min(by_key) and max(by_key) - min(by_key) > 10, "each counts by itself"
    await rest.close()
