"""Fifteen faults while twenty questions are answered; `make assistant-faults` makes three hundred."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.assistants import run


@pytest.mark.long
async def test_each_question_has_one_end_whatever_dies(record_property: Callable[[str, object], None]) -> None:
    seed = random.SystemRandom().randrange(2**32)
    report = await run(seed=seed, faults=15, questions=20, every_s=1.5)
    record_property("assistants' faults", str(report))
    assert report.violations == [], f"seed {seed}"
    assert report.questions == 20 and report.ends["complete"] >= 5
