"""Language models: who writes the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from app.application.ports.held import Held
from app.domain.values import Usage


@dataclass(frozen=True, slots=True)
class Turn:
    """role: user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """turns: oldest first, the question last. model: None for the setting's."""

    turns: tuple[Turn, ...]
    model: str | None
    instructions: str | None


@dataclass(frozen=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The model said that it is done."""

    usage: Usage | None


class ModelFailed(Exception):
    """The answer can't be had or went wrong. retry: nothing was said yet, and trying again may help, after
    retry_after_s seconds where the server named them."""

    def __init__(self, code: str, reason: str, *, retry: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(code, reason)
        self.code, self.reason, self.retry, self.retry_after_s = code, reason, retry, retry_after_s


class Model(Held, Protocol):
    def stream(self, prompt: Prompt) -> AsyncIterator[Delta | Finish]:
        """The answer's deltas, then exactly one Finish; ends without a Finish only by ModelFailed. Closing the
        iterator ends the request upstream."""
        ...
