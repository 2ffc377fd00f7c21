"""What a client may not do to the others: work, bytes and pieces are bounded before they are done, and who goes on is told."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress
from typing import Any

import httpx2
import pytest
import websockets

from stack.pace import within
from tests.world import People, Raw, new_id


async def tell(url: str, sent: bytes, wait_s: float = 10) -> bytes:
    """What is answered on a bare connection until it ends, or nothing comes any more."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        async with within(wait_s):
            return await reader.read(100_000)
    except ConnectionError:
        return b""
    finally:
        writer.close()


UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_before_a_good_hello_only_its_line_is_read_and_it_is_small(people: People) -> None:
    url, anna = people.world.urls[0], await people.make()
    raw = await Raw.open(url)
    await raw.socket.send('{"type":"hello","token":"bad"}\n' + "x\n" * 30_000)
    assert await raw.closed() == 4401 and raw.seen == [], "nothing behind it was looked at"
    raw = await Raw.open(url)
    await raw.socket.send('{"type":"hello","token":"bad"}\n' + "x" * 65_536)
    assert await raw.closed() == 1009
    raw = await Raw.open(url)
    hello = json.dumps({"type": "hello", "token": anna.rest.access_token})
    ping = '{"type":"ping","ref":"%s"}'
    await raw.socket.send(f"{hello}\n{ping % 1}\n\n{ping % 2}")
    await raw.socket.send(f"{ping % 3}\n{ping % 4}")
    await raw.expect("pong", ref="4")
    assert [f.get("ref") for f in raw.seen] == [None, "1", "2", "3", "4"], "what waited comes in its order"
    await raw.socket.send(" " * 100_000 + ping % 5)
    await raw.expect("pong", ref="5")
    await raw.close()


WITHOUT_END = {
    "control pings": "",
    "pings by thousands": "embedded",
    "lines of one character": "",
    "fragments": "",
}
"""Each with the world where each run tries it; the other is for `make test-long`."""


@pytest.mark.parametrize(
    ("world", "what"),
    [
        pytest.param(world, what, marks=[] if here == world else [pytest.mark.long])
        for what, here in WITHOUT_END.items()
        for world in ("embedded", "real")
    ],
    indirect=["world"],
)
async def test_one_socket_that_sends_without_end_is_closed_and_others_are_served(people: People, what: str) -> None:
    """None of these counts as a request; all of it is work. The door is one in both worlds: of the four, one is tried in both."""
    if what != "control pings" and not people.world.embedded:
        return
    flooder, other = await people.make(), await people.make()
    raw, beside = await flooder.socket(), await other.socket()

    async def flood() -> None:
        ping = '{"type":"ping","ref":"x"}'
        while True:
            if what == "control pings":
                for _ in range(500):
                    await raw.socket.ping()
            elif what == "fragments":
                await raw.socket.send(c for c in ['{"type":"ping","ref":"x"', *[" "] * 2_000, "}"])
            else:
                await raw.socket.send("\n".join([ping] * 1_000) if what == "pings by thousands" else "x\n" * 1_000)
            await asyncio.sleep(0)

    async def read() -> int:
        with suppress(websockets.ConnectionClosed):
            while True:
                await raw.socket.recv()
        return raw.socket.close_code or 1006

    flooding, closed = asyncio.create_task(flood()), asyncio.create_task(read())
    while not closed.done():
        assert (await beside.ask({"type": "ping"}))["type"] == "pong"
        await asyncio.sleep(0.2)
    assert await closed in ((4429,) if what == "control pings" else (4429, 1006)), (
        "told, where there is room to tell it"
    )
    with suppress(websockets.ConnectionClosed):
        async with within(5):
            await flooding
    again = await flooder.socket()
    assert (await again.ask({"type": "ping"}))["type"] == "pong", "who comes again is served"
    for each in (beside, again):
        await each.close()


@pytest.mark.long
async def test_a_person_with_ten_tabs_and_a_bot_at_forty_messages_a_second_are_within_it(people: People) -> None:
    person = await people.make()
    chat_id = await people.group(person, person)
    tabs = [await person.socket() for _ in range(10)]
    sent = 0
    for _ in range(3):
        for n in range(40):
            send = {
                "type": "message.send",
                "ref": f"{sent}",
                "chat_id": chat_id,
                "client_message_id": new_id(),
                "body": "x" * 500,
            }
            await tabs[0].send(send, {"type": "typing", "chat_id": chat_id})
            await tabs[n % 10].send({"type": "ping", "ref": "p"})
            sent += 1
            await asyncio.sleep(1 / 40)
    await tabs[0].until(lambda f: f["type"] == "message.created" and f["seq"] == sent + 1, 20)
    for tab in tabs:
        await tab.settle()
        assert tab.socket.close_code is None and not [f for f in tab.seen if f["type"] == "error"]
        await tab.close()


