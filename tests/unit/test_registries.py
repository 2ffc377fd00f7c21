"""No subject is forgotten anywhere: what stands in one registry stands in all that go with it."""

from __future__ import annotations

import csv
import dataclasses
import inspect
import re
import tomllib
import typing
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

import app.adapters.wire
import app.application.ports
import app.domain
from app.adapters.policy.cedar import CedarPolicies
from app.adapters.rest import openapi
from app.adapters.wire import registry, socket
from app.adapters.wire.values import type_of
from app.application.ports.socket import Codec
from app.domain import chats, decide, messages, provisioning, replies
from app.domain.events import EventKind
from app.domain.values import Message
from app.infrastructure import doors
from app.infrastructure.wiring import POLICIES
from tests import actions as c
from tests.unit.memory import CHATS, USERS, MemoryStore

ROOT = Path(__file__).parents[2]
INTERNAL: set[Any] = {
    replies.CompleteReply,
    replies.ExpireReply,
    replies.SpeakUp,
    chats.NameChat,
    provisioning.ImportMessage,
}
"""Commands of our own processes: asked by no door, and no policy refuses them."""
BY_REST_ALONE = {
    "chat.create", "chat.update", "member.add", "member.update", "member.remove", "member.ban", "member.unban",
    "chat.moderate", "chat.provision", "message.post",
}  # fmt: skip
"""Commands that the socket doesn't take."""
BY_OTHER_NAME = {
    "member.remove": {"member.remove", "member.leave"},
    "member.unban": {"member.ban"},
    "chat.provision": {"server.use"},
    "message.post": {"server.use"},
}
"""Commands that ask the policies another question than their own type."""


def modules(package: Any) -> set[str]:
    return {path.stem for path in Path(package.__file__).parent.glob("*.py")}


def test_every_action_of_the_domain_has_its_rule() -> None:
    found = {
        value
        for name in modules(app.domain)
        for value in vars(__import__(f"app.domain.{name}", fromlist=[name])).values()
        if inspect.isclass(value) and "type" in vars(value) and hasattr(value, "needs") and value.__name__ != "Action"
        if not value.__name__.startswith("Unknown")
    }
    assert found == set(decide.RULES) == set(decide.ACTIONS.values())


@pytest.mark.parametrize("action", decide.ACTIONS.values(), ids=lambda action: action.type)
def test_a_command_is_in_the_policies_in_the_matrix_and_in_the_contract(action: Any) -> None:
    if action in INTERNAL:
        return
    cedar, protocol = CedarPolicies(POLICIES), (ROOT / "docs" / "protocol.md").read_text()
    rows = list(csv.DictReader(line for line in (POLICIES / "matrix.csv").open() if not line.startswith("#")))
    asked = BY_OTHER_NAME.get(action.type, {action.type})
    for name in asked:
        assert cedar.knows(name), f"{name} is missing in policies/schema.cedarschema"
    in_matrix = {row["action"].partition(" ")[0] for row in rows} | {"chat.create", "server.use"}
    assert asked & in_matrix, f"{action.type} is missing in policies/matrix.csv"
    group, _, verb = action.type.partition(".")
    assert re.search(rf"(?<![a-z.]){group}\.(\w+/)*{verb}(?![a-z])", protocol), (
        f"docs/protocol.md does not name {action.type}"
    )
    on_socket = action.type in registry.COMMANDS
    doors = [*(ROOT / "app" / "adapters" / "rest").glob("*.py"), *(ROOT / "app" / "application").glob("*.py")]
    by_rest = any(re.search(rf"\b{action.__name__}\(", path.read_text()) for path in doors)
    assert by_rest, f"{action.type} has no route in app/adapters/rest"
    if on_socket:
        assert f"### `{action.type}`" in protocol, f"docs/protocol.md has no section on {action.type}"


@pytest.mark.parametrize("name", sorted(decide.EVENTS))
def test_an_event_has_its_public_shape_an_example_and_its_words(name: str) -> None:
    assert name in registry.EVENTS, f"{name} has no shape in app/adapters/wire"
    shape = registry.EVENTS[name]
    assert shape.example and type_of(shape.shape) == name
    protocol = (ROOT / "docs" / "protocol.md").read_text()
    assert re.search(rf"(?<![a-z.]){re.escape(name)}(?![a-z])", protocol), f"docs/protocol.md does not name {name}"
    assert len(name) <= 32, "a column of the store"


def test_no_shape_is_of_an_event_that_does_not_happen() -> None:
    assert set(registry.EVENTS) == set(decide.EVENTS)
    internal = {action.type for action in INTERNAL}
    assert set(registry.COMMANDS) == set(decide.ACTIONS) - internal - BY_REST_ALONE


def test_every_subject_of_the_wire_is_merged_and_no_shape_stands_outside() -> None:
    shown = {s.shape for s in (*registry.ANSWERS.values(), *registry.SIGNALS.values())}
    shown |= {e.shape for e in registry.EVENTS.values()}
    models = {c.model for c in registry.COMMANDS.values()} | {r.model for r in socket.REQUESTS}
    for name in modules(app.adapters.wire) - {"__init__", "values"}:
        module = __import__(f"app.adapters.wire.{name}", fromlist=[name])
        for value in vars(module).values():
            if not inspect.isclass(value) or value.__module__ != module.__name__:
                continue
            hint = getattr(value, "__annotations__", {}).get("type")
            if hint is not None and "Literal" in str(hint):
                assert value in shown | models, f"{name}.{value.__name__} is in no registry"


