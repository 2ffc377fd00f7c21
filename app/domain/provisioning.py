"""What a host's backend does with a key of its own: chats as it wants them, and what it says in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from app.domain import chats, members, messages
from app.domain.command import Command
from app.domain.errors import NOT_FOUND_REASON, Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.policy import USE_SERVER, KeyFacts, Question
from app.domain.scopes import ServiceScope
from app.domain.state import Needs
from app.domain.values import Chat, ChatKind, Member, Message, MessageKind, Role, Status, Via

Wanted = tuple[str, str]
"""(user id, role)."""


@dataclass(frozen=True, slots=True)
class ProvisionChat:
    """The chat as it shall be. title: None leaves it. exact: who isn't named goes. created_at: of one that was
    made elsewhere; where it is here already it stays as it is."""

    type: ClassVar[str] = "chat.provision"
    kind: str
    title: str | None = None
    members: tuple[Wanted, ...] = ()
    exact: bool = False
    created_at: datetime | None = None

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        for user_id, _ in self.members:
            facts.people[user_id] = None
            facts.members[(chat_id, user_id)] = None
            facts.bans[(chat_id, user_id)] = None
        facts.owners[chat_id] = None
        if self.exact:
            facts.rosters[chat_id] = None


@dataclass(frozen=True, slots=True)
class PostMessage:
    """via: the name of the key that says it, where it is said as somebody else; "" for the key's own bot."""

    type: ClassVar[str] = "message.post"
    body: str
    key_id: str
    via: str = ""

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        messages.SendMessage(self.body).needs(facts, chat_id, actor_id)


@dataclass(frozen=True, slots=True)
class ImportMessage:
    """What was said elsewhere, at its time. id: what it is called from now on; it follows from its origin."""

    type: ClassVar[str] = "message.import"
    id: str
    body: str
    created_at: datetime
    reply_to: str | None = None

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        pass


def _permit(fold: Fold, command: Command, scope: ServiceScope) -> None:
    fold.ask(Question(USE_SERVER, key=KeyFacts(command.scopes or frozenset(), scope)))


def provision(fold: Fold, command: Command, do: ProvisionChat) -> int | None:
    _permit(fold, command, ServiceScope.CHATS)
    _check(fold, command, do)
    roles = {user_id: Role.MEMBER if do.kind == ChatKind.DIRECT else role for user_id, role in do.members}
    chat = fold.state.chats.get(command.chat_id)
    if chat is None:
        at = do.created_at or fold.state.now
        new = Chat(command.chat_id, do.kind, do.title, False, at, command.actor_id, 0, len(roles), at)
        return chats.begin(fold, command, new, roles)
    if do.created_at is not None:
        return None
    if chat.kind != do.kind:
        raise Refused(Code.CONFLICT, f"this chat is of kind {chat.kind}")
    here = [user_id for chat_id, user_id in fold.state.members if chat_id == chat.id]
    go = [user_id for user_id in here if user_id not in roles] if do.exact and chat.kind == ChatKind.GROUP else []
    come = [user_id for user_id in roles if user_id not in here]
    if chat.members_count + len(come) - len(go) > fold.limits.group_members_max:
        raise Refused(Code.CONFLICT, f"a chat takes at most {fold.limits.group_members_max} members")
    before = chat.head
    # Nothing is refused from here on: what is done to a chat is done whole, or not at all.
    if do.title is not None and do.title != chat.title:
        chats.change(fold, command, replace(chat, title=do.title))
    for user_id in go:
        members.drop(fold, command, user_id, "removed")
    for user_id, role in roles.items():
        _place(fold, command, user_id, role)
    head = fold.state.chats[chat.id].head
    return head if head > before else None


def _check(fold: Fold, command: Command, do: ProvisionChat) -> None:
    unknown = [
        user_id
        for user_id, _ in do.members
        if user_id not in fold.state.people
        or (user_id in fold.state.disabled and (command.chat_id, user_id) not in fold.state.members)
    ]
    if unknown:
        raise Refused(Code.INVALID, f"members names nobody, or who is disabled: {', '.join(unknown[:5])}")
    for user_id, role in do.members:
        members.check_manager(fold.state.people[user_id], role)
        if (command.chat_id, user_id) in fold.state.bans:
            raise Refused(Code.BANNED, f"banned from the chat: {fold.state.people[user_id].username}")
    if do.kind == ChatKind.DIRECT and (len(do.members) != 2 or do.title is not None):
        raise Refused(Code.INVALID, "a direct chat takes exactly two members, and no title")
    if do.kind not in (ChatKind.DIRECT, ChatKind.GROUP):
        raise Refused(Code.INVALID, "kind: group or direct")
    if len(do.members) > fold.limits.group_members_max:
        raise Refused(Code.CONFLICT, f"a chat takes at most {fold.limits.group_members_max} members")


def _place(fold: Fold, command: Command, user_id: str, role: str) -> None:
    member: Member | None = fold.state.members.get((command.chat_id, user_id))
    if member is None:
        members.take_in(fold, command, fold.state.people[user_id], role)
    else:
        members.change(fold, command, replace(member, role=role))


def post(fold: Fold, command: Command, do: PostMessage) -> int:
    """As who is in the chat by their own rights; as the key's bot, also where it isn't."""
    _permit(fold, command, ServiceScope.MESSAGES)
    via, said = Via(do.key_id, do.via) if do.via else None, messages.SendMessage(do.body)
    if (command.chat_id, command.actor_id) not in fold.state.members:
        _check_open(fold, command, do)
        return messages.send(fold, command, said, via, unasked=True)
    # Scopes are the key's; the person may ask what they may ask.
    return messages.send(fold, replace(command, scopes=None), said, via)


def bring(fold: Fold, command: Command, do: ImportMessage) -> int:
    """By who runs the service: at the command line, and by no door. Nobody is asked, and nobody answers."""
    chat = fold.state.chats.get(command.chat_id)
    if chat is None:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    seq = chat.head + 1
    fold.state.chats[chat.id] = chat.moved(seq, max(chat.last_at, do.created_at))
    fold.state.changes.chats.add(chat.id)
    fold.append_message(
        Message(
            chat_id=chat.id,
            seq=seq,
            id=do.id,
            sender_id=command.actor_id,
            kind=MessageKind.USER,
            client_message_id=command.id,
            body=do.body,
            reply_to=do.reply_to,
            status=Status.COMPLETE,
            created_at=do.created_at,
        )
    )
    return seq


def _check_open(fold: Fold, command: Command, do: PostMessage) -> None:
    chat = fold.state.chats.get(command.chat_id)
    if chat is None or do.via:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    if chat.archived:
        raise Refused(Code.ARCHIVED, "the chat is archived")


ACTIONS: dict[type, Rule] = {ProvisionChat: provision, PostMessage: post, ImportMessage: bring}
EVENTS: tuple[EventKind, ...] = ()