async def test_each_asker_hears_each_time_also_of_a_chat_that_is_not_there(people: People) -> None:
    person, owner = await people.make(), await people.make()
    foreign = await people.group(owner, owner)
    sockets = [await person.socket() for _ in range(3)]
    told: dict[str, list[Any]] = {}
    for chat_id in (new_id(), foreign):
        ids = [new_id() for _ in range(4)]
        for round_ in range(3):
            for raw in sockets:
                await raw.send(*(
                    {"type": "message.pin", "ref": f"{round_}{n}{chat_id[0]}", "chat_id": chat_id, "message_id": chat_id, "command_id": id_}
                    for n, id_ in enumerate(ids)
                ))  # fmt: skip
            for raw in sockets:
                for n in range(4):
                    answer = await raw.until(
                        lambda f, ref=f"{round_}{n}{chat_id[0]}": f["type"] == "rejected" and f.get("ref") == ref  # type: ignore[misc]
                    )
                    told.setdefault(chat_id, []).append((answer["code"], answer["reason"], answer["policies"]))
    missing, theirs = told.values()
    assert missing == theirs and {x[0] for x in missing} == {"not_found"}, "foreign and missing are one"
    for raw in sockets:
        await raw.close()


async def test_the_head_of_an_upgrade_is_answered_whatever_it_is(people: People) -> None:
    url = people.world.urls[0]
    for bad, status in (
        (UPGRADE.replace(b"Host: x", b"Host: x\r\nX: " + b"y" * 9_000), b"431"),
        (UPGRADE.replace(b"Host: x", b"Host: x" + b"\r\nX: y" * 200), b"431"),
        (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), b"400"),
        (UPGRADE.replace(b"Version: 13", b"Version: 7"), b"400"),
        (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"x"), b"400"),
    ):
        answer = await tell(url, bad)
        assert answer.split(b" ")[1] == status, (answer, bad[:80])


async def test_what_comes_behind_a_head_counts_wherever_it_stands(people: People) -> None:
    url = people.world.urls[0]
    post = b"POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = {
        "trailers": b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 700_000,
        "one byte a chunk": b"1\r\nx\r\n" * 700_000,
        "a large body": b"10000\r\n" + b"x" * 65_536 + b"\r\n",
    }
    endless["a large body"] *= 60
    for name, body in endless.items():
        answer = await tell(url, post + body, 20)
        assert not answer or answer.split(b" ")[1] in (b"400", b"413", b"422", b"431"), (name, answer)
    async with httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/livez")).status_code == 200


async def test_an_answer_is_at_most_a_mebibyte_and_says_that_more_is_there(people: People) -> None:
    person = await people.make()
    chat_id = await people.group(person, person)
    client = await person.client()
    bodies = [f"{n:03}" + "ü" * 7_900 for n in range(100)]
    await asyncio.gather(*(client.send(chat_id, body) for body in bodies))
    async with httpx2.AsyncClient(
        base_url=people.world.urls[0], headers={"Authorization": f"Bearer {person.rest.access_token}"}
    ) as http:
        for path, key in (
            (f"/v1/chats/{chat_id}/messages?limit=100&after=", "seq"),
            (f"/v1/chats/{chat_id}/timeline?limit=500&after=", "seq"),
        ):
            seen, after = [], 1
            while True:
                answer = await http.get(f"{path}{after}")
                page = answer.json()
                assert len(answer.content) <= 2**20 and page["items"]
                seen += [item.get("body") or item["message"]["body"] for item in page["items"]]
                after = page["items"][-1][key]
                if not page["has_more"]:
                    break
            assert sorted(seen) == sorted(bodies)
        found, cursor = [], ""
        while cursor is not None:
            answer = await http.get(f"/v1/search?q={bodies[0][:3]}&limit=100" + (f"&cursor={cursor}" if cursor else ""))
            assert len(answer.content) <= 2**20
            found += answer.json()["items"]
            cursor = answer.json()["next_cursor"]


async def test_reads_have_a_budget_of_their_own_that_tells_how_much_is_left(people: People) -> None:
    person = await people.make()
    headers = {"Authorization": f"Bearer {person.rest.access_token}"}
    async with httpx2.AsyncClient(base_url=people.world.urls[0], headers=headers) as http:
        answer = await http.get("/v1/me")
        assert answer.headers["RateLimit-Policy"] == '"reads";q=1000;w=10'
        left = int(answer.headers["RateLimit"].split("r=")[1].split(";")[0])
        assert 990 <= left <= 1_000

        async def read() -> list[httpx2.Response]:
            return [await http.get("/v1/me") for _ in range(150)]

        answers = [answer for part in await asyncio.gather(*(read() for _ in range(20))) for answer in part]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused and {answer.status_code for answer in answers} == {200, 429}
        assert refused[0].json()["code"] == "rate_limited" and int(refused[0].headers["Retry-After"]) >= 1
        assert (await person.rest.post("/v1/chats", {"kind": "group", "member_ids": []}))["kind"] == "group", (
            "and no other"
        )


