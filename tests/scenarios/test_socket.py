from __future__ import annotations

import asyncio
import json
import os
import socket as sockets
from pathlib import Path
from typing import Any

import pytest
import websockets

from stack.pace import paced
from tests.world import People, Raw, new_id


async def test_hello_three_ways_and_what_is_no_hello(people: People) -> None:
    anna = await people.make()
    url = people.world.urls[0]
    header = await Raw.open(url, additional_headers={"Authorization": f"Bearer {anna.rest.access_token}"})
    await header.send({"type": "hello"}, {"type": "ping", "ref": "p"})
    welcome = await header.expect("welcome")
    await header.expect("pong", ref="p")
    assert welcome["user"] == anna.rest.user and welcome["heartbeat_s"] == 20 and welcome["chats"] == []
    assert welcome["limits"]["body_max"] == 8000 and welcome["chats_more"] is False and welcome["epoch"]
    assert header.socket.subprotocol == "parley.v1"
    await header.close()
    token = anna.rest.access_token
    bad: list[tuple[str, int]] = [
        ("{}", 4400), ("not json", 4400), ('{"type":"ping","ref":"x"}', 4400), ('{"type":"hello","token":5}', 4400),
        (json.dumps({"type": "hello", "token": token, "resume": {"epoch": "e", "chats": {"no id": 1}}}), 4400),
        (json.dumps({"type": "hello", "token": token, "extra": 1}), 4400),
        ('{"type":"hello"}', 4401), ('{"type":"hello","token":"x"}', 4401), ('{"type":"hello","ticket":"x"}', 4401),
    ]  # fmt: skip
    for text, code in bad:
        raw = await Raw.open(url)
        await raw.socket.send(text)
        assert await raw.closed() == code, text
    raw = await Raw.open(url)
    await raw.socket.send(b"\x00")
    assert await raw.closed() == 1003
    raw = await Raw.open(url)
    assert await raw.closed(8) == 4408


async def test_origin_is_checked_before_the_upgrade(people: People) -> None:
    url = people.world.urls[0]
    host = url.removeprefix("http://")
    for origin in (f"http://{host}", f"https://{host}"):
        await (await Raw.open(url, origin=websockets.Origin(origin))).close()
    strangers = (
        "null", "http://evil.example", f"http://{host}.evil.example", "http://localhost:1", f"http://evil.example/{host}",
        f"http://{host}@evil.example", f"http://evil@{host}", f"ftp://{host}", f"//{host}", host, "http://[", "file://",
        f"http://{host}/", f"http://{host} http://evil.example", "*", "http://",
    )  # fmt: skip
    for origin in strangers:
        with pytest.raises(websockets.InvalidStatus) as caught:
            await Raw.open(url, origin=websockets.Origin(origin))
        assert caught.value.response.status_code == 403
    with pytest.raises(websockets.InvalidStatus) as caught:
        await Raw.open(url, path="/v1/ws?token=x")
    assert caught.value.response.status_code == 400


