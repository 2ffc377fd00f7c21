from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from contextlib import suppress

import pytest

from parley_client import Problem, Rest
from stack.pace import paced, within
from tests.world import PASSWORD, People, Person, Raw, World, new_id


async def refused(work: object) -> Problem:
    with pytest.raises(Problem) as caught:
        await work  # type: ignore[misc]
    return caught.value


async def test_register_sign_in_refresh_and_me(people: People) -> None:
    anna = await people.make("anna")
    assert (await refused(anna.rest.register(anna.name.upper(), PASSWORD))).code == "conflict"
    other = Rest(people.world.urls[-1])
    user = await other.sign_in(anna.name, PASSWORD)
    assert user == anna.rest.user and user["kind"] == "human" and user["role"] == "user"
    first = other.refresh_token
    await other.refresh()
    other.refresh_token = first
    await other.refresh()  # used twice within its grace: a lost answer, or two tabs
    changed = await other.patch("/v1/me", {"display_name": "Änna", "preferences": {"theme": "dark"}})
    assert (changed["display_name"], changed["preferences"]) == ("Änna", {"theme": "dark"})
    socket = await anna.socket()
    changed = await other.patch("/v1/me", {"preferences": {"theme": None, "chats": {"order": ["b", "a"]}}})
    changed = await other.patch("/v1/me", {"preferences": {"chats": {"muted": True}}})
    assert changed["preferences"] == {"chats": {"order": ["b", "a"], "muted": True}}
    told = await socket.until(
        lambda f: f["type"] == "preferences.changed" and "muted" in f["preferences"].get("chats", {})
    )
    assert told["preferences"] == changed["preferences"]
    grown = {"a": "x" * 9_000}
    await other.patch("/v1/me", {"preferences": grown})
    assert (await refused(other.patch("/v1/me", {"preferences": {"b": "x" * 9_000}}))).code == "too_large", (
        "the whole counts"
    )
    assert (await other.get("/v1/me"))["preferences"] == changed["preferences"] | grown
    await socket.close()
    found = await other.get("/v1/users", query=anna.name[:8])
    assert anna.id in [item["id"] for item in found["items"]]
    assert set(await other.get(f"/v1/users/{anna.id}")) == {"id", "username", "display_name", "kind"}
    await other.close()


