"""Hundreds of inputs that nobody should send, each with the answer that the contract names for it; none is a 500, and the
service goes on. Those of requests are made from the documents' examples, so that a new one is in it by itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2

from app.adapters.wire.registry import request_examples
from stack.pace import within
from tests.scenarios.test_door import forged
from tests.scenarios.test_hostile_input import UPGRADE, tell
from tests.world import People, Raw, new_id

AN_ID = "0d9a1f0e-4c0b-7a6e-9f00-0123456789ab"
NO_ID: tuple[Any, ...] = (
    7,
    "",
    "x",
    AN_ID.upper(),
    AN_ID + "0",
    AN_ID[:-1] + "\u0000",
    AN_ID.replace("-", ""),
    [AN_ID],
    {},
)
NO_TEXT: tuple[Any, ...] = (7, True, [], {}, "a\u0000b")
NO_SEQ: tuple[Any, ...] = (-1, 1.5, "1", 2**63, True, [1])
LISTED = 250


def is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 36 and value.count("-") == 4


def spoiled(example: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(what is wrong, the request with it); its ref stays good."""
    found = [("a field too many", example | {"colour": "red"})]
    for name, value in example.items():
        if name in ("type", "ref"):
            continue
        wrong = NO_ID if is_id(value) else NO_SEQ if type(value) is int else NO_TEXT if isinstance(value, str) else (7,)
        found += [(f"{name}: {bad!r}", example | {name: bad}) for bad in wrong]
        if name not in ("reply_to", "command_id"):
            found.append((f"no {name}", {key: kept for key, kept in example.items() if key != name}))
    return found


async def test_each_request_of_the_socket_spoiled_in_each_field(people: People) -> None:
    person = await people.make()
    raw, tried = await person.socket(), 0
    for type_, example in request_examples().items():
        if type_ in ("hello", "ping", "auth.refresh"):
            continue
        cases = spoiled({"ref": "r"} | example)
        for what, frame in cases:
            await raw.send(frame)
            told = await raw.expect("error")
            assert (told["code"], told.get("ref")) == ("invalid", frame.get("ref")), (type_, what, told)
        tried += len(cases)
        await asyncio.sleep(len(cases) / 100)  # within the limit of requests
    assert tried >= LISTED and raw.socket.close_code is None
    assert (await raw.ask({"type": "ping"}))["type"] == "pong"
    await raw.close()


async def test_lines_that_are_no_requests(people: People) -> None:
    person = await people.make()
    raw = await person.socket()
    ping = '{"type":"ping","ref":"%s"}'
    for line, code, ref in (
        ("", "bad_json", None), ("x", "bad_json", None), ("{", "bad_json", None), ("'a'", "bad_json", None),
        ('{"type":"ping","ref":"1"', "bad_json", None), ('{"type":"ping" "ref":"1"}', "bad_json", None),
        ('{"type":"ping","ref":"1",}', "bad_json", None), ("NaN", "bad_json", None), ("[NaN]", "bad_json", None),
        ('{"type":"ping","ref":Infinity}', "bad_json", None), ("01", "bad_json", None), ("\ufeff{}", "bad_json", None),
        ('{"type":"ping","ref":"\t"}', "bad_json", None), ('"\\x"', "bad_json", None), ("\x00", "bad_json", None),
        ("1e999", "invalid", None), ("1" * 400, "invalid", None), ("null", "invalid", None), ("[]", "invalid", None),
        ('"ping"', "invalid", None), ("1", "invalid", None), ("{}", "invalid", None), ('{"ref":"1"}', "invalid", "1"),
        ('{"type":7,"ref":"1"}', "invalid", "1"), ('{"type":null,"ref":"1"}', "invalid", "1"),
        ('{"type":"","ref":"1"}', "unknown_type", "1"), ('{"type":"pong","ref":"1"}', "unknown_type", "1"),
        ('{"type":"PING","ref":"1"}', "unknown_type", "1"), ('{"type":"welcome","ref":"1"}', "unknown_type", "1"),
        ('{"type":"message.created","ref":"1"}', "unknown_type", "1"), ('{"type":"__class__","ref":"1"}', "unknown_type", "1"),
        ('{"type":"hello","ref":"1","token":"t"}', "invalid", "1"), ('{"type":"ping","type":"ping","ref":"1"}', "invalid", None),
        ('{"type":"ping"}', "invalid", None), (ping % "", "invalid", None), (ping % ("x" * 65), "invalid", None),
        (ping % "\\u0000", "invalid", None), (ping % "\\ud800", "invalid", None), ('{"type":"ping","ref":7}', "invalid", None),
        ("[" * 65 + "]" * 65, "invalid", None), ("[" * 50_000, "bad_json", None), ('{"a":' * 500 + "1" + "}" * 500, "invalid", None),
    ):  # fmt: skip
        await raw.socket.send(line)
        told = await raw.expect("error")
        if line == "[" * 50_000:  # not JSON, or nested too deeply: both are true
            assert told["code"] in ("bad_json", "invalid")
            continue
        assert (told["code"], told.get("ref")) == (code, ref), (line[:80], told)
    assert (await raw.ask({"type": "ping"}))["type"] == "pong"
    await raw.close()


