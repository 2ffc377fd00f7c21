"""Language models: who writes the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from app.application.ports.held import Held
from app.domain.values import Usage

REASONS = {
    "length": "the answer reached the length that it may have",
    "filtered": "the provider's content filter held the answer back",
    "refused": "the model's provider refused the request",
    "empty": "the model ended without an answer",
    "rate_limited": "the model's provider is asked too often just now",
    "quota": "no credit is left at the model's provider",
    "context": "the model's context is too small for this chat",
    "not_found": "the provider has no such model, or nothing at this address",
    "unauthorized": "the model's provider doesn't accept the key",
    "unavailable": "the model's provider can't be reached, or failed",
    "timeout": "the model's provider said nothing for too long",
    "cut": "the answer broke off before the model was done",
    "bad_answer": "what the model's provider sent can't be read",
}
"""How an answer may fail: its code, and the sentence for people where nothing better is known."""


Place = tuple[int, str, str]
"""(seq, message id, "" or the other chat that it stands in)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """role: user or assistant. places: of the messages that it is made of. ahead: it is sent before others are: the question
    replies to it, or it sums up what stands above all."""

    role: str
    text: str
    places: tuple[Place, ...] = ()
    ahead: bool = False


class Purpose(StrEnum):
    ANSWER = "answer"
    TITLE = "title"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Prompt:
    """turns: oldest first, the question last. model: None for the provider's. provider: "" for the default. parameters: as
    provenance calls them, beside those of the settings. untitled: this is the chat's first whole answer then, and it takes a
    name of its assistant. local_only, agreed: whether no provider outside is to be asked, and whether a group's owner agreed to
    one. summary_id: of what is among the turns as a summary, "" for none."""

    turns: tuple[Turn, ...]
    model: str | None
    instructions: str | None
    purpose: Purpose = Purpose.ANSWER
    untitled: bool = False
    provider: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)
    local_only: bool = False
    agreed: bool = True
    summary_id: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """The model's server is asked, with these parameters: once more for each time that it is."""

    parameters: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Delta:
    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """What the model says to itself: progress, and no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Alive:
    """Something came that says nothing: the server is there."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The model said that it is done. model: as it named itself, "" where it didn't."""

    usage: Usage | None
    model: str = ""


class ModelFailed(Exception):
    """The answer can't be had or went wrong.

    code: one of `REASONS`. reason: a sentence for people, without a word of the provider's. said: what the provider said,
    for who may configure it. retry: trying again may help, after retry_after_s seconds where the server named them.
    loading: the server is there and not ready yet. context_tokens: how many the model takes, where it said so. usage, model:
    where they were told all the same.
    """

    def __init__(
        self,
        code: str,
        reason: str = "",
        *,
        said: str = "",
        retry: bool = False,
        retry_after_s: float | None = None,
        loading: bool = False,
        context_tokens: int | None = None,
        usage: Usage | None = None,
        model: str = "",
    ) -> None:
        super().__init__(code, reason or REASONS[code])
        self.code, self.reason, self.said = code, reason or REASONS[code], said
        self.retry, self.retry_after_s, self.loading = retry, retry_after_s, loading
        self.context_tokens, self.usage, self.model = context_tokens, usage, model


Piece = Call | Delta | Thinking | Alive | Finish


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens, in whatever money."""

    input: float
    output: float

    def of(self, usage: Usage) -> float:
        return (usage.prompt_tokens * self.input + usage.completion_tokens * self.output) / 1_000_000


@dataclass(frozen=True, slots=True)
class Provider:
    """Whom answers come from. shown: what provenance calls it. model: where neither chat nor assistant names one. models:
    those that may be named, in order; empty for any. concurrency: calls at once of one process, 0 for no bound. local: what is
    said stays with who runs the service. fallback: the provider that is asked where this one can't answer, "" for none;
    fallback_model: by that model, "" for that provider's."""

    name: str
    shown: str
    model: str
    models: tuple[str, ...] = ()
    concurrency: int = 0
    price: Price | None = None
    local: bool = False
    fallback: str = ""
    fallback_model: str = ""

    def cost_of(self, usage: Usage) -> float | None:
        """None without a price."""
        return self.price.of(usage) if self.price is not None else None


class Model(Held, Protocol):
    def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        """The answer's pieces, then exactly one Finish; ends without a Finish only by ModelFailed, and raises nothing else.
        Closing the iterator ends the request upstream."""
        ...
