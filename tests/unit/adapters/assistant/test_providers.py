"""A provider that fails too often isn't asked by everybody; each prompt goes to its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.adapters.assistant.providers import REST_S, Breaker, Providers
from app.application.ports.model import Delta, Finish, ModelFailed, Piece, Prompt, Turn

FAILURES_MAX = 5


def test_a_breaker_opens_rests_and_lets_one_try() -> None:
    now = 100.0
    breaker = Breaker(lambda: now, FAILURES_MAX)
    for _ in range(FAILURES_MAX):
        assert breaker.rests_s() == 0
        breaker.failed()
    assert breaker.rests_s() == REST_S
    now += REST_S - 1
    assert breaker.rests_s() == 1
    now += 1
    assert breaker.rests_s() == 0 and breaker.rests_s() == REST_S, "one tries, the others rest on"
    breaker.failed()
    assert breaker.rests_s() == REST_S
    now += REST_S
    assert breaker.rests_s() == 0
    breaker.worked()
    assert breaker.rests_s() == breaker.rests_s() == 0


class Model:
    """Implements Model. fails: what each call raises, None for an answer."""

    def __init__(self, name: str, *fails: ModelFailed | None) -> None:
        self.name, self.fails, self.calls = name, list(fails), 0

    async def start(self, keep: Any) -> None: ...

    async def close(self) -> None: ...

    async def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        self.calls += 1
        failure = self.fails.pop(0) if self.fails else None
        if failure is not None:
            raise failure
        yield Delta(self.name)
        yield Finish(None)


def made(**models: Model) -> Providers:
    return Providers(models, dict.fromkeys(models, FAILURES_MAX))


async def said(providers: Providers, name: str) -> str:
    pieces = [piece async for piece in providers.stream(Prompt((Turn("user", "?"),), None, None, provider=name))]
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta))


def test_each_prompt_goes_to_its_own_and_an_unknown_one_is_told() -> None:
    async def go() -> None:
        providers = made(default=Model("one"), other=Model("two"))
        assert [await said(providers, name) for name in ("", "default", "other")] == ["one", "one", "two"]
        with pytest.raises(ModelFailed) as failed:
            await said(providers, "gone")
        assert failed.value.code == "not_found" and not failed.value.retry

    asyncio.run(go())


def test_one_that_is_down_is_left_alone_and_others_go_on() -> None:
    async def go() -> None:
        down = Model("one", *[ModelFailed("unavailable", retry=True)] * 9)
        providers = made(default=down, other=Model("two"))
        for n in range(FAILURES_MAX + 3):
            with pytest.raises(ModelFailed) as failed:
                await said(providers, "")
            assert failed.value.code == "unavailable" and failed.value.retry
            assert (failed.value.retry_after_s is None) == (n < FAILURES_MAX)
        assert down.calls == FAILURES_MAX and await said(providers, "other") == "two"

    asyncio.run(go())


@pytest.mark.parametrize(
    "failure", [ModelFailed("unavailable", loading=True), ModelFailed("refused"), ModelFailed("rate_limited")]
)
def test_what_is_no_outage_opens_nothing(failure: ModelFailed) -> None:
    async def go() -> None:
        model = Model("one", *[failure] * (FAILURES_MAX + 1))
        providers = made(default=model)
        for _ in range(FAILURES_MAX + 1):
            with pytest.raises(ModelFailed):
                await said(providers, "")
        assert await said(providers, "") == "one"

    asyncio.run(go())


def test_one_that_is_never_to_rest_is_always_asked() -> None:
    breaker = Breaker(lambda: 0.0, 0)
    for _ in range(20):
        breaker.failed()
        assert breaker.rests_s() == 0
