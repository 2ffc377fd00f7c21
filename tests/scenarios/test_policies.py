"""Rules of one's own: the examples, what a host says of people, and changes while the service runs."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.adapters.policy.cedar import CedarPolicies, PolicyError
from app.application.authorize import Pep
from app.domain.policy import AssistantFacts, Question
from app.infrastructure.wiring import POLICIES
from parley_client import Problem, Rest
from stack.pace import paced
from stack.servers import Servers
from tests.scenarios.test_accounts import operator, refused
from tests.scenarios.test_server_api import Host
from tests.world import People, Person, World, new_id, start_embedded, start_real, stop_embedded

DECLARED = "type Attributes = {\n  staff?: Bool, guest?: Bool, department?: String,\n};"
SPEED = """
@id("{name}")
@code("not_allowed")
@reason("{name}")
forbid (principal, action == Action::"message.send", resource);
"""


def folder_with(folder: Path, *examples: str) -> Path:
    """The policies as they are, with these beside, and attributes declared."""
    folder.mkdir()
    for file in (*POLICIES.glob("*.cedar"), *POLICIES.glob("*.cedarschema")):
        shutil.copy(file, folder)
    for name in examples:
        shutil.copy(POLICIES / "examples" / f"{name}.cedar", folder)
    schema = folder / "schema.cedarschema"
    text = schema.read_text()
    assert "type Attributes = {\n};" in text
    schema.write_text(text.replace("type Attributes = {\n};", DECLARED))
    return folder


def asked(policies: CedarPolicies, action: str, **facts: Any) -> tuple[bool, tuple[str, ...]]:
    given: dict[str, Any] = {"role": "owner", "chat_kind": "group", "hour": 12} | facts
    answer = Pep(policies).ask(Question(action, **given))
    return answer.allowed, answer.policies


def test_guests_are_where_they_are_brought(tmp_path: Path) -> None:
    policies = CedarPolicies(folder_with(tmp_path / "p", "guests"))
    guest, other = {"person": (("guest", True),)}, {"person": (("guest", False),)}
    for action in ("chat.create", "member.add"):
        allowed, by = asked(policies, action, new_role="member", **guest)
        assert not allowed and by[0].startswith("guests-"), by
        for facts in (other, {}):
            assert asked(policies, action, new_role="member", **facts)[0]
    for action in ("chat.read", "message.send"):
        assert asked(policies, action, **guest)[0]


def test_only_staff_asks(tmp_path: Path) -> None:
    policies = CedarPolicies(folder_with(tmp_path / "p", "staff_asks"))
    everyone = AssistantFacts(asked_by="everyone")
    assert asked(policies, "assistant.ask", assistant=everyone, person=(("staff", True),))[0]
    for person in ((), (("staff", False),), (("department", "staff"),)):
        assert asked(policies, "assistant.ask", assistant=everyone, person=person) == (False, ("only-staff-asks",))


@pytest.mark.parametrize(("hour", "writes"), [(0, False), (5, False), (6, True), (21, True), (22, False), (23, False)])
def test_nights_are_quiet(tmp_path: Path, hour: int, writes: bool) -> None:
    policies = CedarPolicies(folder_with(tmp_path / "p", "quiet_nights"))
    assert asked(policies, "message.send", hour=hour)[0] is writes
    assert asked(policies, "chat.read", hour=hour)[0]


def test_what_isn_t_declared_isn_t_told(tmp_path: Path) -> None:
    policies = CedarPolicies(folder_with(tmp_path / "p"))
    assert policies.attributes == {"staff", "guest", "department"} and not CedarPolicies(POLICIES).attributes
    assert asked(policies, "chat.read", person=(("salary", 7), ("staff", True)))[0]
    with pytest.raises(PolicyError):
        (tmp_path / "p" / "bad.cedar").write_text(
            '@id("x") forbid (principal, action, resource) when { context.person.salary };'
        )
        CedarPolicies(tmp_path / "p")


class House:
    """A service with a folder of policies of its own."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder

    async def versions(self) -> set[str]:
        """Of all processes that ask policies, as their metrics say."""
        found = set()
        roles = [self.world.role] if self.world.role else [*self.world.stack.gateways, *self.world.stack.workers]  # type: ignore[union-attr]
        for role in roles:
            assert role is not None
            rest = Rest(role.url)
            text = (await rest.http.get("/metrics")).text
            found |= {
                line for line in text.splitlines() if line.startswith("parley_policies{") and line.endswith(" 1.0")
            }
            await rest.close()
        return found


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.long)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    folder = folder_with(tmp_path / "policies", "staff_asks", "guests")
    environment = {"POLICIES_DIR": str(folder)}
    if request.param == "embedded":
        world = start_embedded(environment)
        yield House(world, folder)
        stop_embedded(world)
        return
    servers: Servers = request.getfixturevalue("servers")
    world = start_real(servers, environment=environment)
    yield House(world, folder)
    assert world.stack is not None and world.model is not None
    world.stack.stop()
    world.model.child.stop()


async def hosted(people: People) -> Host:
    root = await operator(people)
    made = await root.rest.post("/v1/admin/keys", {"name": "host", "scopes": ["users", "chats", "tokens"]})
    rest = Rest(people.world.urls[0], access_token=made["key"])
    return Host(root, rest)


