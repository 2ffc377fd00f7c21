"""What every REST call passes: bounds on requests, headers of answers, other origins, forged tokens, foreign ids."""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import time
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import httpx2
import jwt
import pytest

from parley_client import Problem
from stack.pace import within
from tests.scenarios.test_accounts import refused
from tests.scenarios.test_bounds_and_privacy import printed
from tests.world import PASSWORD, People, Raw, World, new_id, start_embedded, stop_embedded


async def spoken(url: str, sent: bytes, wait_s: float = 15) -> bytes:
    """What the server says to these bytes until it closes."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(sent)
        await writer.drain()
        async with within(wait_s):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_slow_and_oversize_requests_are_cut(world: World) -> None:
    url = world.urls[0]
    large = await spoken(url, b"GET /livez HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 40_000)
    assert large.startswith(b"HTTP/1.1 431 ") and b'"code":"too_large"' in large
    slow = await spoken(url, b"GET /livez HTTP/1.1\r\nhost: x\r\n")
    assert slow.startswith(b"HTTP/1.1 408 ") and b"problem+json" in slow
    head = b"POST /v1/auth/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
    body = b'{"username":"' + b"a" * 600_000
    answer = await spoken(url, head + b"content-length: 600013\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 413 ") and b'"code":"too_large"' in answer
    form = head.replace(b"application/json", b"application/x-www-form-urlencoded").replace(b"register", b"token")
    answer = await spoken(url, form + b"content-length: 600013\r\n\r\n" + body)
    assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 400 "))
    assert (await spoken(url, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    async with httpx2.AsyncClient() as http:
        assert (await http.get(f"{url}/livez")).status_code == 200


async def test_answers_say_what_a_browser_may_do_and_what_is_left_of_the_limit(people: People) -> None:
    anna = await people.make()
    got = await anna.rest.call("GET", "/v1/me")
    assert got.headers["x-content-type-options"] == "nosniff" and got.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert got.headers["ratelimit-policy"].startswith('"reads";q=')
    first = await anna.rest.call("POST", "/v1/ws-tickets")
    second = await anna.rest.call("POST", "/v1/ws-tickets")
    assert first.headers["ratelimit-policy"].startswith('"requests";q=') and second.headers["ratelimit"].startswith(
        '"requests";r='
    )


async def test_other_origins_read_answers_only_where_they_are_allowed() -> None:
    world = start_embedded({"ALLOWED_ORIGINS": "https://app.example", "REQUESTS_PER_S": "1"})
    people = People(world)
    anna = await people.make()
    async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
        for origin, good in (("https://app.example", True), ("https://evil.example", False), ("null", False)):
            ask = {
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            }
            flight = await http.options("/v1/chats", headers=ask)
            assert (flight.headers.get("access-control-allow-origin") == origin) is good, origin
            answer = await http.get("/v1/me", headers={"Origin": origin})
            assert answer.status_code == 401
            assert (answer.headers.get("access-control-allow-origin") == origin) is good, origin
        async with within(10):
            while True:
                headers = {"Authorization": f"Bearer {anna.rest.access_token}"}
                answer = await http.post("/v1/ws-tickets", headers=headers)
                if answer.status_code == 429:
                    break
    assert answer.json()["code"] == "rate_limited" and int(answer.headers["retry-after"]) >= 1
    assert answer.headers["ratelimit"].startswith('"requests";r=0;t=')
    await people.close()
    stop_embedded(world)


async def test_the_21st_socket_closes_the_oldest_wherever_it_is(people: People) -> None:
    anna = await people.make()
    sockets = [await anna.socket(n) for n in range(20)]
    await asyncio.sleep(0.2)
    newest = await anna.socket(1)
    assert await sockets[0].closed(5) == 4409
    for socket in (*sockets[1:], newest):
        assert (await socket.ask({"type": "ping"}))["type"] == "pong"


async def test_one_who_floods_is_held_back_and_the_others_are_not(people: People) -> None:
    flooder, anna, bert = [await people.make() for _ in range(3)]
    chat_id, other_id = await people.group(anna, bert), await people.group(flooder)
    client = await anna.client()

    async def round_trips() -> list[float]:
        times = []
        for _ in range(60):
            began = time.perf_counter()
            await client.send(chat_id, "words")
            times.append(time.perf_counter() - began)
        return times

    alone = await round_trips()
    raw = await flooder.socket()
    stop = asyncio.Event()

    async def flood() -> None:
        line = {"type": "message.send", "chat_id": other_id, "body": "flood " * 100}
        while not stop.is_set() and raw.socket.close_code is None:
            await raw.send(*(line | {"ref": "f", "client_message_id": new_id()} for _ in range(50)))
            await asyncio.sleep(0.02)

    flooding = asyncio.create_task(flood())
    reading = asyncio.create_task(raw.closed(60))
    async with within(20):
        while not any(frame["type"] == "error" for frame in raw.seen):
            await asyncio.sleep(0.05)
    beside = await round_trips()
    stop.set()
    await flooding
    reading.cancel()
    codes = [frame["code"] for frame in raw.seen if frame["type"] == "error"]
    assert codes and set(codes) == {"rate_limited"}
    p99 = [statistics.quantiles(times, n=100)[-1] for times in (alone, beside)]
    print(f"p99 of a send: {p99[0] * 1000:.0f} ms alone, {p99[1] * 1000:.0f} ms beside a flood")
    assert p99[1] < 1, "held back with the one who floods"


def claims_of(token: str) -> dict[str, Any]:
    said: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return said


def signed(token: str, secret: str, **changes: Any) -> str:
    """As the service signs, with these claims changed."""
    key = sha256(b"parley access token\x00" + secret.encode()).digest()
    kid = jwt.get_unverified_header(token)["kid"]
    return jwt.encode({**claims_of(token), **changes}, key, algorithm="HS256", headers={"kid": kid})


def forged(token: str, secret: str) -> list[str]:
    """Forty tokens, each wrong in its own way, none of which may let anybody in. The last ten are signed rightly."""
    head, claims, mac = token.split(".")
    said = claims_of(token)
    kid = jwt.get_unverified_header(token)["kid"]
    key = sha256(b"parley access token\x00" + secret.encode()).digest()

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    made = [
        "", " ", ".", "..", "a.b.c", token[:-1], token + "A", f"{head}.{claims}.", f"{head}.{claims}", f".{claims}.{mac}",
        f"{head}..{mac}", token[::-1], token.swapcase(), "Bearer", f"{head}.{claims}.{mac}.{mac}", "\x7f", "a" * 5_000,
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{claims}.", f"{part({'alg': 'none', 'kid': kid})}.{claims}.{mac}",
        f"{part({'alg': 'HS512', 'kid': kid})}.{claims}.{mac}", f"{part({'alg': 'RS256', 'kid': kid})}.{claims}.{mac}",
        f"{part({'alg': 'HS256'})}.{claims}.{mac}", f"{part({'alg': 'HS256', 'kid': '../../etc/passwd'})}.{claims}.{mac}",
        f"{part({'alg': 'HS256', 'kid': [kid]})}.{claims}.{mac}", f"{part({'alg': 'HS256', 'kid': None})}.{claims}.{mac}",
        f"{part({'alg': ['HS256'], 'kid': kid})}.{claims}.{mac}", f"{part([])}.{claims}.{mac}",
        f"{head}.{part({**said, 'role': 'operator'})}.{mac}", f"{head}.{part({**said, 'sub': new_id()})}.{mac}",
        f"{head}.{part({**said, 'exp': 2**62})}.{mac}",
    ]  # fmt: skip
    for change in (
        {"exp": None}, {"exp": 1}, {"exp": "x"}, {"iss": "other"}, {"aud": "other"}, {"sub": "x"}, {"sid": "x"}, {"iat": 2**40},
    ):  # fmt: skip
        made.append(signed(token, secret, **change))
    for missing in ("sub", "sid"):
        less = {name: value for name, value in said.items() if name != missing}
        made.append(jwt.encode(less, key, algorithm="HS256", headers={"kid": kid}))
    return made


async def test_forty_forged_tokens_let_nobody_in(people: People) -> None:
    anna, ben = await people.make(), await people.make()
    token, theirs = anna.rest.access_token or "", ben.rest.access_token or ""
    tokens = forged(token, people.world.secret)
    assert len(tokens) == 40
    tokens.append(signed(token, people.world.secret, sid=claims_of(theirs)["sid"]))  # a session that lives, another's
    async with httpx2.AsyncClient(base_url=people.world.urls[0]) as http:
        for token in filter(str.isprintable, map(str.strip, tokens)):
            answer = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}".strip()})
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), token
            assert answer.headers["www-authenticate"].startswith("Bearer")
    for token in tokens:
        raw = await Raw.open(people.world.urls[0])
        await raw.send({"type": "hello", "token": token})
        assert await raw.closed() == 4401, token
    said = await printed(people.world)
    assert [token for token in tokens if len(token) > 40 and token in said] == []


BODIES: list[tuple[str, bytes | str, str]] = [
    ("application/json", b"", "invalid"),
    ("application/json", b"{", "bad_json"),
    ("application/json", b"\xff\xfe", "bad_json"),
    ("application/json", '{"client_message_id": NaN}', "bad_json"),
    ("application/json", "[" * 100_000, "invalid"),
    ("application/json", "[]", "invalid"),
    ("application/json", "null", "invalid"),
    ("application/json", '"text"', "invalid"),
    ("application/json", '{"body": "x"}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": 5}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": null}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": "a\\u0000b"}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": "\\ud800"}', "invalid"),
    ("application/json", '{"client_message_id": "{ID}", "body": "x"}', "invalid"),
    ("application/json", '{"client_message_id": "x", "body": "x"}', "invalid"),
    ("application/json", '{"client_message_id": 1e999, "body": "x"}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": "x", "colour": 1}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": "x", "reply_to": "no"}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": "x", "reply_to": "{id}"}', "invalid"),
    ("application/json", '{"client_message_id": "{id}", "body": ""}', "empty"),
    ("application/json", '{"client_message_id": "{id}", "body": " \\u200b\\n"}', "empty"),
    ("application/json", json.dumps({"client_message_id": "{id}", "body": "x" * 8001}), "too_large"),
    ("text/plain", '{"client_message_id": "{id}", "body": "x"}', "unsupported_media_type"),
    ("", '{"client_message_id": "{id}", "body": "x"}', "unsupported_media_type"),
    ("application/xml", "<a/>", "unsupported_media_type"),
]


async def test_bad_bodies_get_their_code_and_leave_nothing(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    path = f"/v1/chats/{chat_id}/messages"
    for media_type, body, code in BODIES:
        content = body if isinstance(body, bytes) else body.replace("{id}", new_id()).replace("{ID}", new_id().upper())
        headers = {"Content-Type": media_type} if media_type else {}
        problem = await refused(anna.rest.call("POST", path, content=content, headers=headers))
        assert problem.code == code, body[:80]
        assert set(problem.body) >= {"type", "title", "status", "detail", "code"} and problem.status < 500
    assert (await anna.rest.get(f"/v1/chats/{chat_id}"))["head"] == 1


async def test_ids_of_other_chats_and_no_ids_at_every_call(people: People) -> None:
    """Each call of the OpenAPI document with ids of somebody else's things, and with what is no id."""
    anna, stranger = await people.make(), await people.make()
    chat_id = await people.group(anna)
    message = await anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "secret"})
    names = {
        "chat_id": chat_id,
        "message_id": message["id"],
        "user_id": anna.id,
        "emoji": "👍",
        "session_id": new_id(),
        "report_id": new_id(),
        "prompt_id": new_id(),
        "act": "mute",
        "key_id": new_id(),
        "provider_id": "none",
        "code": "none",
        "external_id": "none",
    }
    named_freely = ("{provider_id}", "{code}", "{external_id}")
    document = (await anna.rest.call("GET", "/openapi.json", signed=False)).json()
    tried = 0
    for path, methods in document["paths"].items():
        if "{" not in path or path.startswith("/v1/users"):
            continue
        for method, operation in methods.items():
            for ids, codes in ((names, {"not_found", "not_allowed"}), (dict.fromkeys(names, "no-id"), {"invalid"})):
                if any(name in path for name in named_freely):
                    codes = {"not_found", "not_allowed"}
                with pytest.raises(Problem) as caught:
                    body = _body_of(operation, document["components"]["schemas"])
                    await stranger.rest.call(method.upper(), path.format(**ids), json=body)
                assert caught.value.code in codes and caught.value.status in (403, 404, 422), (method, path)
                assert "secret" not in str(caught.value.body)
                tried += 1
    assert tried > 40
    assert (await anna.rest.get(f"/v1/chats/{chat_id}"))["head"] == 2
    await anna.rest.sign_in(anna.name, PASSWORD)


def _body_of(operation: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """The document's own example."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return schemas[name]["examples"][0] if name else None