async def test_hellos_that_are_none(people: People) -> None:
    url, person = people.world.urls[0], await people.make()
    token = person.rest.access_token
    cases: list[tuple[str | bytes, int]] = [
        ("", 4400), ("x", 4400), ("{}", 4400), ("[]", 4400), ('{"type":"ping","ref":"1"}', 4400), ('"hello"', 4400),
        ('{"type":"Hello"}', 4400), ('{"type":"hello","token":7}', 4400), ('{"type":"hello","colour":"red"}', 4400),
        ('{"type":"hello","resume":[]}', 4400), ('{"type":"hello","resume":{"chats":{"x":1}}}', 4400),
        (json.dumps({"type": "hello", "token": token, "resume": {"chats": {AN_ID: -1}}}), 4400),
        (json.dumps({"type": "hello", "token": token, "resume": {"chats": {AN_ID: "1"}}}), 4400),
        (json.dumps({"type": "hello", "token": token, "ticket": "t"}), 4400), ('{"type":"hello","type":"hello"}', 4400),
        ('{"type":"hello"}', 4401), ('{"type":"hello","token":""}', 4401), ('{"type":"hello","ticket":"x"}', 4401),
        ('{"type":"hello","token":"a.b.c"}', 4401), (b"\x00", 1003), (b"{}", 1003),
    ]  # fmt: skip
    for said, code in cases:
        raw = await Raw.open(url)
        await raw.socket.send(said)
        assert await raw.closed() == code, said


