"""Assistants as they are set up, version by version, and prompts that people keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from app.domain.values import Person, UserKind


@dataclass(frozen=True, slots=True)
class AssistantVersion:
    """An assistant as it was from created_at on, until its next version. created_by: None for the service. listed: who may ask
    it, where asked_by says so. model: None for the provider's."""

    assistant_id: str
    username: str
    version: int
    display_name: str
    description: str
    model: str | None
    provider: str
    parameters: Mapping[str, float]
    instructions: str | None
    asked_by: str
    listed: tuple[str, ...]
    created_at: datetime
    created_by: str | None

    @property
    def person(self) -> Person:
        return Person(self.assistant_id, self.username, self.display_name, UserKind.ASSISTANT)


@dataclass(frozen=True, slots=True)
class KeptPrompt:
    """shared: seen by all."""

    id: str
    owner_id: str
    name: str
    text: str
    shared: bool


class AssistantStore(Protocol):
    """Each raises Transient. What is deleted is found by nobody; what it said stays."""

    async def page(self, after_name: str, limit: int) -> list[AssistantVersion]:
        """At most limit by username, after that one, as they are now."""
        ...

    async def one(self, assistant_id: str) -> AssistantVersion | None:
        """As it is now."""
        ...

    async def versions(self, assistant_id: str, before: int | None, limit: int) -> list[AssistantVersion]:
        """At most limit, newest first, below that version."""
        ...

    async def nobodies(self, user_ids: Sequence[str]) -> list[str]:
        """Those of these ids that name no person."""
        ...

    async def create(self, first: AssistantVersion) -> bool:
        """False where the username is taken. What was done is written down."""
        ...

    async def change(
        self, actor_id: str, assistant_id: str, changed: Callable[[AssistantVersion], AssistantVersion]
    ) -> tuple[AssistantVersion, AssistantVersion] | None:
        """(as it was, as it is): the next version, made of the one that there is, in one transaction; none where nothing
        differs. None for no such assistant. What `changed` raises leaves all as it was. What was done is written down."""
        ...

    async def delete(self, actor_id: str, assistant_id: str) -> bool:
        """From now on it is asked by nobody. False for no such assistant. What was done is written down."""
        ...

    async def stop_all(self, assistant_id: str) -> tuple[list[tuple[str, str]], bool]:
        """Have all stop that it is writing, or would write. ((chat, message) of each; whether some couldn't be told just now)."""
        ...


class PromptStore(Protocol):
    """Each raises Transient."""

    async def page(self, user_id: str, after_id: str, limit: int) -> list[KeptPrompt]:
        """One's own and the shared ones, oldest first, after that one."""
        ...

    async def one(self, prompt_id: str) -> KeptPrompt | None:
        """Anybody's; None for no such prompt."""
        ...

    async def add(self, prompt: KeptPrompt, most: int) -> bool:
        """False where its owner has so many."""
        ...

    async def change(self, prompt: KeptPrompt) -> None:
        """Of no such prompt nothing."""
        ...

    async def delete(self, prompt_id: str) -> None:
        """Of no such prompt nothing."""
        ...
