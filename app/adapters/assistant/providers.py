"""Several providers as one model: each prompt goes to its own, and one that is down isn't asked by everybody."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing

from app.application.ports.held import Keep
from app.application.ports.model import Model, ModelFailed, Piece, Prompt
from app.domain.ids import DEFAULT_PROVIDER

REST_S = 15.0
_OF_THE_PROVIDER = ("unavailable", "timeout")


class Breaker:
    """Closed at first. Opened by so many failures in a row, never for 0; a rest later one call tries, and closes or opens it
    again."""

    def __init__(self, clock: Callable[[], float], failures_max: int, rest_s: float = REST_S) -> None:
        self._clock, self._failures_max, self._rest_s = clock, failures_max, rest_s
        self._failures = 0
        self._open_until = 0.0

    def rests_s(self) -> float:
        """How long nobody should ask; 0 for who may. Who may after a rest is the only one, for another rest."""
        if not self._failures_max or self._failures < self._failures_max:
            return 0.0
        left_s = self._open_until - self._clock()
        if left_s > 0:
            return left_s
        self._open_until = self._clock() + self._rest_s
        return 0.0

    def worked(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._open_until = self._clock() + self._rest_s


class Providers:
    """Implements Model. models: by the providers' names; `default` is one of them. rest_after: how many failures in a row let
    each rest for a while."""

    def __init__(self, models: Mapping[str, Model], rest_after: Mapping[str, int]) -> None:
        self._models = models
        self._breakers = {name: Breaker(time.monotonic, rest_after[name]) for name in models}

    async def start(self, keep: Keep) -> None:
        for model in self._models.values():
            await model.start(keep)

    async def close(self) -> None:
        for model in self._models.values():
            await model.close()

    async def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        name = prompt.provider or DEFAULT_PROVIDER
        model = self._models.get(name)
        if model is None:
            raise ModelFailed("not_found", "the assistant's provider isn't set up here", said=f"no provider {name}")
        breaker = self._breakers[name]
        rests_s = breaker.rests_s()
        if rests_s:
            raise ModelFailed("unavailable", said="failed too often just now", retry=True, retry_after_s=rests_s)
        try:
            async with aclosing(model.stream(prompt)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
            breaker.worked()
        except ModelFailed as failed:
            if failed.code in _OF_THE_PROVIDER and not failed.loading:
                breaker.failed()
            else:
                breaker.worked()
            raise
