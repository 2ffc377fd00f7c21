"""Chats: how they begin, and what is the same for all in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from app.domain import members
from app.domain.command import Command, Cost
from app.domain.errors import Code
from app.domain.events import Event, EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.ids import ASSISTANT_ID
from app.domain.policy import Question
from app.domain.state import Needs
from app.domain.values import NO_TERMS, Agreed, AssistantSettings, Chat, ChatKind, Fork, Member, Role, Seen, UserKind

_NO_TITLE = "title: a direct chat has none"


@dataclass(frozen=True, slots=True)
class CreateChat:
    """forked_from: of a chat with an assistant, where its line goes on; who asks may read it."""

    type: ClassVar[str] = "chat.create"
    kind: str
    title: str | None = None
    member_ids: tuple[str, ...] = ()
    model: str | None = None
    instructions: str | None = None
    assistant_id: str = ASSISTANT_ID
    forked_from: Fork | None = None
    local_only: bool = False

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.people.update(dict.fromkeys((actor_id, self.assistant_id, *self.member_ids)))
        if self.kind == ChatKind.ASSISTANT:
            facts.assistants[(chat_id, self.assistant_id)] = None
        facts.consents.update(dict.fromkeys((actor_id, user_id) for user_id in self.member_ids))


@dataclass(frozen=True, slots=True)
class UpdateChat:
    """given: names of the fields that the caller named; the others stay."""

    type: ClassVar[str] = "chat.update"
    given: tuple[str, ...]
    title: str | None = None
    archived: bool = False
    model: str | None = None
    instructions: str | None = None
    assistant_id: str | None = None
    local_only: bool = False
    assistant_consent: bool = False
    history: str = Seen.ALL

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        if self.assistant_id is not None:
            facts.people[self.assistant_id] = None
            facts.owners[chat_id] = None
            facts.assistants[(chat_id, self.assistant_id)] = None


@dataclass(frozen=True, slots=True)
class NameChat:
    """A chat's own assistant gives it a name. Never over one that it has."""

    type: ClassVar[str] = "chat.name"
    title: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        pass


@dataclass(frozen=True, slots=True)
class ChatCreated:
    chat: Chat
    members: tuple[Member, ...]


def create(fold: Fold, command: Command, do: CreateChat) -> int | None:
    creator = fold.state.people.get(command.actor_id)
    person = creator.attributes if creator is not None else ()
    fold.ask(Question(CreateChat.type, person=person, hour=fold.state.now.hour))
    if do.kind == ChatKind.DIRECT and do.title is not None:
        raise Refused(Code.INVALID, _NO_TITLE)
    if command.chat_id in fold.state.chats:
        return None
    others = [user_id for user_id in dict.fromkeys(do.member_ids) if user_id != command.actor_id]
    if do.kind == ChatKind.ASSISTANT:
        _check_assistant(fold, do.assistant_id)
        others += [do.assistant_id] if do.assistant_id not in others else []
    _check_members(fold, do.kind, others)
    strangers = members.check_consent(fold, command, others)
    is_bot = creator is not None and creator.kind == UserKind.BOT
    if is_bot and do.kind == ChatKind.GROUP:
        raise Refused(Code.NOT_ALLOWED, "only people begin groups: somebody has to own them")
    now, own_role = fold.state.now, Role.MEMBER if do.kind == ChatKind.DIRECT or is_bot else Role.OWNER
    roles = {command.actor_id: own_role, **dict.fromkeys(others, Role.MEMBER)}
    assistant = AssistantSettings(do.assistant_id, do.model, do.instructions) if do.kind == ChatKind.ASSISTANT else None
    chat = Chat(
        id=command.chat_id,
        kind=do.kind,
        title=do.title,
        archived=False,
        created_at=now,
        created_by=command.actor_id,
        head=0,
        members_count=len(roles),
        last_at=now,
        assistant=assistant,
        terms=replace(NO_TERMS, forked_from=do.forked_from, local_only=do.local_only),
    )
    begin(fold, command, chat, roles)
    members.note_added(fold, command, others, strangers, 1)
    return 1


def begin(fold: Fold, command: Command, chat: Chat, roles: Mapping[str, str]) -> int:
    """A new chat and who is in it from the start, whoever may. roles: by user id."""
    fold.state.chats[chat.id] = chat
    fold.state.changes.new_chats.add(chat.id)
    people, at = fold.state.people, chat.created_at
    first = tuple(Member(chat.id, people[user_id], role, None, at, 1) for user_id, role in roles.items())
    for member in first:
        members.put(fold, member)
        fold.state.changes.read[(chat.id, member.user.id)] = member.joined_seq
    created = ChatCreated(replace(chat, head=1), first)
    fold.state.chats[chat.id] = chat.moved(1, at)
    fold.state.changes.chats.add(chat.id)
    fold.events.append(Event("chat.created", chat.id, 1, at, command.actor_id, created, command.id))
    return 1


def _check_assistant(fold: Fold, assistant_id: str) -> None:
    one = fold.state.assistants.get(assistant_id)
    if one is None or one.deleted:
        raise Refused(Code.INVALID, f"assistant.user_id names no assistant: {assistant_id}")


