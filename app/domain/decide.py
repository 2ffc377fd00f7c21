"""The rules of a chat: a pure fold of commands over facts, into events with seqs, or refusals.

Each command is asked against the state that those before it in the batch left. An id that is known, from the
database or from earlier in the batch, is never decided again: its first outcome is told again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.domain import commands as c
from app.domain.chat import AssistantSettings, Chat, ChatKind, Member, Role, UserKind
from app.domain.commands import Command
from app.domain.errors import NOT_FOUND_REASON, Code
from app.domain.events import ChatCreated, Event, MemberRemoved, MemberUnbanned, Payload, ReactionChange
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.message import (
    REACTION_USERS_SHOWN,
    REACTIONS_MAX,
    Failure,
    Message,
    MessageKind,
    Reply,
    Status,
    asks_assistant,
)
from app.domain.rules import Answer, Ask, Question
from app.domain.state import Decided, Outcome, Pair, Result, State


@dataclass(frozen=True, slots=True)
class Limits:
    group_members_max: int = 1_000


class _Refused(Exception):
    def __init__(self, code: Code, reason: str, policies: tuple[str, ...] = ()) -> None:
        self.code, self.reason, self.policies = code, reason, policies


def decide(
    state: State, commands: Iterable[Command], ask: Ask, new_id: Callable[[], str], limits: Limits = Limits()
) -> Decided:
    """Fold `commands` into `state`. new_id draws the ids of messages; everything else follows from the arguments."""
    fold = _Fold(state, ask, new_id, limits)
    results = [fold.step(command) for command in commands]
    return Decided(state, results, fold.events)


def refuse(state: State, command: Command, code: Code, reason: str) -> Decided:
    """The outcome of a command that cannot be decided: a refusal with its trace, nothing else."""
    fold = _Fold(state, lambda q: Answer(False, ()), lambda: "", Limits())
    known = state.known.get(command.key)
    result = Result(command, known, repeat=True) if known else fold.refused(command, _Refused(code, reason))
    return Decided(state, [result], [])


class _Fold:
    def __init__(self, state: State, ask: Ask, new_id: Callable[[], str], limits: Limits) -> None:
        self.state = state
        self.ask = ask
        self.new_id = new_id
        self.limits = limits
        self.events: list[Event] = []

    def step(self, command: Command) -> Result:
        known = self.state.known.get(command.key)
        if known is not None:
            return Result(command, known, repeat=True)
        try:
            seq = _HANDLERS[type(command.action)](self, command, command.action)
        except _Refused as refusal:
            return self.refused(command, refusal)
        result = Result(command, Outcome(command.type, seq))
        self.state.known[command.key] = result.outcome
        if type(command.action) is not c.SendMessage:
            self.state.changes.traces.append(result)
        return result

    def refused(self, command: Command, refusal: _Refused) -> Result:
        outcome = Outcome(command.type, None, refusal.code, refusal.reason, refusal.policies)
        result = Result(command, outcome)
        if command.chat_id in self.state.chats or type(command.action) is c.CreateChat:
            self.state.known[command.key] = outcome
            self.state.changes.traces.append(result)
        return result

    # What every handler uses

    def permit(self, command: Command, action: str, **facts: Any) -> Chat:
        """Ask whether the actor may; the chat as it is now, or a refusal."""
        chat = self.state.chats.get(command.chat_id)
        me = self.state.members.get((command.chat_id, command.actor_id))
        answer = self.ask(question(action, chat, me, self.state.now, **facts))
        if not answer.allowed:
            raise _Refused(answer.code, answer.reason, answer.policies)
        if chat is None:
            raise _Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        return chat

    def append(self, chat_id: str, type_: str, actor_id: str, payload: Payload, command_id: str | None = None) -> Event:
        """Give the chat's next seq to an event."""
        chat = self.state.chats[chat_id]
        at = max(self.state.now, chat.last_at)
        seq = chat.head + 1
        self.state.chats[chat_id] = replace(chat, head=seq, last_at=at)
        self.state.changes.chats.add(chat_id)
        event = Event(type_, chat_id, seq, at, actor_id, payload, command_id)
        self.events.append(event)
        return event

    def append_message(self, message: Message) -> Event:
        """A message takes its place at the chat's next seq."""
        chat = self.state.chats[message.chat_id]
        at = max(self.state.now, chat.last_at)
        seq = chat.head + 1
        placed = replace(message, seq=seq, created_at=at)
        self.state.chats[chat.id] = replace(chat, head=seq, last_at=at)
        self.state.changes.chats.add(chat.id)
        key = (chat.id, placed.id)
        self.state.messages[key] = placed
        self.state.reactions[key] = {}
        self.state.changes.new_messages.append(key)
        event = Event("message.created", chat.id, seq, at, placed.sender_id, placed)
        self.events.append(event)
        return event

    def change_message(self, type_: str, actor_id: str, message: Message, command_id: str | None) -> int:
        key = (message.chat_id, message.id)
        whole = replace(message, reactions=self.state.shown_reactions(key, REACTION_USERS_SHOWN))
        self.state.messages[key] = whole
        self.state.changes.messages.add(key)
        return self.append(message.chat_id, type_, actor_id, whole, command_id).seq

    def find(self, command: Command, message_id: str) -> Message:
        """The message, for whoever may read the chat."""
        message = self.state.message((command.chat_id, message_id))
        if message is None:
            self.permit(command, "chat.read")
            raise _Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        return message

    def at(self, chat_id: str) -> datetime:
        return max(self.state.now, self.state.chats[chat_id].last_at)

    # Messages

    def send(self, command: Command, do: c.SendMessage) -> int:
        chat = self.permit(command, "message.send")
        asked = chat.kind == ChatKind.ASSISTANT or (chat.kind == ChatKind.GROUP and asks_assistant(do.body))
        asked = asked and command.actor_id != ASSISTANT_ID
        if asked:
            self.permit(command, "assistant.ask")
        if do.reply_to is not None and (chat.id, do.reply_to) not in self.state.messages:
            raise _Refused(Code.INVALID, "reply_to names no message of this chat")
        sent = self.append_message(
            Message(
                chat_id=chat.id,
                seq=0,
                id=self.new_id(),
                sender_id=command.actor_id,
                kind=MessageKind.USER,
                client_message_id=command.id,
                body=do.body,
                reply_to=do.reply_to,
                status=Status.COMPLETE,
                created_at=self.state.now,
            )
        )
        self.state.changes.sent[(chat.id, command.actor_id)] = sent.seq
        if asked and isinstance(sent.payload, Message):
            self.open_reply(command, sent.payload.id)
        return sent.seq

    def edit(self, command: Command, do: c.EditMessage) -> int | None:
        message = self.find(command, do.message_id)
        self.permit(command, "message.edit", own=message.sender_id == command.actor_id)
        if message.deleted_at is not None:
            raise _Refused(Code.CONFLICT, "the message is deleted")
        if message.body == do.body:
            return None
        edited = replace(message, body=do.body, edited_at=self.at(command.chat_id))
        return self.change_message("message.edited", command.actor_id, edited, command.id)

    def delete(self, command: Command, do: c.DeleteMessage) -> int | None:
        message = self.find(command, do.message_id)
        self.permit(command, "message.delete", own=message.sender_id == command.actor_id)
        if message.deleted_at is not None:
            return None
        for reply in list(self.state.replies.values()):
            concerned = reply.chat_id == command.chat_id and do.message_id in (reply.message_id, reply.question_id)
            if concerned and not reply.finished:
                self.end_reply_at_once(reply, Status.STOPPED)
        key = (command.chat_id, do.message_id)
        for emoji, users in self.state.reactions.get(key, {}).items():
            self.state.changes.reactions.update((*key, emoji, user) for user in users)
        self.state.reactions[key] = {}
        tombstone = replace(self.state.messages[key], body=None, deleted_at=self.at(command.chat_id))
        return self.change_message("message.deleted", command.actor_id, tombstone, command.id)

    def add_reaction(self, command: Command, do: c.AddReaction) -> int | None:
        message = self.find(command, do.message_id)
        self.permit(command, "reaction.add")
        if message.deleted_at is not None:
            raise _Refused(Code.CONFLICT, "the message is deleted")
        key = (command.chat_id, do.message_id)
        reactions = self.state.reactions.setdefault(key, {})
        if command.actor_id in reactions.get(do.emoji, {}):
            return None
        if do.emoji not in reactions and len(reactions) >= REACTIONS_MAX:
            raise _Refused(Code.CONFLICT, f"a message takes at most {REACTIONS_MAX} different reactions")
        change = ReactionChange(do.message_id, do.emoji, command.actor_id)
        seq = self.append(command.chat_id, "reaction.added", command.actor_id, change, command.id).seq
        reactions.setdefault(do.emoji, {})[command.actor_id] = seq
        self.state.changes.reactions.add((*key, do.emoji, command.actor_id))
        return seq

    def remove_reaction(self, command: Command, do: c.RemoveReaction) -> int | None:
        self.find(command, do.message_id)
        self.permit(command, "reaction.remove")
        key = (command.chat_id, do.message_id)
        reactions = self.state.reactions.setdefault(key, {})
        users = reactions.get(do.emoji, {})
        if command.actor_id not in users:
            return None
        del users[command.actor_id]
        if not users:
            del reactions[do.emoji]
        self.state.changes.reactions.add((*key, do.emoji, command.actor_id))
        change = ReactionChange(do.message_id, do.emoji, command.actor_id)
        return self.append(command.chat_id, "reaction.removed", command.actor_id, change, command.id).seq

    # Chats and members

    def create(self, command: Command, do: c.CreateChat) -> int | None:
        answer = self.ask(Question("chat.create"))
        if not answer.allowed:
            raise _Refused(answer.code, answer.reason, answer.policies)
        if command.chat_id in self.state.chats:
            return None
        others = [user_id for user_id in dict.fromkeys(do.member_ids) if user_id != command.actor_id]
        if do.kind == ChatKind.ASSISTANT and ASSISTANT_ID not in others:
            others.append(ASSISTANT_ID)
        self.check_members(do.kind, others)
        now, own_role = self.state.now, Role.MEMBER if do.kind == ChatKind.DIRECT else Role.OWNER
        roles = {command.actor_id: own_role, **dict.fromkeys(others, Role.MEMBER)}
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
            assistant=AssistantSettings(ASSISTANT_ID, do.model, do.instructions)
            if do.kind == ChatKind.ASSISTANT
            else None,
        )
        members = tuple(Member(chat.id, self.state.people[u], role, None, now, 1) for u, role in roles.items())
        self.state.chats[chat.id] = chat
        self.state.changes.new_chats.add(chat.id)
        for member in members:
            self.state.members[(chat.id, member.user.id)] = member
            self.state.changes.members.add((chat.id, member.user.id))
        self.state.owners[chat.id] = sum(role == Role.OWNER for role in roles.values())
        created = ChatCreated(replace(chat, head=1), members)
        return self.append(chat.id, "chat.created", command.actor_id, created, command.id).seq

    def check_members(self, kind: str, others: list[str]) -> None:
        unknown = [user_id for user_id in others if user_id not in self.state.people]
        if unknown:
            raise _Refused(Code.INVALID, f"member_ids names nobody: {', '.join(unknown[:5])}")
        if kind == ChatKind.DIRECT and (len(others) != 1 or self.state.people[others[0]].kind != UserKind.HUMAN):
            raise _Refused(Code.INVALID, "a direct chat takes exactly one other person")
        if len(others) + 1 > self.limits.group_members_max:
            raise _Refused(Code.CONFLICT, f"a chat takes at most {self.limits.group_members_max} members")

    def update(self, command: Command, do: c.UpdateChat) -> int | None:
        chat = self.permit(command, "chat.update", unarchives="archived" in do.given and not do.archived)
        changed = chat
        if "title" in do.given:
            changed = replace(changed, title=do.title)
        if "archived" in do.given:
            changed = replace(changed, archived=do.archived)
        settings = {name: getattr(do, name) for name in ("model", "instructions") if name in do.given}
        if settings or "assistant" in do.given:
            if chat.assistant is None:
                raise _Refused(Code.INVALID, "this chat has no assistant of its own")
            changed = replace(changed, assistant=replace(chat.assistant, **settings))
        if changed == chat:
            return None
        self.state.chats[chat.id] = changed
        after = replace(changed, head=changed.head + 1)
        return self.append(chat.id, "chat.updated", command.actor_id, after, command.id).seq

    def add_member(self, command: Command, do: c.AddMember) -> int | None:
        key = (command.chat_id, do.user_id)
        self.permit(command, "member.add", new_role=do.role, target_banned=key in self.state.bans)
        if key in self.state.members:
            return None
        person = self.state.people.get(do.user_id)
        if person is None:
            raise _Refused(Code.INVALID, f"user_id names nobody: {do.user_id}")
        chat = self.state.chats[command.chat_id]
        if chat.members_count >= self.limits.group_members_max:
            raise _Refused(Code.CONFLICT, f"a chat takes at most {self.limits.group_members_max} members")
        self.state.chats[chat.id] = replace(chat, members_count=chat.members_count + 1)
        member = Member(chat.id, person, do.role, None, self.at(chat.id), chat.head + 1)
        self.put_member(member)
        return self.append(chat.id, "member.added", command.actor_id, member, command.id).seq

    def update_member(self, command: Command, do: c.UpdateMember) -> int | None:
        member = self.state.members.get((command.chat_id, do.user_id))
        self.permit(
            command,
            "member.update",
            own=do.user_id == command.actor_id,
            target_role=member.role if member else "",
            new_role=do.role or "" if "role" in do.given else "",
        )
        if member is None:
            raise _Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        changed = member
        if "role" in do.given and do.role is not None:
            changed = replace(changed, role=do.role)
        if "muted_until" in do.given:
            changed = replace(changed, muted_until=do.muted_until)
        if changed == member:
            return None
        self.put_member(changed)
        return self.append(command.chat_id, "member.updated", command.actor_id, changed, command.id).seq

    def remove_member(self, command: Command, do: c.RemoveMember) -> int:
        member = self.state.members.get((command.chat_id, do.user_id))
        if do.user_id == command.actor_id:
            self.permit(command, "member.leave", own=True)
            if member is not None and member.role == Role.OWNER and self.state.owners.get(command.chat_id, 0) <= 1:
                raise _Refused(Code.CONFLICT, "the last owner cannot leave: make another owner first")
            return self.drop_member(command, do.user_id, "left")
        self.permit(command, "member.remove", target_role=member.role if member else "")
        if member is None:
            raise _Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        return self.drop_member(command, do.user_id, "removed")

    def ban_member(self, command: Command, do: c.BanMember) -> int | None:
        key = (command.chat_id, do.user_id)
        member = self.state.members.get(key)
        own = do.user_id == command.actor_id
        self.permit(command, "member.ban", own=own, target_role=member.role if member else "")
        if do.user_id not in self.state.people:
            raise _Refused(Code.NOT_FOUND, NOT_FOUND_REASON)
        seq = self.drop_member(command, do.user_id, "banned") if member is not None else None
        if key not in self.state.bans:
            self.state.bans.add(key)
            self.state.changes.bans[key] = command.actor_id
        return seq

    def unban_member(self, command: Command, do: c.UnbanMember) -> int | None:
        key = (command.chat_id, do.user_id)
        self.permit(command, "member.ban", own=do.user_id == command.actor_id)
        if key not in self.state.bans:
            return None
        self.state.bans.discard(key)
        self.state.changes.bans[key] = command.actor_id
        payload = MemberUnbanned(do.user_id)
        return self.append(command.chat_id, "member.unbanned", command.actor_id, payload, command.id).seq

    def put_member(self, member: Member) -> None:
        key = (member.chat_id, member.user.id)
        before = self.state.members.get(key)
        was, is_ = before is not None and before.role == Role.OWNER, member.role == Role.OWNER
        self.state.owners[member.chat_id] = self.state.owners.get(member.chat_id, 0) + is_ - was
        self.state.members[key] = member
        self.state.changes.members.add(key)

    def drop_member(self, command: Command, user_id: str, reason: str) -> int:
        chat = self.state.chats[command.chat_id]
        if chat.kind == ChatKind.ASSISTANT and user_id == ASSISTANT_ID:
            raise _Refused(Code.CONFLICT, "the assistant stays in its chat")
        member = self.state.members.pop((chat.id, user_id))
        self.state.changes.members.add((chat.id, user_id))
        self.state.owners[chat.id] = self.state.owners.get(chat.id, 0) - (member.role == Role.OWNER)
        self.state.chats[chat.id] = replace(chat, members_count=chat.members_count - 1)
        gone = MemberRemoved(user_id, reason)
        return self.append(chat.id, "member.removed", command.actor_id, gone, command.id).seq

    # Assistants' replies

    def open_reply(self, command: Command, question_id: str, regenerates: str | None = None) -> Event:
        """The reply's message and its job, in the same transaction as the question."""
        chat_id = command.chat_id
        opened = self.append_message(
            Message(
                chat_id=chat_id,
                seq=0,
                id=derived_id("reply", chat_id, question_id) if regenerates is None else self.new_id(),
                sender_id=ASSISTANT_ID,
                kind=MessageKind.ASSISTANT,
                client_message_id=None,
                body="",
                reply_to=question_id,
                status=Status.PENDING,
                created_at=self.state.now,
                regenerates=regenerates,
            )
        )
        assert isinstance(opened.payload, Message)
        key = (chat_id, opened.payload.id)
        self.state.replies[key] = Reply(chat_id, opened.payload.id, question_id, 0, held=False, trace=command.trace)
        self.state.changes.new_replies.append(key)
        return opened

    def end_reply(self, reply: Reply, attempt: int, status: str, body: str, **more: Any) -> int:
        key = (reply.chat_id, reply.message_id)
        self.state.replies[key] = replace(reply, attempt=attempt, finished=True, held=False)
        self.state.changes.replies.add(key)
        ended = replace(self.state.messages[key], status=status, body=body, attempt=attempt, **more)
        return self.change_message("message.completed", ended.sender_id, ended, None)

    def end_reply_at_once(self, reply: Reply, status: str, **more: Any) -> int:
        """As one attempt more, empty: whatever the present holder still says is of a superseded attempt."""
        return self.end_reply(reply, reply.attempt + 1, status, "", **more)

    def reply_to_act_on(self, command: Command, message_id: str) -> Reply:
        reply = self.state.replies.get((command.chat_id, message_id))
        if reply is None:
            raise _Refused(Code.CONFLICT, "this message is no assistant's reply")
        return reply

    def stop_reply(self, command: Command, do: c.StopReply) -> None:
        self.find(command, do.message_id)
        self.permit(command, "reply.stop")
        reply = self.reply_to_act_on(command, do.message_id)
        if reply.finished:
            return
        if reply.held:
            key = (reply.chat_id, reply.message_id)
            self.state.replies[key] = replace(reply, stop_requested=True)
            self.state.changes.replies.add(key)
        else:
            self.end_reply_at_once(reply, Status.STOPPED)

    def regenerate_reply(self, command: Command, do: c.RegenerateReply) -> int:
        message = self.find(command, do.message_id)
        asked = self.state.message((command.chat_id, message.reply_to or ""))
        own = message.kind == MessageKind.ASSISTANT and asked is not None and asked.sender_id == command.actor_id
        self.permit(command, "reply.regenerate", own=own)
        reply = self.reply_to_act_on(command, do.message_id)
        if not reply.finished:
            raise _Refused(Code.CONFLICT, "the reply is still being written: stop it first")
        if message.deleted_at is not None or asked is None or asked.deleted_at is not None:
            raise _Refused(Code.CONFLICT, "the reply or its question is deleted")
        opened = self.open_reply(command, reply.question_id, regenerates=message.id)
        self.events[-1] = replace(opened, command_id=command.id)
        return opened.seq

    def complete_reply(self, command: Command, do: c.CompleteReply) -> int | None:
        """The attempt alone is the fence: no archive, mute or removal refuses an answer's end."""
        reply = self.state.replies.get((command.chat_id, do.message_id))
        if reply is None or reply.finished or reply.attempt != do.attempt:
            return None
        return self.end_reply(reply, do.attempt, do.status, do.body, failure=do.failure, usage=do.usage)

    def expire_reply(self, command: Command, do: c.ExpireReply) -> int | None:
        reply = self.state.replies.get((command.chat_id, do.message_id))
        if reply is None or reply.finished or reply.attempt != do.attempt:
            return None
        failure = Failure("no_progress", "the assistant made no progress")
        return self.end_reply_at_once(reply, Status.FAILED, failure=failure)


