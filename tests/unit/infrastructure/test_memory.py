"""What a burst took goes back to the machine, though a little of it is still in use here and there."""

from __future__ import annotations

import asyncio
import gc
import platform
import weakref
from pathlib import Path

import pytest

from app.infrastructure import memory

MIB = 2**20


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
async def test_what_is_free_between_what_is_used_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "GIVEN_BACK_EACH_S", 0.05)
    burst = [bytes(2_000) for _ in range(40_000)]
    kept = burst[::100]
    del burst
    before = resident()
    giving = asyncio.create_task(memory.give_back())
    try:
        async with asyncio.timeout(10):
            while before - resident() < 30 * MIB:
                await asyncio.sleep(0.02)
    finally:
        giving.cancel()
    assert len(kept) == 400


class Circle:
    def __init__(self) -> None:
        self.own = self


@pytest.mark.parametrize("quick_s", [10.0, 0.0])
async def test_what_names_itself_in_a_circle_goes_whatever_its_age(
    monkeypatch: pytest.MonkeyPatch, quick_s: float
) -> None:
    monkeypatch.setattr(memory, "GIVEN_BACK_EACH_S", 0.05)
    monkeypatch.setattr(memory, "QUICK_S", quick_s)
    thresholds = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    giving = asyncio.create_task(memory.give_back())
    try:
        for n in range(3):  # the first round looks at all; where that is slow, the next ones at what is young
            lost = Circle()
            seen = weakref.ref(lost)
            if n == 2 and quick_s:
                gc.collect(1)
            del lost
            async with asyncio.timeout(10):
                while seen() is not None:
                    await asyncio.sleep(0.02)
    finally:
        giving.cancel()
        gc.set_threshold(*thresholds)
