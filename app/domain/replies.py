"""Assistants' replies: asked for together with their question, written by whoever holds the attempt, ended once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from app.domain.assistants import OFF, count_asked, count_open, permit_asking, reserve
from app.domain.command import Command
from app.domain.errors import Code
from app.domain.events import EventKind
from app.domain.fold import Fold, Refused, Rule
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.state import Needs, Pair
from app.domain.values import Assistant, ChatKind, Failure, Message, MessageKind, Reply, Status, Usage

REMARKS_MAX = 5
"""On one answer."""


@dataclass(frozen=True, slots=True)
class StopReply:
    type: ClassVar[str] = "reply.stop"
    message_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_reply(facts, chat_id, self.message_id)


@dataclass(frozen=True, slots=True)
class RegenerateReply:
    type: ClassVar[str] = "reply.regenerate"
    message_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_reply(facts, chat_id, self.message_id)
        facts.askers[(chat_id, actor_id)] = True
        facts.answerers[(chat_id, self.message_id)] = None
        facts.floors[chat_id] = None


@dataclass(frozen=True, slots=True)
class SteerReply:
    """A remark to an answer whose turn hasn't come."""

    type: ClassVar[str] = "reply.steer"
    message_id: str
    body: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_reply(facts, chat_id, self.message_id)


@dataclass(frozen=True, slots=True)
class ReplySteered:
    """text: "" where the question or its answer is deleted."""

    message_id: str
    text: str


@dataclass(frozen=True, slots=True)
class SpeakUp:
    """An assistant would say something by itself, to the newest message, which nothing followed when the chat's head was
    this. asker_id: whose message it is: it counts as asked by them."""

    type: ClassVar[str] = "assistant.speak"
    message_id: str
    head: int
    asker_id: str

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        facts.messages[(chat_id, self.message_id)] = None
        facts.members[(chat_id, self.asker_id)] = None
        facts.askers[(chat_id, self.asker_id)] = True
        facts.floors[chat_id] = None
        facts.assistants[(chat_id, actor_id)] = None


@dataclass(frozen=True, slots=True)
class CompleteReply:
    """The end of an attempt, told by the assistant worker that holds it. body: all its deltas."""

    type: ClassVar[str] = "reply.complete"
    message_id: str
    attempt: int
    status: str
    body: str
    failure: Failure | None = None
    usage: Usage | None = None

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_reply(facts, chat_id, self.message_id)


@dataclass(frozen=True, slots=True)
class ExpireReply:
    """Ends a reply that made no progress while at `attempt`, whoever holds it."""

    type: ClassVar[str] = "reply.expire"
    message_id: str
    attempt: int

    def needs(self, facts: Needs, chat_id: str, actor_id: str) -> None:
        _needs_reply(facts, chat_id, self.message_id)


def _needs_reply(facts: Needs, chat_id: str, message_id: str) -> None:
    facts.messages[(chat_id, message_id)] = None
    facts.replies[(chat_id, message_id)] = None


def open_reply(
    fold: Fold,
    command: Command,
    question_id: str,
    one: Assistant,
    policies: tuple[str, ...],
    regenerates: str | None = None,
    command_id: str | None = None,
    by_itself: bool = False,
) -> int:
    """The reply's message and its job, in the same transaction as the question. one: who writes it. policies: those that let
    it be asked. by_itself: nobody called it."""
    chat_id = command.chat_id
    seq, at = fold.next_place(chat_id)
    queue = _queue_of(fold, chat_id)
    also = (one.id, "by itself") if by_itself else () if one.id == ASSISTANT_ID else (one.id,)
    message = Message(
        chat_id=chat_id,
        seq=seq,
        id=derived_id("reply", chat_id, question_id, *also) if regenerates is None else fold.new_id(),
        sender_id=one.id,
        kind=MessageKind.ASSISTANT,
        client_message_id=None,
        body="",
        reply_to=question_id,
        status=Status.PENDING,
        created_at=at,
        regenerates=regenerates,
        queue=len(queue) or None,
        parent_id=question_id if fold.state.chats[chat_id].kind == ChatKind.ASSISTANT else None,
    )
    fold.append_message(message, command_id)
    if message.parent_id is not None:
        fold.state.newest[chat_id] = message.id
    queue.append(message.id)
    key = (chat_id, message.id)
    question = fold.state.messages.get((chat_id, question_id))
    tokens = reserve(fold, one, question.body if question is not None else None)
    fold.state.replies[key] = Reply(
        chat_id,
        message.id,
        question_id,
        0,
        held=False,
        trace=command.trace,
        asker_id=command.actor_id,
        policies=policies,
        assistant_id=one.id,
        version=one.version,
        provider=one.provider,
        reserved_tokens=tokens,
        by_itself=by_itself,
    )
    fold.state.changes.new_replies.append(key)
    count_open(fold, command.actor_id, +1)
    count_asked(fold, chat_id, command.actor_id, one, tokens, by_itself)
    return seq


