"""Assistants for people: which there are, who may ask them, and what operators make of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.application.authorize import Pep, permit_of_service
from app.application.clock import utc_now
from app.application.identity import clean_username
from app.application.ports.assistants import AssistantStore, AssistantVersion
from app.application.ports.fan_out import FanOut
from app.application.ports.model import Provider
from app.application.ports.people import Accounts, Bearer
from app.application.profiles import Profiles
from app.application.signals import ASSISTANTS, Note, pack_note
from app.domain.errors import Code, ParleyError, not_found
from app.domain.ids import ASSISTANT_ID, DEFAULT_PROVIDER
from app.domain.policy import Answer, AssistantFacts, Question
from app.domain.values import AskedBy, ChatKind, Role

CONFIGURE = "assistant.configure"
_STOPS_MAX, _STOP_PAUSE_S = 40, 0.05


@dataclass(frozen=True, slots=True)
class ShownAssistant:
    """may_ask: what the policies say about the reader. configures: whether the reader may, and sees all of it."""

    version: AssistantVersion
    may_ask: Answer
    configures: bool


class Assistants:
    """Each raises ParleyError. providers: by name."""

    def __init__(
        self,
        store: AssistantStore,
        accounts: Accounts,
        pep: Pep,
        profiles: Profiles,
        fan_out: FanOut,
        new_id: Callable[[], str],
        providers: Mapping[str, Provider],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._pep = pep
        self._profiles = profiles
        self._fan_out = fan_out
        self._new_id = new_id
        self._providers = providers

    async def all(self, bearer: Bearer, after_name: str, limit: int) -> list[ShownAssistant]:
        """By username."""
        shown = await self._shown_to(bearer)
        return [shown(version) for version in await self._store.page(after_name, limit)]

    async def one(self, bearer: Bearer, assistant_id: str) -> ShownAssistant:
        version = await self._store.one(assistant_id)
        if version is None:
            raise not_found()
        return (await self._shown_to(bearer))(version)

    async def versions(self, bearer: Bearer, assistant_id: str, before: int | None, limit: int) -> list[ShownAssistant]:
        """Newest first."""
        await self._permit(bearer)
        found = await self._store.versions(assistant_id, before, limit)
        if not found and before is None:
            raise not_found()
        shown = await self._shown_to(bearer)
        return [shown(version) for version in found]

    async def create(self, bearer: Bearer, username: str, display_name: str, **said: Any) -> ShownAssistant:
        """said: fields of a version; those that are left out have their defaults."""
        await self._permit(bearer)
        first = AssistantVersion(
            assistant_id=self._new_id(),
            username=clean_username(username),
            version=1,
            display_name=display_name,
            description="",
            model=None,
            provider=DEFAULT_PROVIDER,
            parameters={},
            instructions=None,
            asked_by=AskedBy.EVERYONE,
            listed=(),
            created_at=utc_now(),
            created_by=bearer.user_id,
        )
        first = replace(first, **said)
        self._check(first)
        await self._check_listed(first.listed)
        if not await self._store.create(first):
            raise ParleyError(Code.CONFLICT, "this username is taken")
        return await self.one(bearer, first.assistant_id)

    async def change(self, bearer: Bearer, assistant_id: str, **said: Any) -> ShownAssistant:
        """said: fields of a version; the others stay. What differs makes the next version."""
        await self._permit(bearer)
        await self._check_listed(said.get("listed", ()))

        def changed(version: AssistantVersion) -> AssistantVersion:
            made = replace(version, **said)
            self._check(made)
            return made

        found = await self._store.change(bearer.user_id, assistant_id, changed)
        if found is None:
            raise not_found()
        before, after = found
        if before.display_name != after.display_name:
            await self._profiles.tell_all(after.person)
        return (await self._shown_to(bearer))(after)

    async def delete(self, bearer: Bearer, assistant_id: str) -> None:
        """It is asked no more, and what it is writing ends as stopped."""
        await self._permit(bearer)
        if assistant_id == ASSISTANT_ID:
            raise ParleyError(Code.CONFLICT, "the built-in assistant stays")
        if not await self._store.delete(bearer.user_id, assistant_id):
            raise not_found()
        for _ in range(_STOPS_MAX):
            stopped, more = await self._store.stop_all(assistant_id)
            await self._fan_out.publish([(ASSISTANTS, pack_note(Note("stop", list(key)))) for key in stopped])
            if not more:
                return
            await asyncio.sleep(_STOP_PAUSE_S)  # who renews or ends it holds its row just now

    async def _permit(self, bearer: Bearer) -> None:
        await permit_of_service(self._pep, self._accounts, bearer.user_id, CONFIGURE)

    async def _shown_to(self, bearer: Bearer) -> Callable[[AssistantVersion], ShownAssistant]:
        account = await self._accounts.by_id(bearer.user_id)
        role = account.role if account is not None else ""
        configures = self._pep.ask(Question(CONFIGURE, role=role)).allowed

        def shown(version: AssistantVersion) -> ShownAssistant:
            asked = Question(
                "assistant.ask",
                role=Role.MEMBER,
                chat_kind=ChatKind.ASSISTANT,
                operator=role == "operator",
                assistant=AssistantFacts(asked_by=version.asked_by, listed=bearer.user_id in version.listed),
            )
            return ShownAssistant(version, self._pep.ask(asked), configures)

        return shown

    async def _check_listed(self, user_ids: Sequence[str]) -> None:
        if user_ids and (nobodies := await self._store.nobodies(user_ids)):
            raise ParleyError(Code.INVALID, f"listed: no such person: {', '.join(nobodies[:10])}")

    def _check(self, version: AssistantVersion) -> None:
        provider = self._providers.get(version.provider)
        if provider is None:
            raise ParleyError(Code.INVALID, f"provider: one of {', '.join(self._providers)}")
        if version.model is not None and provider.models and version.model not in provider.models:
            raise ParleyError(Code.INVALID, f"model: {provider.name} offers {', '.join(provider.models)}")
