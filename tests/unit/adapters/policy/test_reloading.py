"""When a changed folder of policies takes the place of the one before."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.adapters.policy.reloading import ReloadingPolicies
from app.domain.policy import Question
from app.infrastructure.wiring import POLICIES

NOBODY = '@id("nobody-writes")\nforbid (principal, action == Action::"message.send", resource);\n'
ASKED = Question("message.send", role="owner", chat_kind="group")


class Folder:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "policies"
        shutil.copytree(POLICIES, self.path)
        self.told: list[str] = []
        self.troubles: list[BaseException] = []
        self.policies = ReloadingPolicies(self.path, lambda what, error: self.troubles.append(error))
        self.policies.on_change = self.told.append

    async def looked(self, times: int) -> bool:
        """Whether one may write, after so many looks."""
        for _ in range(times):
            await self.policies.look()
        return self.policies.decide(ASKED).allowed


async def test_a_change_holds_once_it_stood_still_for_a_look(tmp_path: Path) -> None:
    f = Folder(tmp_path)
    first = f.policies.version
    assert await f.looked(3) and f.told == []
    (f.path / "more.cedar").write_text(NOBODY)
    assert await f.looked(1), "it may be in the middle of being written"
    (f.path / "more.cedar").write_text(f"{NOBODY}// more\n")
    assert await f.looked(1), "and it was"
    assert not await f.looked(1) and f.told == [f.policies.version] and f.policies.version != first
    (f.path / "more.cedar").unlink()
    assert await f.looked(2) and f.policies.version == first and len(f.told) == 2


async def test_what_makes_no_policies_is_told_once_and_those_before_hold_on(tmp_path: Path) -> None:
    f = Folder(tmp_path)
    (f.path / "more.cedar").write_text("forbid everything")
    assert await f.looked(5) and f.told == [] and len(f.troubles) == 1
    (f.path / "more.cedar").write_text(NOBODY)
    assert not await f.looked(2) and len(f.told) == 1
    (f.path / "more.cedar").write_bytes(b"\xff")
    assert not await f.looked(3)
    shutil.rmtree(f.path)
    assert not await f.looked(3) and len(f.troubles) == 1, "a folder that is away is in the middle of something"
    shutil.copytree(POLICIES, f.path)
    assert await f.looked(2)


async def test_what_people_are_is_declared_by_the_schema_that_holds(tmp_path: Path) -> None:
    f = Folder(tmp_path)
    assert not f.policies.attributes and f.policies.knows("message.send") and not f.policies.knows("x")
    schema = f.path / "schema.cedarschema"
    schema.write_text(
        schema.read_text().replace(
            "type Attributes = {", 'type Attributes = {\n  "staff"?: Bool, // no: x?: Bool\n  dept?: String,'
        )
    )
    await f.looked(2)
    assert f.policies.attributes == {"staff", "dept"}
