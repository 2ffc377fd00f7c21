"""The decision point."""

from __future__ import annotations

from typing import Protocol

from app.domain.policy import Answer, Question


class Policies(Protocol):
    """version: of the rules, by their content."""

    version: str

    def decide(self, question: Question) -> Answer:
        """Pure and synchronous; the same for the same question. Fails closed: what can't be decided is refused."""
        ...

    def knows(self, action: str) -> bool:
        """Whether there is such an action to ask about."""
        ...