async def test_heads_that_are_none(people: People) -> None:
    url = people.world.urls[0]
    get = b"GET /v1/me HTTP/1.1\r\nHost: x\r\n"
    form = b"POST /v1/auth/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    cases: list[tuple[bytes, set[bytes]]] = [
        (b"\r\n\r\n\r\nGET\r\n\r\n", {b"400"}), (b"x" * 100 + b"\r\n\r\n", {b"400"}), (b"\x16\x03\x01\x02\x00", {b"400"}),
        (b"GET /v1/me\r\n\r\n", {b"400", b"401"}), (b"GET  /v1/me HTTP/1.1\r\n\r\n", {b"400", b"401"}), (b"GET /v1/me HTTP/9.9\r\n\r\n", {b"400"}),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {b"400"}), (b"BREW /v1/me HTTP/1.1\r\nHost: x\r\n\r\n", {b"400", b"405"}),
        (get + b"no colon\r\n\r\n", {b"400"}), (get + b"A : b\r\n\r\n", {b"400"}), (get + b"\x00: b\r\n\r\n", {b"400"}),
        (get + b"A: \x00\r\n\r\n", {b"400"}), (get + b" folded\r\n\r\n", {b"400"}),
        (get + b"A: " + b"x" * 40_000 + b"\r\n\r\n", {b"431"}), (get + b"A: b\r\n" * 8_000 + b"\r\n", {b"431"}),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {b"431"}),
        (get + b"\r\n", {b"401"}), (b"GET /v1/me HTTP/1.0\r\n\r\n", {b"401"}), (b"GET //v1/me HTTP/1.1\r\nHost: x\r\n\r\n", {b"404"}),
        (b"GET /v1/%00 HTTP/1.1\r\nHost: x\r\n\r\n", {b"404"}), (b"GET /v1/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", {b"404"}),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", {b"404"}), (b"GET /static/%2e%2e/pages.py HTTP/1.1\r\nHost: x\r\n\r\n", {b"404"}),
        (b"GET http://other/v1/me HTTP/1.1\r\nHost: x\r\n\r\n", {b"401", b"404"}), (b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", {b"400", b"404", b"405"}),
        (b"TRACE /v1/me HTTP/1.1\r\nHost: x\r\n\r\n", {b"405"}), (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {b"404", b"405"}),
        (form + b"Content-Length: x\r\n\r\n", {b"400"}), (form + b"Content-Length: -1\r\n\r\n", {b"400"}),
        (form + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {b"400"}), (form + b"Content-Length: 99999999999999999999\r\n\r\n", {b"400"}),
        (form + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", {b"400", b"422"}),
        (form + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", {b"400"}), (form + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", {b"400"}),
        (form + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", {b"400"}),
        (form + b"Transfer-Encoding: gzip\r\n\r\n", {b"400", b"422", b"501"}), (form + b"Content-Length: 0\r\n\r\n", {b"400", b"422"}),
        (form + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", {b"100", b"422"}),
        (UPGRADE.replace(b"Version: 13", b"Version: x"), {b"400"}), (UPGRADE.replace(b"GET", b"POST"), {b"400", b"405"}),
        (UPGRADE.replace(b"Upgrade: websocket", b"Upgrade: h2c"), {b"404", b"426"}),
        (UPGRADE.replace(b"/v1/ws", b"/v1/other"), {b"403", b"404"}), (UPGRADE.replace(b"/v1/ws", b"/v1/ws?token=t"), {b"400"}),
        (UPGRADE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), {b"400", b"426"}),
        (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: null"), {b"403"}), (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: https://evil"), {b"403"}),
        (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: http://x.evil"), {b"403"}), (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: http://x:81"), {b"403"}),
        (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: x"), {b"403"}), (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: file://"), {b"403"}),
        (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: http://X@x"), {b"403"}), (UPGRADE.replace(b"Host: x", b"Host: x\r\nOrigin: "), {b"403"}),
    ]  # fmt: skip
    wrong = []
    for head, good in cases:
        answer = await tell(url, head, 12)
        if not answer or answer.split(b" ")[1] not in good:
            wrong.append((head[:90], answer[:40]))
    assert wrong == [], "\n".join(map(str, wrong))


async def test_calls_that_are_none(people: People) -> None:
    """Bodies, ids, cursors, keys, forms and tokens."""
    person = await people.make()
    chat_id = await people.group(person)
    messages = f"/v1/chats/{chat_id}/messages"
    said = await person.rest.post(messages, {"client_message_id": new_id(), "body": "x"})
    good = {"client_message_id": AN_ID, "body": "x"}
    json_ = {"Content-Type": "application/json"}
    cases: list[tuple[str, str, Any, dict[str, str], tuple[int, str]]] = []

    def add(method: str, path: str, body: Any, status: int, code: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        cases.append((method, path, body, json_ | named, (status, code)))

    for what, request in spoiled(good):
        add("POST", messages, json.dumps(request), 422, "invalid")
        assert what
    for bad in ("x", "{", "[", "nul", "{'a': 1}", '{"a":1,}', "NaN", "\ufeff{}", '{"a":\t}'):
        add("POST", messages, bad, 400, "bad_json")
    for bad in ("", "[]", "1", '"x"', "null", "{}", '{"body":"x"}', '{"a":1e999}', "[" * 70 + "]" * 70):
        add("POST", messages, bad, 422, "invalid")
    for body, status, code in (("", 422, "empty"), (" \u200b\u00ad", 422, "empty"), ("x" * 8_001, 413, "too_large")):
        add("POST", messages, json.dumps(good | {"body": body}), status, code)
    add("POST", messages, json.dumps(good | {"body": "x" * 600_000}), 413, "too_large")
    for media in ("text/plain", "application/x-www-form-urlencoded", "", "application/jsonx", "multipart/form-data"):
        add("POST", messages, json.dumps(good), 415, "unsupported_media_type", Content_Type=media)
    for bad in ("x", "%00", AN_ID.upper(), AN_ID + "0", "%F0%9F%92%A9", "-1", "null"):
        for path in (f"/v1/chats/{bad}", f"/v1/chats/{chat_id}/messages/{bad}", f"/v1/users/{bad}"):
            add("GET", path, None, 422, "invalid")
    for name, bads in (
        ("limit", ("0", "-1", "101", "x", "1.5", "9" * 400, "")), ("after", ("-1", "x", "1.5", str(2**63), "")),
        ("before", ("-1", "x", str(2**64))),
    ):  # fmt: skip
        for bad in bads:
            add("GET", f"{messages}?{name}={bad}", None, 422, "invalid")
    for bad in ("", "x", "AAAA", "%00", "a" * 5_000, "é"):
        add("GET", f"/v1/chats?cursor={bad}", None, 422, "invalid")
        add("GET", f"/v1/me/sessions?cursor={bad}", None, 422, "invalid")
    for bad in ("", "x", "%00", "a" * 500):
        add("GET", f"/v1/search?q={bad}&chat_id=x", None, 422, "invalid")
    for bad in ("x", AN_ID.upper(), AN_ID + "0", "{}"):
        add("POST", "/v1/chats", '{"kind":"group"}', 422, "invalid", Idempotency_Key=bad)
    for emoji in ("a", "1", "%F0%9F%91%8Dx", "%20"):
        add("PUT", f"{messages}/{said['id']}/reactions/{emoji}", None, 422, "invalid")
    for field in ("password", "token", "access_token"):
        add("GET", f"/v1/me?{field}=x", None, *((400, "invalid") if "token" in field else (200, "")))
    for method, path in (("DELETE", "/v1/me"), ("PUT", messages), ("POST", "/v1/me"), ("PATCH", "/livez")):
        add(method, path, None, 405, "invalid")
    for path in ("/v1", "/v2/me", "/v1/nothing", "/.env", "/administrator", "/v1/chats/../me/x"):
        add("GET", path, None, 404, "not_found")
    headers = {"Authorization": f"Bearer {person.rest.access_token}"}
    async with httpx2.AsyncClient(base_url=people.world.urls[0], timeout=30) as http:
        wrong = []
        for method, path, body, more, expected in cases:
            content = body.encode() if body is not None else None
            answer = await http.request(method, path, content=content, headers=headers | more)
            told = (answer.status_code, answer.json().get("code", "") if answer.content else "")
            if told != expected:
                wrong.append((method, path[:120], str(body)[:80], more, told))
        assert wrong == [], "\n".join(map(str, wrong))
        for form, status, error in (
            ("", 400, "invalid_request"), ("grant_type=magic", 400, "unsupported_grant_type"), ("grant_type=password", 400, "invalid_request"),
            ("grant_type=password&username=x&password=%00", 400, "invalid_request"), ("grant_type=refresh_token", 400, "invalid_request"),
            ("grant_type=refresh_token&refresh_token=x", 400, "invalid_grant"), ("grant_type=password&username=%ff&password=x", 400, "invalid_grant"),
            ("grant_type=password&username=" + "x" * 9_000 + "&password=x", 400, "invalid_grant"),
        ):  # fmt: skip
            answer = await http.post(
                "/v1/auth/token", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
            )
            assert (answer.status_code, answer.json()["error"]) == (status, error), form[:80]
        tokens = [token for token in forged(person.rest.access_token or "", people.world.secret) if token.isprintable()]
        for token in tokens:
            answer = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}".strip()})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), token
        async with within(5):
            assert (await http.get("/livez")).status_code == 200
    assert len(cases) >= 115
