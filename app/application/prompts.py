"""Prompts that people keep, and share: texts with gaps to fill."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from app.application.authorize import ADMINISTER, Pep, permit_of_service
from app.application.ports.assistants import KeptPrompt, PromptStore
from app.application.ports.people import Accounts, Bearer
from app.domain.errors import Code, ParleyError, not_found

PROMPTS_MAX = 500
"""Of one person."""
_VARIABLE = re.compile(r"\{\{\s*([^\W\d]\w{0,63})\s*\}\}")


def variables_in(text: str) -> list[str]:
    """The names of its gaps, `{{name}}`, each once, in order."""
    return list(dict.fromkeys(_VARIABLE.findall(text)))


class Prompts:
    """Each raises ParleyError."""

    def __init__(self, store: PromptStore, accounts: Accounts, pep: Pep, new_id: Callable[[], str]) -> None:
        self._store, self._accounts, self._pep, self._new_id = store, accounts, pep, new_id

    async def all(self, user_id: str, after_id: str, limit: int) -> list[KeptPrompt]:
        """One's own and the shared ones, oldest first."""
        return await self._store.page(user_id, after_id, limit)

    async def create(self, bearer: Bearer, name: str, text: str, shared: bool) -> KeptPrompt:
        if shared:
            await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        prompt = KeptPrompt(self._new_id(), bearer.user_id, name, text, shared)
        if not await self._store.add(prompt, PROMPTS_MAX):
            raise ParleyError(Code.CONFLICT, f"one person keeps at most {PROMPTS_MAX} prompts")
        return prompt

    async def change(
        self, bearer: Bearer, prompt_id: str, name: str | None, text: str | None, shared: bool | None
    ) -> KeptPrompt:
        """None: that stays."""
        before = await self._mine(bearer, prompt_id)
        after = replace(
            before,
            name=before.name if name is None else name,
            text=before.text if text is None else text,
            shared=before.shared if shared is None else shared,
        )
        if after.shared:
            await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        await self._store.change(after)
        return after

    async def delete(self, bearer: Bearer, prompt_id: str) -> None:
        await self._mine(bearer, prompt_id)
        await self._store.delete(prompt_id)

    async def _mine(self, bearer: Bearer, prompt_id: str) -> KeptPrompt:
        """One's own, or a shared one for who may write those."""
        found = await self._store.one(prompt_id)
        if found is None or (found.owner_id != bearer.user_id and not found.shared):
            raise not_found()
        if found.shared:
            await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        return found
