"""What a burst took goes back to the machine, though a little of it is still in use here and there."""

from __future__ import annotations

import asyncio
import platform
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
