"""Those who aren't signed in: their reads have a budget, their failures wait, and all of them have turns."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.adapters.limits.counting import LimitSettings, UserLimits
from app.application import strangers as module
from app.application.strangers import Strangers
from app.domain.errors import ParleyError
from tests.unit.virtual_time import run


def test_reads_of_an_address_have_a_budget_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1_000.0)
    strangers = Strangers(UserLimits(LimitSettings(5, 2, 3, 10, reads_per_s=2)))
    for _ in range(10):
        strangers.count_read("a")
    strangers.was_read("a", 10)
    assert strangers.reads_left("a") == (20, 0, 11) and strangers.reads_left("b") == (20, 20, 1)
    with pytest.raises(ParleyError) as refused:
        strangers.count_read("a")
    assert refused.value.code == "rate_limited" and refused.value.retry_after_ms == 500
    strangers.count_read("b")


def test_who_fails_beyond_the_budget_waits_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        clock = asyncio.get_running_loop().time
        monkeypatch.setattr(time, "monotonic", clock)
        strangers = Strangers(UserLimits(LimitSettings(5, 2, 3, 10, reads_per_s=1)))
        began = clock()
        for _ in range(10):
            await strangers.failed("a")
        assert clock() == began
        await strangers.failed("a")
        assert clock() - began == 1.0
        strangers.was_read("a", 1_000)
        began = clock()
        await strangers.failed("a")
        assert clock() - began == module.HELD_S == 5.0, "never longer"
        monkeypatch.setattr(module, "HELD_MAX", 1)
        held = asyncio.create_task(strangers.failed("a"))
        await asyncio.sleep(0)
        began = clock()
        await strangers.failed("a")
        assert clock() == began, "what is held back has a bound"
        await held

    run(go())


def test_a_crowd_too_large_is_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        monkeypatch.setattr(module, "WAITING_MAX", 2)
        strangers = Strangers(UserLimits(LimitSettings(5, 2, 3, 10)))
        told = await asyncio.gather(*(strangers.turn("a") for _ in range(3)), return_exceptions=True)
        assert told[:2] == [None, None] and isinstance(told[2], ParleyError)
        assert (told[2].code, told[2].retry_after_ms) == ("unavailable", 1_000)
        await strangers.turn("a")

    run(go())
