"""People who were added by too many strangers are left alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.application.adding import STRANGERS_MAX, Adding
from app.domain.errors import ParleyError


def test_who_adds_is_told_how_long_to_wait() -> None:
    asked: list[Any] = []

    class Accounts:
        wait_s: float | None = None

        async def added_by(self, *given: Any) -> float | None:
            asked.append(given)
            return self.wait_s

    async def go() -> None:
        accounts: Any = Accounts()
        adding = Adding(accounts)
        await adding.count("anna", [])
        assert asked == [], "nobody is added"
        await adding.count("anna", ["ben"])
        assert asked == [("anna", ["ben"], STRANGERS_MAX, 3_600.0)] and STRANGERS_MAX == 20
        accounts.wait_s = 1.5
        with pytest.raises(ParleyError) as refused:
            await adding.count("anna", ["ben"])
        assert (refused.value.code, refused.value.retry_after_ms) == ("rate_limited", 1_500)

    asyncio.run(go())
