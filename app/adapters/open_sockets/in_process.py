"""Which sockets a user has open, where one process serves all."""

from __future__ import annotations

from app.application.ports.held import NothingHeld


class InProcessOpenSockets(NothingHeld):
    """Implements OpenSockets."""

    def __init__(self) -> None:
        self._open: dict[str, dict[str, None]] = {}

    async def opened(self, user_id: str, session_id: str, most: int) -> list[str]:
        return self.add(user_id, session_id, most)

    def add(self, user_id: str, session_id: str, most: int) -> list[str]:
        mine = self._open.setdefault(user_id, {})
        mine[session_id] = None
        return list(mine)[: max(0, len(mine) - most)]

    def has(self, user_id: str, session_id: str) -> bool:
        return session_id in self._open.get(user_id, ())

    def closed(self, user_id: str, session_id: str) -> None:
        mine = self._open.get(user_id, {})
        mine.pop(session_id, None)
        if not mine:
            self._open.pop(user_id, None)

    def all(self) -> dict[str, list[str]]:
        return {user_id: list(mine) for user_id, mine in self._open.items()}
