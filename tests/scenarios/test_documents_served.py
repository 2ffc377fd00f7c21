"""The pages and the two documents: offline, complete, true. Every frame that any test here gets is held against AsyncAPI."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.adapters.pages.asyncapi import asyncapi
from app.adapters.wire import examples, registry
from app.domain.errors import CODES
from stack.parley import ROOT
from tests.world import People, Person, World, assert_documented, new_id

PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


async def fetched(world: World, path: str) -> httpx2.Response:
    async with httpx2.AsyncClient(base_url=world.urls[0]) as http:
        return await http.get(path)


async def test_pages_are_whole_and_name_nothing_outside(world: World) -> None:
    seen, todo = set(), ["/", "/about", "/docs", "/docs/ws", "/docs/protocol"]
    while todo:
        path = todo.pop()
        seen.add(path)
        answer = await fetched(world, path)
        assert answer.status_code == 200, path
        if "html" not in answer.headers["content-type"]:
            continue
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        for target in re.findall(r'(?:src|href)="?([^" >]+)', answer.text):
            assert target.startswith(("/", "#")), f"{path} names {target}"
            if target.startswith("/") and target not in seen:
                todo.append(target)
    assert {"/static/swagger-ui-bundle.js", "/openapi.json", "/asyncapi.json", "/metrics"} <= seen
    assert (await fetched(world, "/static/../pages.py")).status_code == 404


EMPTY = ("/password-forgotten", "/backchannel-logout")
"""Calls whose answer has nothing in it."""


async def test_every_call_has_a_summary_its_errors_and_examples(world: World) -> None:
    document = (await fetched(world, "/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    flow = document["components"]["securitySchemes"]["bearer"]["flows"]["password"]
    assert flow["tokenUrl"] == "/v1/auth/token"
    schemas = document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            name = f"{method} {path}"
            assert operation["summary"], name
            if not path.startswith("/v1/"):
                continue
            assert {"503"} <= set(operation["responses"]), name
            if not path.startswith("/v1/auth/") or path == "/v1/auth/logout":
                assert "401" in operation["responses"] and operation["security"], name
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" in body:
                assert schemas[body["$ref"].rpartition("/")[2]]["examples"], name
            for status, response in operation["responses"].items():
                media = response.get("content", {})
                if status[0] in "45" and path != "/v1/auth/token":
                    assert list(media) == ["application/problem+json"], f"{name} {status}"
                    assert any(f"`{code}`" in response["description"] for code in CODES), name
                elif status not in ("204", "302") and not path.endswith(EMPTY):
                    [schema] = [m["schema"] for m in media.values() if m] or [{"missing": name}]
                    assert schema not in ({}, {"missing": name}), f"{name} {status} has no schema"
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(schemas)


def without_names(call: str) -> str:
    return re.sub("{[a-z_]*id}", "{id}", call).rstrip(",")


def calls_of(text: str) -> set[str]:
    """METHOD PATH of every call that has a section of its own."""
    return {without_names(call) for call in re.findall(r"^### `([A-Z]+ /[^`?]*)", text, re.MULTILINE)}


async def test_rest_is_what_the_contract_says(world: World) -> None:
    document = (await fetched(world, "/openapi.json")).json()
    served = {
        without_names(f"{method.upper()} {path}")
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert calls_of(PROTOCOL) == served


async def test_the_socket_is_what_the_contract_says(world: World) -> None:
    document = (await fetched(world, "/asyncapi.json")).json()
    assert document == json.loads(json.dumps(asyncapi())) and document["asyncapi"] == "3.0.0"
    keys = set(document["components"]["messages"])
    assert {key[8:] for key in keys if key.startswith("request.")} == set(registry.socket_requests())
    for key in keys:
        assert _named(key.partition(".")[2]), f"the contract does not name {key}"
    section = PROTOCOL[PROTOCOL.index("## The socket") :]
    arrows = set(re.findall(r'← `{"type":"([a-z.]+)"', section))
    assert set(re.findall(r"^### `([a-z.]+)`$", section, re.MULTILINE)) == {
        k[8:] for k in keys if k.startswith("request.")
    }
    assert arrows <= {key[6:] for key in keys if key.startswith("frame.")}
    page = (await fetched(world, "/docs/ws")).text
    for key in keys:
        assert f'id="{key}"' in page


def _named(name: str) -> bool:
    """Also where the contract shortens: `reaction.add / reaction.remove`, `message.edited | …`."""
    return re.search(rf"(?<![a-z.]){re.escape(name)}(?![a-z])", PROTOCOL) is not None


def test_examples_of_frames_and_requests_are_good_ones() -> None:
    for name, example in registry.frame_examples().items():
        assert example["type"] == name
        assert_documented(example)
    for name, example in registry.request_examples().items():
        registry.socket_requests()[name].model_validate(example)


async def test_the_requests_of_the_document_run(people: People) -> None:
    """Each request's example, with the ids of real things, gets one of the answers that the document names."""
    scene = await Scene.make(people)
    for name, example in registry.request_examples().items():
        if name == "hello":
            continue
        socket = await scene.anna.socket()
        frame = scene.real(example)
        await socket.send(frame)
        if answers := registry.request_answers()[name]:
            answer = await socket.until(lambda f, r=frame["ref"]: f.get("ref") == r)  # type: ignore[misc]
            assert answer["type"] in answers and answer["type"] != "error", (name, answer)
        await socket.close()


