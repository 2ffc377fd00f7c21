"""Whom a message asks, and who answers: the manners of assistants, as far as policies don't say them."""

from __future__ import annotations

from datetime import datetime

from app.domain.command import Command
from app.domain.errors import Code
from app.domain.fold import Fold, Refused
from app.domain.ids import ASSISTANT_ID, DEFAULT_PROVIDER
from app.domain.policy import AssistantFacts, KeyFacts, question
from app.domain.state import Needs, Silence, Spent, Spoken
from app.domain.text import called, calls, tokens_of
from app.domain.values import Assistant, Attention, Chat, ChatKind, Member, UserKind

AMBIENT_PER_HOUR = 6
"""So often an assistant speaks by itself in one chat, where its membership says nothing else."""


def needs_called(facts: Needs, chat_id: str, actor_id: str, body: str) -> None:
    """Of a message that may call assistants."""
    names = [name for meant in calls(body) for name in meant]
    facts.named.update(dict.fromkeys((chat_id, name) for name in names))
    key = (chat_id, actor_id)
    facts.askers[key] = facts.askers.get(key, False) or bool(names)


def asked(fold: Fold, command: Command, chat: Chat, body: str) -> list[Assistant]:
    """The assistants whom this message asks, in the order in which it names them: in a chat of its own that one, in a group
    those that are called. None is asked by another."""
    if chat.kind == ChatKind.ASSISTANT:
        own = chat.assistant.user_id if chat.assistant else ASSISTANT_ID
        mine = fold.state.assistants.get(own, Assistant(own, "", 1, "", deleted=True))
        return [] if _is_assistant(fold, command) else [mine]
    if chat.kind != ChatKind.GROUP or "@" not in body or _is_assistant(fold, command):
        return []
    by_name = {one.username: one for one in fold.state.assistants.values()}
    return [by_name[name] for name in called(body, by_name)]


def _is_assistant(fold: Fold, command: Command) -> bool:
    member = fold.state.members.get((command.chat_id, command.actor_id))
    return member is not None and member.user.kind == UserKind.ASSISTANT


def permit_asking(
    fold: Fold,
    command: Command,
    one: Assistant,
    body: str | None,
    ahead: int = 0,
    quiet: bool = False,
    addressed: bool = True,
) -> tuple[str, ...]:
    """Ids of the policies that let this actor ask, and this assistant answer here; or a refusal: it isn't theirs to ask, it is
    kept out or down in this chat, they wait for too many answers, or a quota is used up. body: of the question. ahead: so many answers more the same
    message asks for. addressed: whether they called it, or are silent, and it would speak by itself."""
    operator, listed = command.actor_id in fold.state.operators, command.actor_id in one.listed
    if one.deleted:
        raise Refused(Code.NOT_ALLOWED, "this assistant is no more")
    may = fold.allowing(
        command,
        "assistant.ask",
        operator=operator,
        assistant=AssistantFacts(asked_by=one.asked_by, listed=listed),
        key=KeyFacts(command.scopes) if command.scopes is not None else None,
    )
    speaks = permit_speaking(fold, command.chat_id, one, addressed, quiet)
    _check_quotas(fold, command.actor_id, ahead, reserve(fold, one, body))
    return may + speaks


def permit_speaking(fold: Fold, chat_id: str, one: Assistant, addressed: bool, quiet: bool = False) -> tuple[str, ...]:
    """Ids of the policies that let the assistant speak here, or a refusal."""
    key = (chat_id, one.id)
    chat, member = fold.state.chats[chat_id], fold.state.members.get(key)
    spoken = fold.state.spoken.get(key, Spoken())
    budget = member.budget_per_hour if member is not None else None
    left = (budget is None or spoken.answers < budget) and (
        addressed or budget is not None or spoken.by_itself < AMBIENT_PER_HOUR
    )
    return fold.ask(
        question(
            "assistant.speak",
            chat,
            member,
            fold.state.now,
            target_banned=key in fold.state.bans,
            assistant=AssistantFacts(
                addressed=addressed,
                attention=member.attention if member else "",
                budget_left=left,
                quiet=quiet,
                outside=(one.provider or DEFAULT_PROVIDER) not in fold.limits.local_providers,
                agreed=not fold.limits.consent or chat.kind != ChatKind.GROUP or chat.terms.consent is not None,
                local_only=chat.terms.local_only,
            ),
        )
    )


def is_bounded(member: Member | None) -> bool:
    """Whether it counts how much an assistant says in its chat."""
    return member is not None and (member.budget_per_hour is not None or member.attention == Attention.AMBIENT)


QUOTAS = {
    "replies_per_hour": "you asked for {quota} answers this hour, which is your quota",
    "replies_per_day": "you asked for {quota} answers today, which is your quota",
    "tokens_per_day": "your answers of today took, or may take, the {quota} tokens of your quota",
}
"""By name, as settings and a person's own have them, how a refusal says it."""


def _check_quotas(fold: Fold, asker_id: str, ahead: int, tokens: int) -> None:
    """tokens: that one answer may take."""
    most = fold.limits.open_questions_max
    if fold.state.open_questions.get(asker_id, 0) + ahead >= most:
        raise Refused(Code.QUOTA_EXCEEDED, f"you wait for {most} answers: wait for one, or stop it")
    spent, own = fold.state.asked.get(asker_id, Spent()), fold.state.quotas.get(asker_id, {})
    beyond = {
        "replies_per_hour": (spent.this_hour + ahead + 1, fold.limits.replies_per_hour),
        "replies_per_day": (spent.today + ahead + 1, fold.limits.replies_per_day),
        "tokens_per_day": (spent.tokens + (ahead + 1) * tokens, fold.limits.tokens_per_day),
    }
    for name, (used, of_all) in beyond.items():
        quota = own.get(name, of_all)
        if quota and used > quota:
            raise Refused(Code.QUOTA_EXCEEDED, QUOTAS[name].format(quota=quota))


def reserve(fold: Fold, one: Assistant, body: str | None) -> int:
    """Tokens that an answer to this question may take, before anybody counted: the question's, as estimated, and as many as an
    answer may have."""
    return tokens_of(body or "") + (one.max_output_tokens or fold.limits.answer_tokens)


OFF = "off"
"""The code of an assistant that takes no part; of no refusal."""
CONSENT_FIRST = "groups-agree-first"
"""The policy by which an assistant says nothing until an owner agrees."""


def note_silence(fold: Fold, command: Command, message_id: str, one: Assistant, why: Refused) -> None:
    """The asker is told, and nobody else."""
    note = Silence(command.chat_id, message_id, one.id, command.actor_id, why.code)
    fold.state.changes.silences.append(note)


def quota_windows(now: datetime) -> tuple[datetime, datetime]:
    """Where the hour and the day begin that quotas count: those of UTC."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    return hour, hour.replace(hour=0)


def count_asked(fold: Fold, chat_id: str, asker_id: str, one: Assistant, tokens: int, by_itself: bool) -> None:
    spent = fold.state.asked.get(asker_id, Spent())
    fold.state.asked[asker_id] = Spent(spent.this_hour + 1, spent.today + 1, spent.tokens + tokens)
    before = fold.state.spoken.get((chat_id, one.id), Spoken())
    fold.state.spoken[(chat_id, one.id)] = Spoken(before.answers + 1, before.by_itself + by_itself)


def count_open(fold: Fold, asker_id: str, more: int) -> None:
    fold.state.open_questions[asker_id] = fold.state.open_questions.get(asker_id, 0) + more
