"""What the policies' own words become."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.adapters.policy.cedar import CedarPolicies, PolicyError
from app.domain.policy import Question
from stack.parley import ROOT

ASKED = Question("message.send", role="member", chat_kind="group")


def policies(folder: Path, more: str) -> CedarPolicies:
    shutil.copytree(ROOT / "policies", folder, dirs_exist_ok=True)
    (folder / "more.cedar").write_text(more)
    return CedarPolicies(folder)


def forbid(id_: str, code: str) -> str:
    return f'@id("{id_}") @code("{code}") @reason("since {id_}") forbid(principal, action, resource);\n'


@pytest.mark.parametrize("code", ["quota_exceeded", "of_tomorrow"])
def test_a_refusal_is_told_with_its_own_code(tmp_path: Path, code: str) -> None:
    answer = policies(tmp_path, forbid("full", code)).decide(ASKED)
    assert (answer.allowed, answer.policies, answer.code, answer.reason) == (False, ("full",), code, "since full")


def test_the_most_basic_refusal_is_the_one_that_is_told(tmp_path: Path) -> None:
    made = policies(tmp_path, forbid("full", "quota_exceeded") + forbid("quiet", "muted") + forbid("gone", "not_found"))
    assert made.decide(ASKED).policies == ("gone",)
    (tmp_path / "more.cedar").write_text(forbid("full", "quota_exceeded") + forbid("quiet", "muted"))
    assert CedarPolicies(tmp_path).decide(ASKED).policies == ("quiet",)


def test_what_the_schema_does_not_know_stops_the_process(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        policies(tmp_path, 'permit(principal, action == Action::"nonsense", resource);')
