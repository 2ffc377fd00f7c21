"""Who is in a chat, with what role, and who is kept out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from app.domain.command import Command, Cost
from app.domain.errors import NOT_FOUND_REASON, Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.policy import Question
from app.domain.state import Consent, Needs
from app.domain.values import Attention, Chat, Member, Person, Role, Seen, UserKind

STRANGERS_MAX = 20
"""So often people who share no chat with somebody add them within an hour."""


@dataclass(frozen=True, slots=True)
class AddMember:
    """invited: they come by an invitation of the actor's, and want to."""

    type: ClassVar[str] = "member.add"
    user_id: str
    role: str
    invited: bool = False

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_person(facts, chat_id, self.user_id)
        facts.consents[(actor_id, self.user_id)] = None
        facts.refusals[(chat_id, self.user_id)] = None


@dataclass(frozen=True, slots=True)
class UpdateMember:
    """given: names of the fields that the caller named; the others stay."""

    type: ClassVar[str] = "member.update"
    user_id: str
    given: tuple[str, ...]
    role: str | None = None
    muted_until: datetime | None = None
    attention: str = Attention.ADDRESSED
    budget_per_hour: int | None = None

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_person(facts, chat_id, self.user_id)


@dataclass(frozen=True, slots=True)
class RemoveMember:
    """Of oneself: leaving."""

    type: ClassVar[str] = "member.remove"
    user_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_person(facts, chat_id, self.user_id)


@dataclass(frozen=True, slots=True)
class BanMember:
    type: ClassVar[str] = "member.ban"
    user_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_person(facts, chat_id, self.user_id)


@dataclass(frozen=True, slots=True)
class UnbanMember:
    type: ClassVar[str] = "member.unban"
    user_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_person(facts, chat_id, self.user_id)


def _needs_person(facts: Needs, chat_id: str, user_id: str) -> None:
    facts.members[(chat_id, user_id)] = None
    facts.people[user_id] = None
    facts.bans[(chat_id, user_id)] = None
    facts.owners[chat_id] = None


@dataclass(frozen=True, slots=True)
class MemberRemoved:
    """reason: left, removed or banned."""

    user_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class MemberUnbanned:
    user_id: str


def add(fold: Fold, command: Command, do: AddMember) -> int | None:
    key = (command.chat_id, do.user_id)
    fold.permit(command, "member.add", new_role=do.role, target_banned=key in fold.state.bans)
    if key in fold.state.members:
        return None
    person = fold.state.people.get(do.user_id)
    if person is None or do.user_id in fold.state.disabled:
        raise Refused(Code.INVALID, f"user_id names nobody: {do.user_id}")
    strangers = [] if do.invited else check_consent(fold, command, [do.user_id])
    seq = take_in(fold, command, person, do.role)
    note_added(fold, command, [do.user_id], strangers, seq)
    return seq


def take_in(fold: Fold, command: Command, person: Person, role: str) -> int:
    """Whoever may."""
    chat = fold.state.chats[command.chat_id]
    if chat.members_count >= fold.limits.group_members_max:
        raise Refused(Code.CONFLICT, f"a chat takes at most {fold.limits.group_members_max} members")
    check_manager(person, role)
    _count(fold, chat, +1)
    seq = chat.head + 1
    hides = chat.terms.history == Seen.FROM_JOINING and person.kind != UserKind.ASSISTANT
    member = Member(chat.id, person, role, None, fold.at(chat.id), seq, sees_from=seq if hides else 0)
    put(fold, member)
    fold.state.changes.read[(chat.id, person.id)] = member.joined_seq
    return fold.append(chat.id, "member.added", command.actor_id, member, command.id)


def make_owner(fold: Fold, command: Command, user_id: str) -> int | None:
    """Of a person who is in the chat or not, whoever may."""
    person, member = fold.state.people[user_id], fold.state.members.get((command.chat_id, user_id))
    check_manager(person, Role.OWNER)
    if user_id in fold.state.disabled:
        raise Refused(Code.INVALID, "a disabled account owns nothing")
    if member is not None:
        return change(fold, command, replace(member, role=Role.OWNER))
    if (command.chat_id, user_id) in fold.state.bans:
        raise Refused(Code.BANNED, "this person is banned from the chat")
    return take_in(fold, command, person, Role.OWNER)


