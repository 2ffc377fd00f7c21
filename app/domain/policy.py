"""The question that policies answer, and the answer. Small, hashable facts: an answer can be remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import lru_cache
from typing import Any

from app.domain.errors import Code
from app.domain.value import value
from app.domain.values import Attributes, Chat, Member


@value(frozen=True, slots=True)
class AssistantFacts:
    """asked_by, listed: of one that is asked: whom it lets, and whether the asker is on its list.
    addressed, attention, budget_left, quiet: of one that would speak: whether somebody called it, how much it takes part,
    whether it may say more this hour, whether nobody speaks just now; whether its provider is outside, whether that was agreed
    on, and whether the chat is kept to local ones."""

    asked_by: str = ""
    listed: bool = False
    addressed: bool = False
    attention: str = ""
    budget_left: bool = False
    quiet: bool = False
    outside: bool = False
    agreed: bool = False
    local_only: bool = False


@value(frozen=True, slots=True)
class KeyFacts:
    """scopes: what the key is good for. scope: what of that it takes; "" where that isn't asked."""

    scopes: frozenset[str] = frozenset()
    scope: str = ""


@value(frozen=True, slots=True)
class Question:
    """May this principal do this action here?

    role: the principal's in the chat, "" for a stranger or where there is no such chat.
    own: the message, question or person that the action is about is the principal's own.
    added_by, shares, refused, operator: of a person to be added: whom they let, whether they share a chat with who adds
    them, whether they refused this chat, whether who adds them is an operator.
    assistant: what else counts where one is asked, or would speak; role, mute and ban are its own then.
    key: of what is done with one, what it is good for, and what that takes.
    person: attributes of who asks, where the policies know any. hour: of the day, in UTC.
    target_role: present role of the person acted on, "" where there is none. new_role: the one asked for.
    """

    action: str
    role: str = ""
    chat_kind: str = ""
    archived: bool = False
    muted: bool = False
    own: bool = False
    target_role: str = ""
    target_banned: bool = False
    new_role: str = ""
    unarchives: bool = False
    added_by: str = ""
    shares: bool = False
    refused: bool = False
    operator: bool = False
    key: KeyFacts | None = None
    person: Attributes = ()
    hour: int = 0
    assistant: AssistantFacts | None = None


@value(frozen=True, slots=True)
class Answer:
    """policies: ids of those that decided. code, reason: of a refusal."""

    allowed: bool
    policies: tuple[str, ...]
    code: str = Code.NOT_ALLOWED
    reason: str = ""


Ask = Callable[[Question], Answer]

USE_KEY, USE_SERVER = "key.use", "server.use"
"""Whether a person's key, or a service's at the server API, is good for what is done with it."""


def question(action: str, chat: Chat | None, me: Member | None, now: datetime, **facts: Any) -> Question:
    """The facts that policies see, from what is known of the chat and the asker. Shared by every door."""
    if chat is None:
        return Question(action)
    if me is None:
        role, muted, person = "", False, _NOTHING
    else:
        role, person = me.role, me.user.attributes
        muted = me.muted_until is not None and me.muted_until > now
    if not facts and not person:
        return _plain(action, role, chat.kind, chat.archived, muted, now.hour)
    return Question(
        action,
        role=role,
        chat_kind=chat.kind,
        archived=chat.archived,
        muted=muted,
        person=person,
        hour=now.hour,
        **facts,
    )


_NOTHING: Attributes = ()


@lru_cache(1_000)
def _plain(action: str, role: str, chat_kind: str, archived: bool, muted: bool, hour: int) -> Question:
    """The same one for the same facts: what remembers answers needn't compare it."""
    return Question(action, role, chat_kind, archived, muted, hour=hour)


def facts_of(asked: Question) -> dict[str, Any]:
    """All that policies are told, by name, the action aside."""
    facts = asdict(asked)
    del facts["action"], facts["assistant"], facts["key"]
    key = asked.key or KeyFacts()
    facts["person"] = dict(asked.person)
    facts |= {"by_key": asked.key is not None, "scopes": sorted(key.scopes), "scope": key.scope}
    return facts | asdict(asked.assistant or AssistantFacts())
