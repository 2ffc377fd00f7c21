from __future__ import annotations

import asyncio
import time

import pytest

from parley_client import Problem, Rest
from tests.world import PASSWORD, People, Raw


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
        assert time.monotonic() - began < 5
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
        jwt.encode(claims, None, algorithm="none"),
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