async def test_what_a_host_says_of_people_holds_from_the_next_command_on(house: House) -> None:
    people = People(house.world)
    h = await hosted(people)
    await h.user("ann", attributes={"staff": True, "picture": "https://example.org/a.png"})
    await h.user("ben", attributes={"guest": True})
    chat = await h.chat("ann owner", "ben owner")
    ann, ben = await h.signed_in("ann"), await h.signed_in("ben")
    path = f"/v1/chats/{chat['id']}"

    def ask(rest: Rest) -> Any:
        return rest.post(f"{path}/messages", {"client_message_id": new_id(), "body": "@assistant hello"})

    async def answers() -> int:
        return sum(one["kind"] == "assistant" for one in (await ann.get(f"{path}/messages"))["items"])

    await ask(ann)
    await ask(ben)
    await asyncio.sleep(0.5)
    assert await answers() == 1, "only staff is answered"
    other = await people.make("other")
    assert (await refused(ben.post("/v1/chats", {"kind": "group", "member_ids": []}))).body["policies"] == [
        "guests-begin-no-chats"
    ]
    assert (await refused(ben.post(f"{path}/members", {"user_id": other.id}))).body["policies"] == [
        "guests-bring-nobody"
    ]
    await h.user("ben", attributes={"staff": True})
    await ask(ben)
    await ben.post(f"{path}/members", {"user_id": other.id})
    assert await answers() == 2
    explained = await ben.post("/v1/policy/explain", {"action": "message.send", "chat_id": chat["id"]})
    assert explained["facts"]["person"] == {"staff": True}
    about = {"action": "message.send", "chat_id": chat["id"], "user_id": ann.user["id"]}
    assert (await ben.post("/v1/policy/explain", about))["facts"]["person"] == {}, "of others nothing is told"
    for rest in (ann, ben, h.rest):
        await rest.close()
    await people.close()


@pytest.mark.long
async def test_rules_change_under_load_and_no_decision_is_by_half_of_them(house: House) -> None:
    """Two files that refuse together or not at all: a decision that names one of them alone was made by half a set."""
    people = People(house.world)
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    stop = time.monotonic() + paced(14)
    seen: dict[tuple[str, ...], int] = {}

    async def talk(person: Person) -> None:
        while time.monotonic() < stop:
            body = {"client_message_id": new_id(), "body": "x"}
            try:
                await person.rest.post(f"/v1/chats/{chat_id}/messages", body)
                by: tuple[str, ...] = ()
            except Problem as problem:
                if problem.code == "rate_limited":
                    await asyncio.sleep(0.5)
                    continue
                by = tuple(problem.body["policies"])
            seen[by] = seen.get(by, 0) + 1
            await asyncio.sleep(0.1)

    talking = [asyncio.ensure_future(talk(person)) for person in (anna, ben)]
    await asyncio.sleep(1)
    for _ in range(2):
        for name in ("a", "b"):
            (house.folder / f"{name}.cedar").write_text(SPEED.format(name=name))
            await asyncio.sleep(0.3)  # an editor saves one after the other
        await asyncio.sleep(3)
        (house.folder / "c.cedar").write_text("this is no policy")
        await asyncio.sleep(2)
        os.remove(house.folder / "c.cedar")
        for name in ("a", "b"):
            os.remove(house.folder / f"{name}.cedar")
            await asyncio.sleep(0.3)
        await asyncio.sleep(2.5)
    await asyncio.gather(*talking)
    assert set(seen) == {(), ("a", "b")}, seen
    assert seen[()] > 10 and seen[("a", "b")] > 10, seen
    assert len(await house.versions()) == 1, "all decide by the same again"
    await people.close()


@pytest.mark.long
async def test_what_if_the_rules_were_others(house: House, tmp_path: Path) -> None:
    people = People(house.world)
    anna, ben = await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    await anna.rest.patch(f"/v1/chats/{chat_id}/members/{ben.id}", {"role": "reader"})
    said = {"client_message_id": new_id(), "body": "x"}
    await anna.rest.post(f"/v1/chats/{chat_id}/messages", said)
    refusal = {"client_message_id": new_id(), "body": "x"}
    await refused(ben.rest.post(f"/v1/chats/{chat_id}/messages", refusal))
    await asyncio.sleep(paced(7))  # workers write down what they decided each five seconds
    role = house.world.role or house.world.stack.workers[0]  # type: ignore[union-attr]
    assert role is not None

    async def diff(folder: Path, *more: str) -> tuple[int, list[str]]:
        done = await asyncio.to_thread(role.run, "policy", "diff", str(folder), *more)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, done.stdout.splitlines()

    code, same = await diff(house.folder)
    assert code == 0 and len(same) == 1 and ": 0 would be allowed" in same[0] and not same[0].startswith("0 "), same
    narrower = tmp_path / "narrower"
    shutil.copytree(house.folder, narrower)
    (narrower / "a.cedar").write_text(SPEED.format(name="a"))
    code, lines = await diff(narrower)
    told = next(line for line in lines if line.startswith("refused, was allowed: message.send"))
    assert code == 0 and said["client_message_id"] in told and anna.id in told and told.endswith("now by a"), lines
    wider = tmp_path / "wider"
    shutil.copytree(house.folder, wider)
    text = (wider / "chat.cedar").read_text()
    begin = text.index('@id("readers-') if '@id("readers-' in text else -1
    assert begin > 0, "who reads alone is refused by a policy of its own"
    end = text.index(";", begin) + 1
    permit = '@id("readers-write")\npermit (principal, action == Action::"message.send", resource) when { context.role == "reader" };'
    (wider / "chat.cedar").write_text(text[:begin] + permit + text[end:])
    code, lines = await diff(wider)
    told = next(line for line in lines if line.startswith("allowed, was refused: message.send"))
    assert code == 1 and refusal["client_message_id"] in told and "now by readers-write" in told, lines
    assert (await diff(wider, "--accept"))[0] == 0
    assert (await diff(wider, "--last", "0"))[0] == 0
    broken = await asyncio.to_thread(role.run, "policy", "diff", str(tmp_path))
    assert broken.returncode == 2 and "no policies and schema" in broken.stderr
    await people.close()