def question(action: str, chat: Chat | None, me: Member | None, now: datetime, **facts: Any) -> Question:
    """The facts that policies see, from what is known of the chat and the asker. Shared by every door."""
    if chat is None:
        return Question(action)
    return Question(
        action,
        role=me.role if me else "",
        chat_kind=chat.kind,
        archived=chat.archived,
        muted=me is not None and me.muted_until is not None and me.muted_until > now,
        **facts,
    )


_Handler = Callable[[_Fold, Command, Any], int | None]
_HANDLERS: dict[type[c.Action], _Handler] = {
    c.SendMessage: _Fold.send,
    c.EditMessage: _Fold.edit,
    c.DeleteMessage: _Fold.delete,
    c.AddReaction: _Fold.add_reaction,
    c.RemoveReaction: _Fold.remove_reaction,
    c.CreateChat: _Fold.create,
    c.UpdateChat: _Fold.update,
    c.AddMember: _Fold.add_member,
    c.UpdateMember: _Fold.update_member,
    c.RemoveMember: _Fold.remove_member,
    c.BanMember: _Fold.ban_member,
    c.UnbanMember: _Fold.unban_member,
    c.StopReply: _Fold.stop_reply,
    c.RegenerateReply: _Fold.regenerate_reply,
    c.CompleteReply: _Fold.complete_reply,
    c.ExpireReply: _Fold.expire_reply,
}

__all__ = ["Decided", "Limits", "Pair", "decide", "question", "refuse"]
