"""Tasks that nobody waits for."""

from __future__ import annotations

import asyncio

from app.application.background import Background
from tests.unit.virtual_time import run


def test_what_a_task_raises_is_told_and_the_others_go_on() -> None:
    async def go() -> None:
        troubles: list[tuple[str, str]] = []
        background = Background(lambda what, error: troubles.append((what, str(error))))
        done: list[str] = []

        async def work(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            if name == "bad":
                raise ValueError("broken")
            done.append(name)

        for name, seconds in (("bad", 1), ("quick", 2), ("slow", 20), ("never", 1_000)):
            background.create_task(work(name, seconds))
        await background.finish(5)
        assert (done, troubles) == (["quick"], [("background", "broken")])
        await asyncio.sleep(30)
        assert done == ["quick"], "what was not done in time is cancelled, and that is no trouble"
        background.create_task(work("late", 50))
        await background.close()
        await asyncio.sleep(100)
        assert done == ["quick"] and len(troubles) == 1

    run(go())