async def test_the_token_form_answers_as_rfc_6749_says(people: People) -> None:
    anna = await people.make()
    for form, error in (
        ({"grant_type": "password", "username": anna.name, "password": "wrong password"}, "invalid_grant"),
        ({"grant_type": "password", "username": "nobody-here", "password": "wrong password"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "password", "username": anna.name}, "invalid_request"),
        ({"grant_type": "magic"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
    ):
        problem = await refused(anna.rest.call("POST", "/v1/auth/token", data=form, signed=False))
        assert (problem.status, problem.body["error"]) == (400, error)


async def test_ten_failed_sign_ins_are_too_many(people: People) -> None:
    anna = await people.make()
    rest = Rest(people.world.urls[0])
    for _ in range(10):
        assert (await refused(rest.sign_in(anna.name, "wrong password"))).code == "invalid_grant"
    problem = await refused(rest.sign_in(anna.name, PASSWORD))
    assert (problem.status, problem.code) == (429, "rate_limited")
    await rest.close()


async def test_a_logout_ends_tokens_and_sockets_on_every_gateway(people: People) -> None:
    anna = await people.make()
    sockets = [await anna.socket(gateway) for gateway in range(len(people.world.urls))]
    await anna.rest.post("/v1/auth/logout")
    began = time.monotonic()
    for socket in sockets:
        assert await socket.closed(5) == 4401
    while True:
        answers = [await asyncio.gather(rest.call("GET", "/v1/me"), return_exceptions=True) for rest in anna.rests]
        if all(isinstance(a[0], Problem) and a[0].status == 401 for a in answers):
            break
        assert time.monotonic() - began < paced(5)
        await asyncio.sleep(0.1)


async def test_a_ticket_opens_one_socket_once(people: People) -> None:
    anna = await people.make()
    ticket = (await anna.rest.post("/v1/ws-tickets"))["ticket"]
    first = await Raw.open(people.world.urls[-1])
    await first.send({"type": "hello", "ticket": ticket})
    assert (await first.expect("welcome"))["user"]["id"] == anna.id
    second = await Raw.open(people.world.urls[0])
    await second.send({"type": "hello", "ticket": ticket})
    assert await second.closed() == 4401
    await first.close()


async def test_tokens_that_are_not_good(people: People) -> None:
    import jwt

    anna = await people.make()
    good = anna.rest.access_token or ""
    claims = jwt.decode(good, options={"verify_signature": False})
    head, body, mac = good.split(".")
    bad = [
        "x", good[:-2], f"{head}.{body}.", f"{head}.{body}.{mac[::-1]}",
        jwt.encode(claims, "guess" * 10, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),  # type: ignore[arg-type]
        "a" * 5000,
    ]  # fmt: skip
    for token in bad:
        problem = await refused(anna.rest.call("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"}))
        assert (problem.status, problem.code) == (401, "unauthenticated")
        socket = await Raw.open(people.world.urls[0])
        await socket.send({"type": "hello", "token": token})
        assert await socket.closed() == 4401
    for path in ("/v1/me?token=x", "/v1/me?access_token=x", "/v1/chats?token=", "/livez?access_token=x"):
        problem = await refused(anna.rest.call("GET", path))
        assert (problem.status, problem.code) == (400, "invalid")


async def test_a_new_password_ends_the_other_sessions(people: People) -> None:
    anna = await people.make()
    other = Rest(people.world.urls[-1])
    await other.sign_in(anna.name, PASSWORD)
    socket = await Raw.open(people.world.urls[-1])
    await socket.send({"type": "hello", "token": other.access_token})
    await socket.expect("welcome")
    listed = (await anna.rest.get("/v1/me/sessions"))["items"]
    assert [item["current"] for item in listed] == [False, True] and "httpx" in listed[0]["client"]
    new = "another horse battery"
    wrong = await refused(
        anna.rest.post("/v1/me/password", {"current_password": "wrong password", "new_password": new})
    )
    assert (wrong.status, wrong.code) == (403, "not_allowed")
    short = await refused(anna.rest.post("/v1/me/password", {"current_password": PASSWORD, "new_password": "short"}))
    assert short.code == "invalid"
    await anna.rest.post("/v1/me/password", {"current_password": PASSWORD, "new_password": new})
    assert await socket.closed(5) == 4401
    assert (await refused(other.refresh())).code == "invalid_grant"
    assert (await refused(other.sign_in(anna.name, PASSWORD))).code == "invalid_grant"
    await other.sign_in(anna.name, new)
    assert len((await anna.rest.get("/v1/me/sessions"))["items"]) == 2
    await other.close()


async def test_one_ends_a_session_of_ones_own_and_no_others(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    other = Rest(people.world.urls[0])
    await other.sign_in(anna.name, PASSWORD)
    mine = next(s["id"] for s in (await anna.rest.get("/v1/me/sessions"))["items"] if not s["current"])
    for rest, id_ in ((bert.rest, mine), (anna.rest, new_id())):
        assert (await refused(rest.delete(f"/v1/me/sessions/{id_}"))).code == "not_found"
    await anna.rest.delete(f"/v1/me/sessions/{mine}")
    assert (await refused(other.refresh())).code == "invalid_grant"
    assert (await refused(anna.rest.delete(f"/v1/me/sessions/{mine}"))).code == "not_found"
    await other.close()


async def make_operator(world: World, person: Person) -> None:
    await asyncio.to_thread(world.make_operator, person.name)


async def operator(people: People) -> Person:
    person = await people.make("root")
    await make_operator(people.world, person)
    return person


async def test_operators_disable_people_and_all_of_it_is_written_down(people: People) -> None:
    root, anna = await people.make("root"), await people.make()
    denied = await refused(root.rest.get("/v1/admin/users"))
    assert (denied.status, denied.code, denied.body["policies"]) == (403, "not_allowed", ["only-operators-administer"])
    await make_operator(people.world, root)
    assert (await root.rest.get("/v1/me"))["role"] == "operator"
    found = (await root.rest.get("/v1/admin/users", query=anna.name))["items"]
    assert [(item["id"], item["disabled"], item["role"]) for item in found] == [(anna.id, False, "user")]
    socket = await anna.socket()
    path = f"/v1/admin/users/{anna.id}"
    assert (await root.rest.patch(path, {"disabled": True}))["disabled"] is True
    assert await socket.closed(5) == 4401
    assert (await refused(anna.rest.refresh())).code == "invalid_grant"
    assert (await refused(anna.rest.sign_in(anna.name, PASSWORD))).code == "invalid_grant"
    async with within(5):
        while True:
            with suppress(Problem):
                await anna.rest.get("/v1/me")
                await asyncio.sleep(0.1)
                continue
            break
    await root.rest.patch(path, {"disabled": False, "role": "operator"})
    await anna.rest.sign_in(anna.name, PASSWORD)
    await anna.rest.get("/v1/admin/users", limit=1)
    await root.rest.patch(path, {"role": "user"})
    assert (await refused(anna.rest.get("/v1/admin/users"))).code == "not_allowed"
    assert (await root.rest.patch(path, {}))["role"] == "user"
    for body, code in (({"disabled": None}, "invalid"), ({"role": "king"}, "invalid")):
        assert (await refused(root.rest.patch(path, body))).code == code
    assert (await refused(root.rest.patch(f"/v1/admin/users/{new_id()}", {"disabled": True}))).code == "not_found"
    acts = (await root.rest.get("/v1/admin/audit", limit=3))["items"]
    assert [(act["actor_id"], act["target_id"], act["details"]) for act in acts] == [
        (root.id, anna.id, {"role": "user"}),
        (root.id, anna.id, {"disabled": False, "role": "operator"}),
        (root.id, anna.id, {"disabled": True}),
    ]


async def test_the_last_operator_stays_and_pages_of_people_end(people: People) -> None:
    root = await people.make("root")
    await make_operator(people.world, root)
    items: list[dict[str, object]] = []
    cursor = None
    while True:
        page = await root.rest.get("/v1/admin/users", limit=100, cursor=cursor)
        items += page["items"]
        if (cursor := page["next_cursor"]) is None:
            break
    names = [str(item["username"]) for item in items]
    assert names == sorted(names) and root.name in names
    for item in items:
        if item["role"] == "operator" and item["id"] != root.id:
            await root.rest.patch(f"/v1/admin/users/{item['id']}", {"role": "user"})
    for body in ({"disabled": True}, {"role": "user"}):
        assert (await refused(root.rest.patch(f"/v1/admin/users/{root.id}", body))).code == "conflict"


async def test_a_sign_in_with_the_old_password_does_not_outlive_its_change(people: People) -> None:
    anna = await people.make()
    rests = [Rest(people.world.urls[n % len(people.world.urls)]) for n in range(16)]
    new = "another horse battery"

    async def sign_in(place: int) -> str | None:
        await asyncio.sleep(place * 0.006)
        with suppress(Problem):
            await rests[place].sign_in(anna.name, PASSWORD)
        return rests[place].access_token

    change = anna.rest.post("/v1/me/password", {"current_password": PASSWORD, "new_password": new})
    await asyncio.gather(change, *(sign_in(place) for place in range(len(rests))))
    await asyncio.sleep(2.2)
    alive = []
    for rest in rests:
        if rest.access_token is not None:
            with suppress(Problem):
                await rest.get("/v1/me")
                alive.append(rest)
        await rest.close()
    assert alive == []
    assert [item["current"] for item in (await anna.rest.get("/v1/me/sessions"))["items"]] == [True]


async def test_a_socket_does_not_live_on_by_the_token_of_an_ended_session(people: People) -> None:
    anna = await people.make()
    other = Rest(people.world.urls[0])
    await other.sign_in(anna.name, PASSWORD)
    socket = await anna.socket(1)
    await Rest(people.world.urls[-1], access_token=other.access_token).get("/v1/me")  # remembered there for 2 s
    await other.post("/v1/auth/logout")
    await socket.send({"type": "auth.refresh", "ref": "r", "token": other.access_token})
    answer = await socket.until(lambda f: f.get("ref") == "r") if people.world.embedded else None
    assert answer is None or answer["code"] == "unauthenticated"
    if answer is None:
        assert await socket.closed(5) == 4401


async def test_people_are_found_by_a_display_name_in_any_case(people: People) -> None:
    anna = await people.make()
    name = f"Änne {new_id()[-6:]}"
    await anna.rest.patch("/v1/me", {"display_name": name})
    for query in (name, name.upper(), name.lower()):
        found = (await anna.rest.get("/v1/users", query=query))["items"]
        assert [item["id"] for item in found] == [anna.id], query


async def test_a_cursor_cannot_be_made_by_a_client(people: People) -> None:
    anna = await people.make()
    socket = await anna.socket()
    place = b'["not a time","x"]'
    key = hashlib.sha256(b"parley cursor" + socket.welcome["epoch"].encode()).digest()
    mac = hmac.digest(key, f"{anna.id}\x00chats False\x00".encode() + place, "sha256")[:16]
    cursor = base64.urlsafe_b64encode(mac + place).decode().rstrip("=")
    assert (await refused(anna.rest.get("/v1/chats", cursor=cursor))).code == "invalid"