@pytest.mark.parametrize("request_", socket.REQUESTS, ids=lambda request: request.type)
def test_every_request_of_the_socket_is_served(request_: Any) -> None:
    if request_ is socket.HELLO:
        return
    source = (ROOT / "app" / "adapters" / "websocket" / "connection.py").read_text()
    assert f"case {request_.model.__name__}():" in source, f"nothing is done for {request_.type}"


def test_every_file_of_rest_and_of_the_pages_is_opened_and_its_tag_has_words() -> None:
    found = [
        module
        for folder in ("rest", "pages")
        for name in modules(import_module(f"app.adapters.{folder}")) - {"__init__"}
        if hasattr(module := import_module(f"app.adapters.{folder}.{name}"), "router")
    ]
    assert set(found) == set(doors.ROUTED), "named in app/infrastructure/doors.py"
    tags = {tag for module in found for tag in module.router.tags}
    assert tags <= dict(openapi.TAGS).keys(), "named in app/adapters/rest/openapi.py"


def test_no_room_of_the_adapters_knows_another() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [independent] = [contract["modules"] for contract in contracts if contract["type"] == "independence"]
    folders = {path.parent.name for path in (ROOT / "app" / "adapters").glob("*/__init__.py")} - {"wire"}
    assert set(independent) == {f"app.adapters.{name}" for name in folders}, "the contract in pyproject.toml"


@pytest.mark.parametrize("action", c.EXAMPLES, ids=lambda action: action.type)
def test_what_an_action_makes_is_what_it_costs(action: Any) -> None:
    """Chats and memberships are limited by the hour: an action that makes some says so in COSTS of its subject."""
    store = MemoryStore(9)
    if not isinstance(action, chats.CreateChat):
        store.do(CHATS[0], USERS[0], chats.CreateChat("group", None, ()))
    for name in ("user_id", "member_ids"):  # people that there are
        if hasattr(action, name):
            action = dataclasses.replace(action, **{name: USERS[1] if name == "user_id" else (USERS[1], USERS[2])})
    before = (len(store.state.chats), len(store.state.members))
    store.do(CHATS[0], USERS[0], action)
    made = (len(store.state.chats) - before[0], max(0, len(store.state.members) - before[1]))
    cost = decide.cost_of(action)
    assert (cost.chats, cost.members) == (made[0], made[1] - made[0]), "one's own membership costs nothing"


def test_an_action_of_a_command_is_what_its_model_says() -> None:
    for name, command in registry.COMMANDS.items():
        request = command.model.model_validate({"type": name, **command.example})
        action = command.action(request)
        assert type(action) is decide.ACTIONS[name]
        for field in dataclasses.fields(typing.cast(Any, action)):
            if field.name in command.example:
                assert getattr(action, field.name) == command.example[field.name]


def test_two_subjects_cannot_have_one_name() -> None:
    before = dict(decide.ACTIONS), dict(decide.EVENTS)

    @dataclasses.dataclass(frozen=True)
    class Other:
        type: typing.ClassVar[str] = messages.SendMessage.type

    from types import SimpleNamespace as Subject

    with pytest.raises(ValueError, match=r"message\.send"):
        decide.add_subject(Subject(ACTIONS={Other: None}, EVENTS=()))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"message\.created"):
        decide.add_subject(Subject(ACTIONS={}, EVENTS=(EventKind("message.created", Message),)))  # type: ignore[arg-type]
    assert before == (decide.ACTIONS, decide.EVENTS)


def test_every_method_of_a_port_has_its_contract() -> None:
    ports = [import_module(f"app.application.ports.{name}") for name in modules(app.application.ports)]
    protocols = [
        value
        for port in ports
        for value in vars(port).values()
        if inspect.isclass(value) and getattr(value, "_is_protocol", False) and value.__module__ == port.__name__
    ]
    assert len(protocols) > 15
    for protocol in protocols:
        for name, method in vars(protocol).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                assert inspect.getdoc(method), f"{protocol.__name__}.{name} says nothing of what it promises"


def test_the_codec_says_all_that_the_core_may_say() -> None:
    from app.adapters.wire.encoder import JsonCodec

    for name, method in inspect.getmembers(Codec, inspect.isfunction):
        if name.startswith("_"):
            continue
        ours = inspect.signature(getattr(JsonCodec, name))
        assert list(ours.parameters) == list(inspect.signature(method).parameters), name


def test_what_a_route_depends_on_is_no_threads_work() -> None:
    """FastAPI calls a plain function in a thread: a hop for each request, and a thread's memory for each at once."""

    def is_async(call: Any) -> bool:
        return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)

    def depended_on(dependant: Any) -> Iterator[Any]:
        for one in dependant.dependencies:
            yield one.call
            yield from depended_on(one)

    routes = [route for door in doors.ROUTED for route in door.router.routes if isinstance(route, APIRoute)]
    calls = [call for route in routes for call in (route.endpoint, *depended_on(route.dependant))]
    assert len(routes) > 40 and len(set(calls)) > len(routes)
    assert [call for call in calls if not is_async(call)] == []
