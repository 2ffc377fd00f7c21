"""A submitter that decides at once, for tests of the verbs that stand above it."""

from __future__ import annotations

from typing import Any

from app.application.submit import Done
from app.domain.command import Action, Command
from app.domain.errors import ParleyError
from app.domain.ids import derived_id
from app.domain.scopes import Scopes
from tests.unit.memory import MemoryStore


class Decider:
    """In place of Submitter.run. asked: each action, with its id."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.asked: list[tuple[Action, str | None]] = []

    async def run(
        self, user_id: str, chat_id: str, action: Any, id_: str | None = None, scopes: Scopes = None
    ) -> Done[None]:
        self.asked.append((action, id_))
        command = Command(chat_id, user_id, id_ or derived_id("drawn", str(len(self.asked))), action, scopes=scopes)
        [result] = self._store.batch([command])
        if result.outcome.code is not None:
            raise ParleyError(result.outcome.code, result.outcome.reason)
        return Done(None, result.outcome.seq, not result.repeat)