def mute(fold: Fold, command: Command, user_id: str, until: datetime | None) -> int | None:
    """Until then, or not at all; whoever may."""
    member = fold.state.members.get((command.chat_id, user_id))
    if member is None:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    return change(fold, command, replace(member, muted_until=until))


def change(fold: Fold, command: Command, changed: Member) -> int | None:
    """Whoever may. None where nothing differs."""
    if changed == fold.state.members[(command.chat_id, changed.user.id)]:
        return None
    put(fold, changed)
    return fold.append(command.chat_id, "member.updated", command.actor_id, changed, command.id)


def check_manager(person: Person, role: str) -> None:
    """Raises Refused."""
    if person.kind != UserKind.HUMAN and role in (Role.OWNER, Role.ADMIN):
        raise Refused(Code.INVALID, "only people are owners and admins")


def check_consent(fold: Fold, command: Command, user_ids: Iterable[str]) -> list[str]:
    """People choose who adds them; the refusal names those who don't let this actor. Those with whom the actor shares no
    chat: `note_added` counts them."""
    refusals: list[tuple[Refused, Person]] = []
    strangers: list[str] = []
    for user_id in user_ids:
        person = fold.state.people[user_id]
        if person.kind != UserKind.HUMAN:
            continue
        consent = fold.state.consents.get((command.actor_id, user_id), Consent())
        member = fold.state.members.get((command.chat_id, command.actor_id))
        adder = member.user if member is not None else fold.state.people.get(command.actor_id)
        asked = Question(
            "person.add",
            person=adder.attributes if adder is not None else (),
            hour=fold.state.now.hour,
            added_by=consent.added_by or fold.limits.added_by,
            shares=consent.shares,
            refused=(command.chat_id, user_id) in fold.state.refusals,
            operator=consent.operator,
        )
        try:
            fold.ask(asked)
            if not consent.shares and not consent.operator:
                strangers.append(user_id)
                if consent.strangers >= STRANGERS_MAX:
                    raise Refused(Code.RATE_LIMITED, "added by too many strangers within the hour")
        except Refused as refused:
            refusals.append((refused, person))
    if refusals:
        first = min((refused for refused, _ in refusals), key=lambda refused: refused.code == Code.RATE_LIMITED)
        names = [f"{person.username} ({person.id})" for refused, person in refusals if refused.code == first.code]
        raise Refused(first.code, f"{first.reason}: {', '.join(names[:5])}", first.policies)
    return strangers


def note_added(fold: Fold, command: Command, user_ids: Iterable[str], strangers: Iterable[str], seq: int) -> None:
    """They came by this event: the actor shares a chat with them now."""
    consents = fold.state.consents
    for user_id in strangers:
        fold.state.changes.stranger_adds[(command.chat_id, user_id)] = seq
        for pair, consent in consents.items():
            if pair[1] == user_id:
                consents[pair] = replace(consent, strangers=consent.strangers + 1)
    for user_id in user_ids:
        for pair in ((command.actor_id, user_id), (user_id, command.actor_id)):
            if pair in consents:
                consents[pair] = replace(consents[pair], shares=True)


def update(fold: Fold, command: Command, do: UpdateMember) -> int | None:
    member = fold.state.members.get((command.chat_id, do.user_id))
    fold.permit(
        command,
        "member.update",
        own=do.user_id == command.actor_id,
        target_role=member.role if member else "",
        new_role=do.role or "" if "role" in do.given else "",
    )
    if member is None:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    changed = member
    if "role" in do.given and do.role is not None:
        check_manager(member.user, do.role)
        changed = replace(changed, role=do.role)
    if "muted_until" in do.given:
        changed = replace(changed, muted_until=do.muted_until)
    takes_part = {name: getattr(do, name) for name in ("attention", "budget_per_hour") if name in do.given}
    if takes_part:
        if member.user.kind != UserKind.ASSISTANT:
            raise Refused(Code.INVALID, "attention and budget_per_hour: only of an assistant")
        changed = replace(changed, **takes_part)
    return change(fold, command, changed)


