"""The decision point."""

from __future__ import annotations

from typing import Protocol

from app.domain.policy import Answer, Question


class Policies(Protocol):
    @property
    def version(self) -> str:
        """Of the rules as they are now, by their content."""
        ...

    @property
    def attributes(self) -> frozenset[str]:
        """Of people, that rules may look at."""
        ...

    def decide(self, question: Question) -> Answer:
        """Pure and synchronous; the same for the same question. Fails closed: what can't be decided is refused."""
        ...

    def knows(self, action: str) -> bool:
        """Whether there is such an action to ask about."""
        ...