async def test_json_is_utf8_and_says_each_thing_once(people: People) -> None:
    person = await people.make()
    chat_id = await people.group(person, person)
    deep = '{"a":' * 500 + "1" + "}" * 500
    send = '{"client_message_id": "%s", "body": "x"%s}'
    cases: list[tuple[str, str, bytes, int, str]] = [
        ("POST", f"/v1/chats/{chat_id}/messages", (send % (new_id(), "")).encode("utf-16"), 400, "bad_json"),
        ("POST", f"/v1/chats/{chat_id}/messages", (send % (new_id(), "")).encode("utf-8-sig"), 400, "bad_json"),
        ("POST", f"/v1/chats/{chat_id}/messages", (send % (new_id(), ', "body": "y"')).encode(), 422, "invalid"),
        ("POST", f"/v1/chats/{chat_id}/messages", (send % (new_id(), ', "x": 1e999')).encode(), 422, "invalid"),
        ("PATCH", "/v1/me", f'{{"preferences": {deep}}}'.encode(), 422, "invalid"),
        ("PATCH", "/v1/me", f'{{"preferences": {deep[:33 * 5]}1{"}" * 33}}}'.encode(), 422, "invalid"),
        ("PATCH", "/v1/me", f'{{"preferences": {deep[:32 * 5]}1{"}" * 32}}}'.encode(), 200, ""),
    ]  # fmt: skip
    async with httpx2.AsyncClient(
        base_url=people.world.urls[0], headers={"Authorization": f"Bearer {person.rest.access_token}"}
    ) as http:
        for method, path, body, status, code in cases:
            answer = await http.request(method, path, content=body, headers={"Content-Type": "application/json"})
            assert (answer.status_code, answer.json().get("code", "")) == (status, code), body[:80]
    raw = await person.socket()
    for line in ('{"type":"ping","ref":"1","ref":"2"}', '{"type":"ping","ref":"3","x":' + "[" * 65 + "]" * 65 + "}"):
        await raw.socket.send(line)
        assert (await raw.expect("error"))["code"] == "invalid"
    await raw.close()


def masked(opcode: int, payload: bytes) -> bytes:
    return bytes([0x80 | opcode, 0x80 | 126]) + struct.pack("!H", len(payload)) + b"\0\0\0\0" + payload


async def test_who_asks_for_a_socket_and_says_nothing_of_it_is_let_go(people: People) -> None:
    """A connection that is no request, and one whose upgrade is good and that goes on with what is no frame."""
    url = people.world.urls[0]
    answer = await tell(url, UPGRADE + masked(3, b"x" * 200), 20)
    assert answer.startswith(b"HTTP/1.1 101")
    assert b"408" in await tell(url, b"GET / HTTP/1.1\r\nHost: x\r\n", 20)


async def test_who_only_says_that_he_is_signed_in_is_a_stranger(people: People) -> None:
    """Any header is no credential: reads without a token of ours have the budget of their address, registrations too have turns."""
    url = people.world.urls[0]
    async with httpx2.AsyncClient(base_url=url) as http:
        for headers in ({}, {"Authorization": "x"}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer a.b.c"}):
            answer = await http.get("/openapi.json", headers=headers)
            assert answer.status_code == 200 and answer.headers["RateLimit"].startswith('"reads";r=')
        before = int(answer.headers["RateLimit"].split("r=")[1].split(";")[0])
        await http.get("/openapi.json", headers={"Authorization": "Bearer x"})
        answer = await http.get("/asyncapi.json")
        assert int(answer.headers["RateLimit"].split("r=")[1].split(";")[0]) < before + 10
    anna = await people.make()
    raw = await Raw.open(url)
    await raw.socket.send(json.dumps({"type": "hello", "token": (anna.rest.access_token or "") + "x"}))
    assert await raw.closed() == 4401


async def test_a_request_behind_one_with_long_trailers_is_answered_for_itself(people: People) -> None:
    post = b"POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    host, _, port = people.world.urls[0].removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(post + b"2\r\n{}\r\n0\r\n" + b"a: 1234\r\n" * 4_000 + b"\r\n" + get)
    async with within(20):
        answer = await reader.read()
    writer.close()
    assert b"HTTP/1.1 422" in answer and b'{"status":"alive"}' in answer, answer[:200]
