"""Tokens of other issuers at every door: an identity provider's, and those that a host mints."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

from parley_client import Problem, Rest
from tests.issuer import Issuer, SigningKey
from tests.scenarios.test_accounts import operator, refused
from tests.scenarios.test_keys import over
from tests.world import People, Raw, World, new_id

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"


def bearing(world: World, token: str, gateway: int = 0) -> Rest:
    rest = Rest(world.urls[gateway % len(world.urls)])
    rest.access_token = token
    return rest


def issuer_of(world: World) -> Issuer:
    assert world.issuer is not None
    return world.issuer


async def exchanged(rest: Rest, token: str, kind: str = "access_token") -> Any:
    form = {"grant_type": GRANT, "subject_token": token, "subject_token_type": TYPE + kind}
    answer = await rest.call("POST", "/v1/auth/token", data=form, signed=False)
    return answer.json()


async def test_an_access_token_is_good_at_every_door(people: People) -> None:
    world = people.world
    issuer, subject = issuer_of(world), new_id()
    name = f"ann.{subject[:8]}"
    claims = {"preferred_username": name, "name": "Ann Example", "email": f"{name}@example.org", "department": "sales"}
    token = issuer.sign(subject, sid=f"sid-{subject}", **claims)
    rests = [bearing(world, token, n) for n in range(len(world.urls))]
    me = await rests[0].get("/v1/me")
    assert (me["username"], me["display_name"], me["email"], me["role"]) == (
        name,
        "Ann Example",
        claims["email"],
        "user",
    )
    for rest in rests:
        assert (await rest.get("/v1/me"))["id"] == me["id"]
    chat = await rests[0].post("/v1/chats", {"kind": "group", "title": "g"})
    raw = await Raw.open(world.urls[-1])
    await raw.send({"type": "hello", "token": token})
    assert (await raw.expect("welcome"))["user"]["id"] == me["id"]
    await raw.send(
        {"type": "message.send", "ref": "1", "chat_id": chat["id"], "client_message_id": new_id(), "body": "x"}
    )
    await raw.expect("message.created")
    ticket = (await rests[0].post("/v1/ws-tickets"))["ticket"]
    by_ticket = await Raw.open(world.urls[0])
    await by_ticket.send({"type": "hello", "ticket": ticket})
    await by_ticket.expect("welcome")
    newer = issuer.sign(subject, sid=f"sid-{subject}", iat=int(time.time()) - 1, **claims)
    again = bearing(world, newer)
    assert (await again.get("/v1/me"))["id"] == me["id"]
    await again.post("/v1/auth/logout")
    for one in (raw, by_ticket):
        assert await one.closed(5) == 4401
    for rest in (*rests, again):
        await over(rest)
        await rest.close()
    later = bearing(world, issuer.sign(subject, sid=f"later-{subject}", **claims))
    assert (await later.get("/v1/me"))["id"] == me["id"], "another session of the same person"
    await later.close()


async def test_claims_follow_and_a_subject_stays_one_person(people: People) -> None:
    world = people.world
    issuer, subject, other = issuer_of(world), new_id(), new_id()
    anna = await people.make("anna")
    rest = bearing(world, issuer.sign(subject, preferred_username=anna.name, name="Anna?"))
    me = await rest.get("/v1/me")
    assert me["id"] != anna.id and me["username"] != anna.name, "nobody is taken for somebody else by a name"
    assert me["username"].startswith(anna.name[:20])
    friend = await people.make("friend")
    chat_id = (await friend.rest.post("/v1/chats", {"kind": "group", "member_ids": [me["id"]]}))["id"]
    raw = await friend.socket()
    await operator(people)  # else the last one stays one
    renamed = bearing(
        world, issuer.sign(subject, name="Anna B.", preferred_username="other-now", groups=["chat-operators"])
    )
    after = await renamed.get("/v1/me")
    assert (after["id"], after["display_name"], after["username"]) == (me["id"], "Anna B.", me["username"])
    assert after["role"] == "operator"
    assert (await raw.expect("user.updated"))["user"]["display_name"] == "Anna B."
    no_more = bearing(world, issuer.sign(subject, name="Anna B.", groups=["staff"], sid="s"))
    assert (await no_more.get("/v1/me"))["role"] == "user"
    strange = bearing(world, issuer.sign(other, preferred_username="Ж", name="   "))
    made = await strange.get("/v1/me")
    assert made["username"].startswith("user-") and made["display_name"] == made["username"]
    at_once = [bearing(world, issuer.sign(new_id() if n == 0 else chat_id, jti=new_id()), n) for n in range(6)]
    ids = {(await one)["id"] for one in [asyncio.ensure_future(rest_.get("/v1/me")) for rest_ in at_once[1:]]}
    assert len(ids) == 1, "seen at once on several gateways, it is one person"
    for one in (rest, renamed, no_more, strange, *at_once):
        await one.close()


async def test_a_token_is_exchanged_for_a_session_of_ours(people: People) -> None:
    world = people.world
    issuer, subject = issuer_of(world), new_id()
    rest = Rest(world.urls[0])
    answer = await exchanged(rest, issuer.sign(subject, sid=f"x-{subject}"))
    assert answer["issued_token_type"] == f"{TYPE}access_token" and answer["refresh_token"]
    by_id_token = await exchanged(rest, issuer.sign(subject, aud="chat", nonce="n"), "id_token")
    by_jwt = await exchanged(rest, issuer.minted(f"u-{subject}", name="Host's"), "jwt")
    assert by_id_token["user"]["id"] == answer["user"]["id"] != by_jwt["user"]["id"]
    assert by_jwt["user"]["display_name"] == "Host's"
    mine = bearing(world, answer["access_token"], 1)
    sessions = (await mine.get("/v1/me/sessions"))["items"]
    assert len(sessions) == 2 and sum(one["current"] for one in sessions) == 1
    mine.refresh_token = answer["refresh_token"]
    await mine.refresh()
    bad = {
        "not good": (issuer.sign(subject, key=SigningKey("k1").private), "access_token"),
        "an id token as an access token": (issuer.sign(subject, aud="chat", nonce="n"), "access_token"),
        "an access token as an id token": (issuer.sign(subject, typ="Bearer", aud="chat"), "id_token"),
        "another type": (issuer.sign(subject), "saml2"),
        "over": (issuer.sign(subject, iat=int(time.time()) - 900, exp=int(time.time()) - 300), "jwt"),
    }
    for what, (token, kind) in bad.items():
        problem = await refused(exchanged(rest, token, kind))
        assert (problem.status, problem.body["error"]) == (400, "invalid_request"), what
    form = {"grant_type": GRANT, "subject_token": "x"}
    assert (await refused(rest.call("POST", "/v1/auth/token", data=form, signed=False))).body[
        "error"
    ] == "invalid_request"
    for one in (rest, mine):
        await one.close()


async def test_a_host_s_token_means_the_user_that_its_backend_puts(people: People) -> None:
    world = people.world
    issuer = issuer_of(world)
    root = await operator(people)
    key = await root.rest.post("/v1/admin/keys", {"name": "shop", "scopes": ["users"]})
    backend = bearing(world, key["key"])
    before, after = f"u-{new_id()[:8]}", f"u-{new_id()[:8]}"
    put = await backend.put(f"/v1/server/users/{before}", {"display_name": "Ann"})
    seen_first = bearing(world, issuer.minted(after, name="Ben", username=f"ben-{after}"))
    ben = await seen_first.get("/v1/me")
    ann = bearing(world, issuer.minted(before))
    assert (await ann.get("/v1/me"))["id"] == put["id"]
    put_after = await backend.put(f"/v1/server/users/{after}", {})
    assert (put_after["id"], put_after["username"]) == (ben["id"], f"ben-{after}")
    raw = await Raw.open(world.urls[-1])
    await raw.send({"type": "hello", "token": ann.access_token})
    await raw.expect("welcome")
    began = time.monotonic()
    await backend.put(f"/v1/server/users/{before}", {"disabled": True})
    assert await raw.closed(5) == 4401 and time.monotonic() - began < 5.5
    assert (await refused(bearing(world, issuer.minted(before, jti=new_id())).get("/v1/me"))).status == 401
    await over(ann)
    for one in (backend, seen_first, ann):
        await one.close()


async def test_a_logout_by_the_back_channel_ends_sessions_and_sockets(people: People) -> None:
    world = people.world
    issuer, subject = issuer_of(world), new_id()
    path = "/v1/auth/providers/company/backchannel-logout"
    tokens = [issuer.sign(subject, sid=f"{n}-{subject}") for n in range(2)]
    one, two = [bearing(world, token, n) for n, token in enumerate(tokens)]
    rest = Rest(world.urls[0])
    ours = bearing(world, (await exchanged(rest, tokens[0]))["access_token"])
    for each in (one, two, ours):
        await each.get("/v1/me")
    raw = await Raw.open(world.urls[-1])
    await raw.send({"type": "hello", "token": tokens[0]})
    await raw.expect("welcome")

    async def logout(token: str) -> int:
        return int((await rest.http.post(path, data={"logout_token": token})).status_code)

    assert await logout(issuer.logout_token("chat", sub=subject, sid=f"0-{subject}")) == 200
    assert await raw.closed(5) == 4401
    await over(one)
    await over(ours)
    await two.get("/v1/me")
    unseen = issuer.sign(subject, sid=f"unseen-{subject}")
    assert await logout(issuer.logout_token("chat", sub=subject, sid=f"unseen-{subject}")) == 200
    assert (await refused(bearing(world, unseen).get("/v1/me"))).status == 401
    await asyncio.sleep(1.1)  # times of tokens are whole seconds
    assert await logout(issuer.logout_token("chat", sub=subject)) == 200
    await over(two)
    assert (
        await refused(bearing(world, issuer.sign(subject, iat=int(time.time()) - 3, sid="z")).get("/v1/me"))
    ).status == 401
    await asyncio.sleep(1.1)
    await bearing(world, issuer.sign(subject, sid=f"anew-{subject}")).get("/v1/me")
    for token in ("x", issuer.sign(subject, aud="chat"), issuer.logout_token("parley", sub=subject)):
        assert await logout(token) == 400
    assert await logout(issuer.logout_token("chat", sub=new_id())) == 200, "nobody, and nobody is told"
    missing = await rest.http.post("/v1/auth/providers/none/backchannel-logout", data={"logout_token": "x"})
    assert missing.status_code == 404
    for each in (one, two, ours, rest):
        await each.close()


async def test_keys_rotate_under_load_without_a_false_refusal(people: People) -> None:
    world = people.world
    issuer, subject = issuer_of(world), new_id()
    ends, wrong, count = time.monotonic() + 4, [], 0

    async def ask(n: int) -> None:
        nonlocal count
        rest = bearing(world, "", n)
        while time.monotonic() < ends:
            rest.access_token = issuer.sign(subject, jti=f"{n}-{count}")
            try:
                await rest.get("/v1/me")
                count += 1
            except Problem as problem:
                wrong.append(problem)
            await asyncio.sleep(0.05)
        await rest.close()

    async def rotate() -> None:
        await asyncio.sleep(1)
        issuer.keys.insert(0, SigningKey(new_id()))

    asking = [asyncio.ensure_future(ask(n)) for n in range(4)]
    await rotate()
    await asyncio.gather(*asking)
    assert count > 30 and not wrong, wrong[:1]


async def test_what_has_ended_begins_nothing_new(people: People) -> None:
    world = people.world
    issuer, subject = issuer_of(world), new_id()
    token = issuer.sign(subject, sid=f"one-{subject}")
    rest, bare = bearing(world, token), Rest(world.urls[0])
    await rest.get("/v1/me")
    [mine] = (await rest.get("/v1/me/sessions"))["items"]
    assert mine["current"] and mine["client"] == issuer.issuer, "it can be seen, and ended"
    await rest.delete(f"/v1/me/sessions/{mine['id']}")
    await over(rest)
    for kind, other in (("access_token", token), ("id_token", issuer.sign(subject, aud="chat", sid=f"one-{subject}"))):
        problem = await refused(exchanged(bare, other, kind))
        assert (problem.status, problem.body["error"]) == (400, "invalid_request"), "nor by an exchange"
    assert (await exchanged(bare, issuer.sign(subject, sid=f"two-{subject}")))["user"]["id"]
    deep = "a." + base64.urlsafe_b64encode(b"[" * 2_900).decode().rstrip("=") + ".c"
    assert (await refused(bearing(world, deep).get("/v1/me"))).status == 401
    raw = await Raw.open(world.urls[0])
    await raw.send({"type": "hello", "token": deep})
    assert await raw.closed() == 4401
    for one in (rest, bare):
        await one.close()


async def test_what_a_token_doesn_t_say_stays_as_the_backend_said_it(people: People) -> None:
    world = people.world
    issuer, name = issuer_of(world), f"u-{new_id()[:8]}"
    root = await operator(people)
    key = await root.rest.post("/v1/admin/keys", {"name": "shop", "scopes": ["users", "tokens"]})
    backend = bearing(world, key["key"])
    await backend.put(f"/v1/server/users/{name}", {"attributes": {"guest": True, "picture": "a"}})
    for claims in ({}, {"name": "Ann"}, {"picture": "b"}):
        rest = bearing(world, issuer.minted(name, jti=new_id(), **claims))
        await rest.get("/v1/me")
        await rest.close()
    after = await backend.put(f"/v1/server/users/{name}", {})
    assert after["attributes"] == {"guest": True, "picture": "b"} and after["display_name"] == "Ann"
    await root.rest.patch(f"/v1/admin/users/{after['id']}", {"role": "operator"})
    path = f"/v1/server/users/{name}"
    for work in (backend.post(f"{path}/tokens"), backend.put(path, {"disabled": True}), backend.delete(path)):
        assert (await refused(work)).code == "not_allowed", "an operator is no business of a host's key"
    assert (await refused(bearing(world, issuer.minted("a/b")).get("/v1/me"))).status == 401
    await backend.close()