def _queue_of(fold: Fold, chat_id: str) -> list[str]:
    """In a chat with an assistant of its own answers come one after another; elsewhere nobody waits."""
    if fold.state.chats[chat_id].kind != ChatKind.ASSISTANT:
        return []
    return fold.state.queues.setdefault(chat_id, [])


def _leave_queue(fold: Fold, key: Pair) -> None:
    """Those behind it move up."""
    chat_id, message_id = key
    queue = _queue_of(fold, chat_id)
    if message_id not in queue:
        return
    place = queue.index(message_id)
    queue.remove(message_id)
    for n, behind in enumerate(queue[place:], place):
        moved = (chat_id, behind)
        fold.state.changes.queued[moved] = n
        if moved in fold.state.messages:
            fold.state.messages[moved] = replace(fold.state.messages[moved], queue=n or None)
    fold.state.changes.queued.pop(key, None)


def stop(fold: Fold, command: Command, do: StopReply) -> None:
    fold.find(command, do.message_id)
    fold.permit(command, "reply.stop")
    reply = _reply_of(fold, command, do.message_id)
    if reply.finished:
        return
    if reply.held:
        key = (reply.chat_id, reply.message_id)
        fold.state.replies[key] = replace(reply, stop_requested=True)
        fold.state.changes.replies.add(key)
    else:
        _end_at_once(fold, reply, Status.STOPPED)


def stop_concerned(fold: Fold, chat_id: str, message_id: str) -> None:
    """The message is to be deleted: the replies that it is, or asked for, end first."""
    for reply in list(fold.state.replies.values()):
        concerned = reply.chat_id == chat_id and message_id in (reply.message_id, reply.question_id)
        if concerned and not reply.finished:
            _end_at_once(fold, reply, Status.STOPPED)


def steer(fold: Fold, command: Command, do: SteerReply) -> int:
    message, asked, own = _asked_by(fold, command, do.message_id)
    fold.allowing(command, "reply.steer", own=own)
    reply = _reply_of(fold, command, do.message_id)
    if reply.finished or reply.attempt or message.queue is None or asked is None or asked.deleted_at is not None:
        raise Refused(Code.CONFLICT, "only an answer whose turn hasn't come takes a remark")
    if reply.remarks >= REMARKS_MAX:
        raise Refused(Code.CONFLICT, f"an answer takes at most {REMARKS_MAX} remarks")
    key = (reply.chat_id, reply.message_id)
    fold.state.replies[key] = replace(reply, remarks=reply.remarks + 1)
    fold.state.changes.replies.add(key)
    steered = ReplySteered(message.id, do.body)
    return fold.append(command.chat_id, "reply.steered", command.actor_id, steered, command.id)


def forget_remarks(fold: Fold, chat_id: str, message_id: str) -> None:
    """The message is deleted: what was remarked on it, or on answers to it, is nowhere any more."""
    for key, reply in fold.state.replies.items():
        if reply.remarks and chat_id == reply.chat_id and message_id in (reply.message_id, reply.question_id):
            fold.state.changes.unsaid.add(key)


def _asked_by(fold: Fold, command: Command, message_id: str) -> tuple[Message, Message | None, bool]:
    """(an answer, its question, whether that is the actor's)."""
    message = fold.find(command, message_id)
    asked = fold.state.messages.get((command.chat_id, message.reply_to or ""))
    own = message.kind == MessageKind.ASSISTANT and asked is not None and asked.sender_id == command.actor_id
    return message, asked, own


