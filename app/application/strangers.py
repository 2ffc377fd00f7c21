"""Those who haven't proved who they are, told apart by their addresses: they have turns, and a budget for what they read."""

from __future__ import annotations

import asyncio

from app.application.ports.errors import Unavailable
from app.application.ports.limits import Limiter
from app.application.turns import Paced
from app.domain.errors import rate_limited, unavailable

WAITING_MAX, WAITING_OF_ONE_MAX = 20_000, 10_000
TURN_S = 5.0
HELD_MAX, HELD_S = 1_000, 5.0


class Strangers:
    """What strangers ask is begun one after the other, in turns by address, and takes a third of the loop: a crowd waits,
    those who are signed in don't."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._turns = Paced(WAITING_MAX, WAITING_OF_ONE_MAX)
        self._held = 0

    async def turn(self, address: str) -> None:
        """Raises ParleyError `unavailable`, where too many wait, or it took too long."""
        try:
            async with asyncio.timeout(TURN_S):
                await self._turns.turn(address)
        except (Unavailable, TimeoutError) as error:
            raise unavailable("too many ask at once") from error

    def count_read(self, address: str) -> None:
        """Raises ParleyError where reads of this address before it are not paid for yet."""
        retry_after_ms = self._limiter.read(_key(address))
        if retry_after_ms is not None:
            raise rate_limited("too much was read", retry_after_ms)

    def was_read(self, address: str, units: float) -> None:
        self._limiter.was_read(_key(address), units)

    def reads_left(self, address: str) -> tuple[int, int, int]:
        return self._limiter.reads_left(_key(address))

    async def failed(self, address: str) -> None:
        """Credentials from this address were not good. Beyond its budget the answer is held back till that is paid for,
        5 s at most: who guesses, or knocks without end, waits; who is right never does."""
        self._limiter.was_read(_key(address), 1)
        debt_s = self._limiter.reads_debt_s(_key(address))
        if debt_s <= 0 or self._held >= HELD_MAX:
            return
        self._held += 1
        try:
            await asyncio.sleep(min(debt_s, HELD_S))
        finally:
            self._held -= 1


def _key(address: str) -> str:
    """No user's id looks like this."""
    return f"address {address}"