class Scene:
    """A group of two with a message and an answered question, which stand for the ids of the examples."""

    def __init__(self, anna: Person, ids: dict[str, str]) -> None:
        self.anna, self._ids = anna, ids

    @classmethod
    async def make(cls, people: People) -> Scene:
        anna, ben = await people.make("anna"), await people.make("ben")
        chat_id = await people.group(anna, ben)
        path = f"/v1/chats/{chat_id}/messages"
        message = await anna.rest.post(path, {"client_message_id": new_id(), "body": "Shall we start?"})
        client = await anna.client()
        await client.send(chat_id, "@assistant one sentence")
        ends = await client.wait_for(
            lambda: [e["message"] for e in client.chats[chat_id].events if e["type"] == "message.completed"], 20
        )
        ids = {examples.ANNA: anna.id, examples.BEN: ben.id, examples.CHAT: chat_id, examples.MESSAGE: message["id"]}
        ids |= {examples.REPLY: ends[0]["id"], examples.SEND_ID: new_id(), examples.COMMAND: new_id()}
        return cls(anna, ids)

    def real(self, example: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(example)
        for old, new in self._ids.items():
            text = text.replace(old, new)
        made: dict[str, Any] = json.loads(text)
        if "token" in made:
            made["token"] = self.anna.rest.access_token
        return made


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20),
    st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from(["\x00", "\u202e", "x" * 9000, "👍", "00000000-0000-0000-0000-000000000000", 2**63, -1, 1e300]),
)  # fmt: skip


@st.composite
def broken_requests(draw: st.DrawFn) -> dict[str, Any]:
    """A request of the document with some of its fields changed, left out or added."""
    frame = dict(draw(st.sampled_from([r for name, r in registry.request_examples().items() if name != "hello"])))
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from([*frame, "extra", "ref", "type"]))
        if draw(st.booleans()):
            frame[name] = draw(ODD)
        else:
            frame.pop(name, None)
    return frame


async def test_no_frame_undocumented_whatever_is_sent(people: People) -> None:
    scene = await Scene.make(people)
    socket = await scene.anna.socket()
    frames: list[dict[str, Any]] = []

    @settings(
        max_examples=300, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(broken_requests())
    def generate(frame: dict[str, Any]) -> None:
        frames.append(frame)

    generate()
    for number, frame in enumerate(frames):
        await socket.send(scene.real(frame))
        if number % 20 == 19:
            assert (await socket.ask({"type": "ping"}))["type"] == "pong", "the socket lives, whatever it was sent"
    await socket.settle()
    errors = [f["code"] for f in socket.seen if f["type"] == "error"]
    assert len(errors) > 50 and "internal" not in errors


NOT_IN_A_SCHEMA = [positive_data_acceptance]
"""Rules that no schema can say (a direct chat takes one other person) refuse what a schema allows: a documented 422."""


async def test_schemathesis_finds_nothing_undocumented(embedded: World) -> None:
    people = People(embedded)
    anna = await people.make()
    await people.group(anna)
    schema = schemathesis.openapi.from_url(f"{embedded.urls[0]}/openapi.json")
    headers = {"Authorization": f"Bearer {anna.rest.access_token}"}
    failures: list[str] = []
    tried = 0
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if operation.path in ("/v1/auth/logout", "/v1/me/password", "/v1/auth/token"):
            continue  # they end the session, or lock the name that all others use

        @settings(
            max_examples=8,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def run(case: Any) -> None:
            nonlocal tried
            tried += 1
            response = case.call(headers=headers)
            try:
                case.validate_response(response, excluded_checks=NOT_IN_A_SCHEMA)
            except Exception as error:
                failures.append(f"{case.method} {case.formatted_path} {response.status_code}: {str(error)[:600]}")

        await asyncio.to_thread(run)
    assert tried > 300
    assert failures == [], "\n\n".join(failures[:5])
    await people.close()