def regenerate(fold: Fold, command: Command, do: RegenerateReply) -> int:
    message, asked, own = _asked_by(fold, command, do.message_id)
    allowed = fold.allowing(command, "reply.regenerate", own=own)
    reply = _reply_of(fold, command, do.message_id)
    if not reply.finished:
        raise Refused(Code.CONFLICT, "the reply is still being written: stop it first")
    if message.deleted_at is not None or asked is None or asked.deleted_at is not None:
        raise Refused(Code.CONFLICT, "the reply or its question is deleted")
    if asked.seq < fold.state.floors.get(command.chat_id, 0):
        raise Refused(Code.CONFLICT, "who joined since doesn't see the question: ask it anew")
    chat = fold.state.chats[command.chat_id]
    writer_id = chat.assistant.user_id if chat.assistant else message.sender_id
    one = fold.state.assistants.get(writer_id, Assistant(writer_id, "", 1, "", deleted=True))
    try:
        policies = allowed + permit_asking(fold, command, one, asked.body)
    except Refused as refused:
        if refused.code == OFF:
            raise Refused(Code.CONFLICT, refused.reason, refused.policies) from None
        raise
    return open_reply(fold, command, reply.question_id, one, policies, message.id, command.id)


def speak_up(fold: Fold, command: Command, do: SpeakUp) -> int | None:
    """Where people are still silent, and the policies let it. It is asked again when they have said something more."""
    chat, one = fold.state.chats.get(command.chat_id), fold.state.assistants.get(command.actor_id)
    message = fold.state.messages.get((command.chat_id, do.message_id))
    if chat is None or one is None or one.deleted or message is None or chat.head != do.head:
        return None
    if message.kind != MessageKind.USER or message.deleted_at is not None or message.sender_id != do.asker_id:
        return None
    if message.seq < fold.state.floors.get(chat.id, 0):  # who came since wouldn't know what it answers
        return None
    asked = replace(command, actor_id=do.asker_id)
    silent_s = (fold.state.now - chat.last_at).total_seconds()
    try:
        quiet = silent_s >= fold.limits.quiet_s
        policies = permit_asking(fold, asked, one, message.body, quiet=quiet, addressed=False)
    except Refused:
        return None
    return open_reply(fold, asked, message.id, one, policies, command_id=command.id, by_itself=True)


def complete(fold: Fold, command: Command, do: CompleteReply) -> int | None:
    """The attempt alone is the fence: no archive, mute or removal refuses an answer's end."""
    reply = fold.state.replies.get((command.chat_id, do.message_id))
    if reply is None or reply.finished or reply.attempt != do.attempt:
        return None
    return _end(fold, reply, do.attempt, do.status, do.body, failure=do.failure, usage=do.usage)


def expire(fold: Fold, command: Command, do: ExpireReply) -> int | None:
    reply = fold.state.replies.get((command.chat_id, do.message_id))
    if reply is None or reply.finished or reply.attempt != do.attempt:
        return None
    failure = Failure("timeout", "the assistant made no progress")
    return _end_at_once(fold, reply, Status.FAILED, failure=failure)


def _reply_of(fold: Fold, command: Command, message_id: str) -> Reply:
    reply = fold.state.replies.get((command.chat_id, message_id))
    if reply is None:
        raise Refused(Code.CONFLICT, "this message is no assistant's reply")
    return reply


def _end(fold: Fold, reply: Reply, attempt: int, status: str, body: str, **more: Any) -> int:
    key = (reply.chat_id, reply.message_id)
    fold.state.replies[key] = replace(reply, attempt=attempt, finished=True, held=False)
    fold.state.changes.replies.add(key)
    count_open(fold, reply.asker_id, -1)
    _leave_queue(fold, key)
    ended = replace(fold.state.messages[key], status=status, body=body, attempt=attempt, queue=None, **more)
    return fold.change_message("message.completed", ended.sender_id, ended, None)


def _end_at_once(fold: Fold, reply: Reply, status: str, **more: Any) -> int:
    """As one attempt more, empty: whatever the present holder still says is of a superseded attempt."""
    return _end(fold, reply, reply.attempt + 1, status, "", **more)


ACTIONS: dict[type, Rule] = {
    StopReply: stop,
    RegenerateReply: regenerate,
    SteerReply: steer,
    SpeakUp: speak_up,
    CompleteReply: complete,
    ExpireReply: expire,
}
EVENTS = (
    EventKind("message.completed", Message, ends=lambda message: (message.id,)),
    EventKind("reply.steered", ReplySteered),
)