def remove(fold: Fold, command: Command, do: RemoveMember) -> int:
    member = fold.state.members.get((command.chat_id, do.user_id))
    if do.user_id == command.actor_id:
        fold.permit(command, "member.leave", own=True)
        if member is not None and member.role == Role.OWNER and fold.state.owners.get(command.chat_id, 0) <= 1:
            raise Refused(Code.CONFLICT, "the last owner cannot leave: make another owner first")
        return drop(fold, command, do.user_id, "left")
    fold.permit(command, "member.remove", target_role=member.role if member else "")
    if member is None:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    return drop(fold, command, do.user_id, "removed")


def ban(fold: Fold, command: Command, do: BanMember) -> int | None:
    member = fold.state.members.get((command.chat_id, do.user_id))
    own = do.user_id == command.actor_id
    fold.permit(command, "member.ban", own=own, target_role=member.role if member else "")
    if do.user_id not in fold.state.people:
        raise Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
    return keep_out(fold, command, do.user_id, None)


def keep_out(fold: Fold, command: Command, user_id: str, until: datetime | None) -> int | None:
    """Remove a person, and keep them out for ever or until then."""
    key = (command.chat_id, user_id)
    seq = drop(fold, command, user_id, "banned") if key in fold.state.members else None
    if key not in fold.state.bans or fold.state.ban_ends.get(key) != until:
        fold.state.bans.add(key)
        fold.state.changes.bans[key] = command.actor_id
        fold.state.ban_ends.pop(key, None)
        if until is not None:
            fold.state.ban_ends[key] = until
    return seq


def unban(fold: Fold, command: Command, do: UnbanMember) -> int | None:
    fold.permit(command, "member.ban", own=do.user_id == command.actor_id)
    return let_in(fold, command, do.user_id)


def let_in(fold: Fold, command: Command, user_id: str) -> int | None:
    """A ban is lifted, whoever may."""
    key = (command.chat_id, user_id)
    if key not in fold.state.bans:
        return None
    fold.state.bans.discard(key)
    fold.state.ban_ends.pop(key, None)
    fold.state.changes.bans[key] = command.actor_id
    return fold.append(command.chat_id, "member.unbanned", command.actor_id, MemberUnbanned(user_id), command.id)


def _owns(member: Member) -> bool:
    """Only people count: an older version let assistants be owners."""
    return member.role == Role.OWNER and member.user.kind == UserKind.HUMAN


def put(fold: Fold, member: Member) -> None:
    """One who comes, or changes; owners are counted along."""
    key = (member.chat_id, member.user.id)
    before = fold.state.members.get(key)
    was, is_ = before is not None and _owns(before), _owns(member)
    fold.state.owners[member.chat_id] = fold.state.owners.get(member.chat_id, 0) + is_ - was
    fold.state.members[key] = member
    fold.state.changes.members.add(key)


def drop(fold: Fold, command: Command, user_id: str, reason: str) -> int:
    """Whoever may."""
    chat = fold.state.chats[command.chat_id]
    if chat.assistant is not None and chat.assistant.user_id == user_id:
        raise Refused(Code.CONFLICT, "the assistant stays in its chat")
    member = fold.state.members.pop((chat.id, user_id))
    fold.state.changes.members.add((chat.id, user_id))
    fold.state.owners[chat.id] = fold.state.owners.get(chat.id, 0) - _owns(member)
    _count(fold, chat, -1)
    return fold.append(chat.id, "member.removed", command.actor_id, MemberRemoved(user_id, reason), command.id)


def _count(fold: Fold, chat: Chat, more: int) -> None:
    fold.state.chats[chat.id] = replace(chat, members_count=chat.members_count + more)
    fold.state.changes.whole_chats.add(chat.id)


COSTS = {AddMember: lambda do: Cost(members=1)}
ACTIONS: dict[type, Rule] = {
    AddMember: add,
    UpdateMember: update,
    RemoveMember: remove,
    BanMember: ban,
    UnbanMember: unban,
}
EVENTS = (
    EventKind("member.added", Member, comes=lambda member: (member.user.id,)),
    EventKind("member.updated", Member),
    EventKind("member.removed", MemberRemoved, goes=lambda removed: (removed.user_id,)),
    EventKind("member.unbanned", MemberUnbanned),
)
