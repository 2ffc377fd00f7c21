"""The policies of a folder as they are now: a change is taken whole, once it stands still, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from app.adapters.policy.cedar import CedarPolicies, PolicyError, read
from app.application.ports.held import Keep
from app.domain.policy import Answer, Question

LOOK_S = 1.0


class ReloadingPolicies:
    """Implements Policies and Held. on_change: told the version that holds from now on. trouble: told of a folder that makes no
    policies: those before hold on."""

    def __init__(self, folder: Path, trouble: Callable[[str, BaseException], None]) -> None:
        self._folder = folder
        self._trouble = trouble
        self._now = CedarPolicies(folder)
        self._seen = self._tried = self._now.version
        self.on_change: Callable[[str], object] = lambda version: None

    @property
    def version(self) -> str:
        return self._now.version

    @property
    def attributes(self) -> frozenset[str]:
        return self._now.attributes

    def decide(self, question: Question) -> Answer:
        return self._now.decide(question)

    def knows(self, action: str) -> bool:
        return self._now.knows(action)

    async def start(self, keep: Keep) -> None:
        keep("policies", self._watch())

    async def close(self) -> None:
        """Nothing to give back."""

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """A folder that was the same at two looks, and is another than what holds, takes its place: who writes several files
        one after the other is waited for."""
        try:
            version = (await asyncio.to_thread(read, self._folder)).version
        except (OSError, UnicodeDecodeError, PolicyError):
            return  # in the middle of being written, perhaps
        stands, self._seen = version == self._seen, version
        if not stands or version in (self._now.version, self._tried):
            return
        self._tried = version
        try:
            made = await asyncio.to_thread(CedarPolicies, self._folder)
        except (OSError, PolicyError) as error:
            return self._trouble("policies", error)
        if made.version == version:
            self._now = made
            self.on_change(version)
        else:
            self._tried = self._now.version  # it moved on; the next looks see to it