async def test_resume_gives_what_was_missed_then_synced(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id, other = await people.group(anna, bert), await people.group(anna, bert)
    client = await anna.client()
    first = await bert.socket(0)
    epoch = first.welcome["epoch"]
    await first.close()
    await asyncio.gather(*(client.send(chat_id, str(n)) for n in range(40)))
    missing = new_id()
    socket = await bert.socket(1, resume={"epoch": epoch, "chats": {chat_id: 1, other: 1, missing: 5}})
    heads = {chat["id"]: chat["head"] for chat in socket.welcome["chats"]}
    assert heads == {chat_id: 41, other: 1}
    assert (await socket.expect("synced", chat_id=chat_id))["head"] == 41
    assert (await socket.expect("synced", chat_id=other))["head"] == 1
    await socket.expect("gone", chat_id=missing)
    assert [f["seq"] for f in socket.seen if f["type"] == "message.created"] == list(range(2, 42))
    await client.send(chat_id, "live")
    assert (await socket.expect("message.created", seq=42))["message"]["body"] == "live"
    await socket.send({"type": "sync", "ref": "again", "chats": {chat_id: 40}})
    assert (await socket.expect("synced", ref="again"))["head"] == 42
    assert [f["seq"] for f in socket.seen if f["type"] == "message.created"][-2:] == [41, 42]


async def test_resume_that_cannot_be_served_is_reset(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id, again = await people.group(anna, bert), await people.group(anna, bert)
    client = await anna.client()
    first = await bert.socket()
    epoch = first.welcome["epoch"]
    await first.close()
    for sender in (client, await bert.client()):
        await asyncio.gather(*(sender.send(chat_id, str(n)) for n in range(255)))
    path = f"/v1/chats/{again}/members"
    await anna.rest.delete(f"{path}/{bert.id}")
    await anna.rest.post(path, {"user_id": bert.id})
    for resume, code in (
        ({"epoch": epoch, "chats": {chat_id: 1}}, "too_far"),
        ({"epoch": epoch, "chats": {chat_id: 10_000}}, "ahead"),
        ({"epoch": "another life", "chats": {chat_id: 511}}, "epoch"),
        ({"epoch": epoch, "chats": {again: 1}}, "rejoined"),
    ):
        socket = await bert.socket(resume=resume)
        reset = await socket.expect("reset")
        assert reset["code"] == code
        assert reset["head"] == {chat_id: 511, again: 3}[reset["chat_id"]]
        await socket.close()
    await client.send(again, "live goes on at head + 1")
    socket = await bert.socket(resume={"epoch": epoch, "chats": {again: 2}})
    await socket.expect("synced", chat_id=again)


async def test_bad_lines_fail_alone(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    socket = await anna.socket()
    send = {"type": "message.send", "chat_id": chat_id}
    good = json.dumps(send | {"ref": "good", "client_message_id": new_id(), "body": "fine"})
    await socket.socket.send("\n".join(["{broken", good, '{"type":"nonsense","ref":"n"}']))
    assert (await socket.expect("error", code="bad_json")).get("ref") is None
    assert (await socket.expect("error", ref="n"))["code"] == "unknown_type"
    await socket.expect("message.created", seq=2)
    bad: list[tuple[dict[str, Any] | str, str]] = [
        (send | {"client_message_id": new_id(), "body": ""}, "empty"),
        (send | {"client_message_id": new_id(), "body": " \u200b\n\t\u2060"}, "empty"),
        (send | {"client_message_id": new_id(), "body": "x" * 8001}, "too_large"),
        (send | {"client_message_id": new_id(), "body": "a\x00b"}, "invalid"),
        (send | {"client_message_id": "x", "body": "x"}, "invalid"),
        (send | {"client_message_id": new_id().upper(), "body": "x"}, "invalid"),
        (send | {"client_message_id": new_id(), "body": 5}, "invalid"),
        (send | {"client_message_id": new_id(), "body": "x", "colour": 1}, "invalid"),
        (send | {"client_message_id": new_id()}, "invalid"),
        ({"type": "reaction.add", "chat_id": chat_id, "message_id": new_id(), "emoji": "no"}, "invalid"),
        ({"type": "sync", "chats": {"x": 1}}, "invalid"),
        ({"type": "sync", "chats": {chat_id: -1}}, "invalid"),
        ({"type": "sync", "chats": {chat_id: 1.5}}, "invalid"),
        ({"type": "read.mark", "chat_id": chat_id, "seq": True}, "invalid"),
        ({"type": "auth.refresh", "token": "x"}, "unauthenticated"),
        ({"type": "hello", "token": "x"}, "invalid"),
        ({"type": "__class__"}, "unknown_type"),
        ({"type": "message.Send", "chat_id": chat_id}, "unknown_type"),
        ({"type": "welcome"}, "unknown_type"),
        (send | {"client_message_id": new_id(), "body": ["x"]}, "invalid"),
        (send | {"client_message_id": new_id(), "body": None}, "invalid"),
        (send | {"client_message_id": new_id(), "body": "x", "chat_id": chat_id + " "}, "invalid"),
        (send | {"client_message_id": new_id(), "body": "x", "reply_to": ""}, "invalid"),
        ({"type": "message.edit", "chat_id": chat_id, "message_id": new_id(), "body": "x" * 8001}, "too_large"),
        ({"type": "message.edit", "chat_id": chat_id, "message_id": "1", "body": "x"}, "invalid"),
        ({"type": "message.delete", "chat_id": chat_id}, "invalid"),
        ({"type": "reply.stop", "chat_id": chat_id, "message_id": 7}, "invalid"),
        ({"type": "sync", "chats": {chat_id: 2**63}}, "invalid"),
        ({"type": "sync", "chats": []}, "invalid"),
    ]  # fmt: skip
    for frame, code in bad:
        assert isinstance(frame, dict)
        answer = await socket.ask(frame)
        assert (answer["type"], answer["code"]) == ("error", code), frame
    surrogate = json.dumps(send | {"ref": "s", "client_message_id": new_id(), "body": "@@"}).replace("@@", "\\ud800")
    for text, code in (
        (surrogate, "invalid"), ('{"type":"ping","ref":NaN}', "bad_json"), ("[]", "invalid"), ("5", "invalid"),
        ('{"type":"ping"}', "invalid"), ('{"type":"ping","ref":""}', "invalid"), (f'{{"type":"ping","ref":"{"x" * 65}"}}', "invalid"),
        ("[" * 5000, "invalid"), ("[" * 3000 + "]" * 3000, "invalid"), ("", "bad_json"), ('{"type":5,"ref":"t"}', "invalid"),
    ):  # fmt: skip
        await socket.socket.send(text)
        assert (await socket.expect("error"))["code"] in (code, "bad_json" if text.startswith("[[") else code), text[
            :50
        ]
    assert (await anna.rest.get(f"/v1/chats/{chat_id}"))["head"] == 2
    await socket.socket.send("x" * 140_000)
    assert await socket.closed() == 1009


async def test_the_21st_socket_closes_the_oldest(people: People) -> None:
    anna = await people.make()
    opened = [await anna.socket(0) for _ in range(20)]
    await anna.socket(0)
    assert await opened[0].closed() == 4409
    assert (await opened[1].ask({"type": "ping"}))["type"] == "pong"


@pytest.mark.long
async def test_requests_over_the_limit_are_told_to_wait_then_cut_off(people: People) -> None:
    anna = await people.make()
    await people.group(anna)
    socket = await anna.socket()
    marks = [{"type": "sync", "ref": str(n), "chats": {}} for n in range(600)]
    for start in range(0, 600, 50):
        await socket.send(*marks[start : start + 50])
    limited = await socket.expect("error", code="rate_limited")
    assert limited["retry_after_ms"] > 0 and limited["ref"]
    assert (await socket.ask({"type": "ping"}))["type"] == "pong", "pings don't count"

    async def go_on() -> None:
        while True:
            await socket.send(*marks[:20])
            await asyncio.sleep(0.1)

    flood = asyncio.create_task(go_on())
    try:
        assert await socket.closed(25) == 4429
    finally:
        flood.cancel()


async def test_a_token_can_be_refreshed_on_the_socket(people: People) -> None:
    anna = await people.make()
    socket = await anna.socket()
    await anna.rest.refresh()
    answer = await socket.ask({"type": "auth.refresh", "token": anna.rest.access_token})
    assert answer["type"] == "ok" and 800 < answer["expires_in"] <= 900


@pytest.mark.long
async def test_a_socket_that_stops_reading_is_gone_and_others_go_on(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    chat_id = await people.group(anna, bert)
    client = await anna.client(0)
    url = people.world.urls[0]
    port = int(url.rpartition(":")[2])
    deaf = await Raw.open(url)
    await deaf.send({"type": "hello", "token": bert.rest.access_token})
    await deaf.expect("welcome")
    raw_socket: sockets.socket = deaf.socket.transport.get_extra_info("socket")
    local = raw_socket.getsockname()[1]
    deaf.socket.transport.pause_reading()
    role = people.world.role or people.world.stack.gateways[0]  # type: ignore[union-attr]
    assert _server_has(role.child.pid, port, local)

    async def gone() -> None:
        n = 0
        while _server_has(role.child.pid, port, local):
            n += 1
            await asyncio.gather(*(client.send(chat_id, "x" * 7900) for _ in range(20)))
            await asyncio.sleep(0.4)

    await asyncio.wait_for(gone(), paced(40))
    await asyncio.wait_for(client.send(chat_id, "still here"), paced(5))
    await deaf.close()


def _server_has(pid: int, server_port: int, client_port: int) -> bool:
    """Whether the process still holds its end of this connection among its open files."""
    inodes = set()
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == server_port and int(fields[2].split(":")[1], 16) == client_port:
            inodes.add(f"socket:[{fields[9]}]")
    held = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held.add(os.readlink(fd))
        except OSError:
            continue
    return bool(inodes & held)