def _check_members(fold: Fold, kind: str, others: list[str]) -> None:
    unknown = [user_id for user_id in others if user_id not in fold.state.people or user_id in fold.state.disabled]
    if unknown:
        raise Refused(Code.INVALID, f"member_ids names nobody: {', '.join(unknown[:5])}")
    if kind == ChatKind.DIRECT and (len(others) != 1 or fold.state.people[others[0]].kind == UserKind.ASSISTANT):
        raise Refused(Code.INVALID, "a direct chat takes exactly one other person")
    if len(others) + 1 > fold.limits.group_members_max:
        raise Refused(Code.CONFLICT, f"a chat takes at most {fold.limits.group_members_max} members")


def update(fold: Fold, command: Command, do: UpdateChat) -> int | None:
    here = fold.state.chats.get(command.chat_id)
    if here is not None and here.kind == ChatKind.DIRECT and do.title is not None:
        fold.permit(command, "chat.read")
        raise Refused(Code.INVALID, _NO_TITLE)
    chat = fold.permit(command, "chat.update", unarchives="archived" in do.given and not do.archived)
    changed = chat
    if "title" in do.given:
        changed = replace(changed, title=do.title)
    if "archived" in do.given:
        changed = replace(changed, archived=do.archived)
    settings = {name: getattr(do, name) for name in ("model", "instructions") if name in do.given}
    if settings or "assistant" in do.given:
        if chat.assistant is None:
            raise Refused(Code.INVALID, "this chat has no assistant of its own")
        changed = replace(changed, assistant=replace(chat.assistant, **settings))
    if changed.assistant is not None and do.assistant_id not in (None, changed.assistant.user_id):
        own = changed.assistant if "model" in do.given else replace(changed.assistant, model=None)
        changed = _with_assistant(fold, changed, own, do.assistant_id)
    if "history" in do.given:
        if chat.kind != ChatKind.GROUP:
            raise Refused(Code.INVALID, "history: only of a group")
        changed = replace(changed, terms=replace(changed.terms, history=do.history))
    if "local_only" in do.given:
        changed = replace(changed, terms=replace(changed.terms, local_only=do.local_only))
    if "assistant_consent" in do.given:
        changed = _with_consent(fold, command, changed, do.assistant_consent)
    if changed == chat:
        return None
    return change(fold, command, changed)


def _with_consent(fold: Fold, command: Command, chat: Chat, agrees: bool) -> Chat:
    """An owner agrees that a group's text goes to providers outside, or doesn't any more."""
    fold.permit(command, "assistant.consent")
    if chat.kind != ChatKind.GROUP:
        raise Refused(Code.INVALID, "assistant_consent: only of a group")
    if agrees and chat.terms.consent is not None:
        return chat
    consent = Agreed(command.actor_id, fold.at(chat.id)) if agrees else None
    return replace(chat, terms=replace(chat.terms, consent=consent))


def _with_assistant(fold: Fold, chat: Chat, settings: AssistantSettings, assistant_id: str) -> Chat:
    """Another assistant takes the place of the chat's own, among its members too: all by the one event. A model that was
    chosen for the one before isn't its."""
    _check_assistant(fold, assistant_id)
    if (chat.id, assistant_id) in fold.state.bans:
        raise Refused(Code.BANNED, "this assistant is banned from the chat")
    before = (chat.id, settings.user_id)
    gone = fold.state.members.pop(before, None)
    fold.state.changes.members.add(before)
    count = chat.members_count - (gone is not None)
    if (chat.id, assistant_id) not in fold.state.members:
        person, seq = fold.state.people[assistant_id], chat.head + 1
        members.put(fold, Member(chat.id, person, Role.MEMBER, None, fold.at(chat.id), seq))
        fold.state.changes.read[(chat.id, assistant_id)] = seq
        count += 1
    return replace(chat, members_count=count, assistant=replace(settings, user_id=assistant_id))


def name(fold: Fold, command: Command, do: NameChat) -> int | None:
    chat = fold.state.chats.get(command.chat_id)
    if chat is None or chat.assistant is None or chat.assistant.user_id != command.actor_id:
        return None
    if chat.title is not None or chat.archived:
        return None
    return change(fold, command, replace(chat, title=do.title))


def change(fold: Fold, command: Command, chat: Chat) -> int:
    """The chat as it is from now on, whoever may."""
    fold.state.chats[chat.id] = chat
    fold.state.changes.whole_chats.add(chat.id)
    after = replace(chat, head=chat.head + 1)
    return fold.append(chat.id, "chat.updated", command.actor_id, after, command.id)


COSTS = {CreateChat: lambda do: Cost(chats=1, members=len(do.member_ids))}
ACTIONS: dict[type, Rule] = {CreateChat: create, UpdateChat: update, NameChat: name}
EVENTS = (
    EventKind("chat.created", ChatCreated, comes=lambda created: tuple(m.user.id for m in created.members)),
    EventKind("chat.updated", Chat),
)
