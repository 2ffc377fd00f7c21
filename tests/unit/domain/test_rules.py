"""What each command does, exactly: its event, what it changes, and by what words it is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain import decide
from app.domain.command import Command, UnknownAction
from app.domain.errors import Code
from app.domain.events import Event, Opaque
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.members import MemberRemoved, MemberUnbanned
from app.domain.pins import PinChange
from app.domain.policy import Answer
from app.domain.reactions import ReactionChange
from app.domain.state import Needs, Result
from app.domain.values import Failure, Message, Reaction, Usage
from tests import actions as c
from tests.unit.memory import CHATS, PEOPLE, START, USERS, MemoryStore

ANNA, BEN, CARL, DORA = USERS[:4]
CHAT, OTHER = CHATS


class Scene:
    """A group of Anna (owner) and Ben, and what was said in it."""

    def __init__(self, kind: str = "group", others: tuple[str, ...] = (BEN,), owner: str = ANNA) -> None:
        self.store = MemoryStore(4)
        self.store.do(CHAT, owner, c.CreateChat(kind, "tea", others, "model-x", "be brief"))

    def do(self, actor: str, action: Any, chat: str = CHAT) -> Result:
        return self.store.do(chat, actor, action)

    def ok(self, actor: str, action: Any) -> Event:
        """The event that it made."""
        known = len(self.store.log)
        result = self.do(actor, action)
        assert result.outcome.code is None, result.outcome
        made = [event for event in self.store.log[known:] if event.seq == result.outcome.seq]
        assert len(made) == 1, "its seq is its event's"
        [event] = made
        if event.type not in ("message.created", "message.completed"):
            assert (event.actor_id, event.command_id) == (actor, result.command.id)
        return event

    def nothing(self, actor: str, action: Any) -> None:
        """It had nothing to change."""
        head = self.head
        result = self.do(actor, action)
        assert (result.outcome.seq, result.outcome.code) == (None, None) and self.head == head

    def refused(self, actor: str, action: Any, code: str, words: str = "") -> Result:
        before = (self.store.log[:], self.head)
        result = self.do(actor, action)
        """words: the reason, or its beginning with … behind it."""
        assert (result.outcome.code, result.outcome.seq) == (code, None), result
        reason = result.outcome.reason
        assert not words or reason == words or (words.endswith("…") and reason.startswith(words[:-1])), reason
        assert (self.store.log, self.head) == before
        assert result.outcome.reason
        return result

    def say(self, actor: str = ANNA, body: str = "words", **more: Any) -> Message:
        message = self.ok(actor, c.SendMessage(body, **more)).payload
        assert isinstance(message, Message)
        return message

    def ask(self, actor: str = BEN) -> tuple[Message, Message]:
        """(question, reply)"""
        question = self.say(actor, "@assistant, hello")
        return question, self.message(derived_id("reply", CHAT, question.id))

    def hold(self, reply: Message, attempt: int = 1) -> None:
        key = (CHAT, reply.id)
        self.store.state.replies[key] = replace(self.store.state.replies[key], attempt=attempt, held=True)

    def message(self, id_: str) -> Message:
        return self.store.state.messages[(CHAT, id_)]

    @property
    def head(self) -> int:
        return self.store.state.chats[CHAT].head


def test_a_chat_begins_with_all_who_are_in_it() -> None:
    scene = Scene()
    [event] = scene.store.log
    assert (event.type, event.seq, event.actor_id, event.at) == ("chat.created", 1, ANNA, START)
    assert event.command_id is not None
    chat = event.payload.chat
    assert (chat.kind, chat.title, chat.head, chat.members_count, chat.archived) == ("group", "tea", 1, 2, False)
    assert (chat.created_by, chat.created_at, chat.last_at, chat.assistant) == (ANNA, START, START, None)
    assert [(m.user.id, m.role, m.joined_seq, m.joined_at, m.muted_until) for m in event.payload.members] == [
        (ANNA, "owner", 1, START, None), (BEN, "member", 1, START, None),
    ]  # fmt: skip
    assert event.payload.members[0].user == PEOPLE[ANNA] and event.payload.members[0].chat_id == CHAT
    assert scene.store.state.owners[CHAT] == 1
    assert decide.whose_chats_change(event) == (ANNA, BEN)


def test_a_direct_chat_is_of_two_members_and_a_second_creation_changes_nothing() -> None:
    scene = Scene("direct")
    assert {m.role for m in scene.store.state.members.values()} == {"member"}
    scene.nothing(BEN, c.CreateChat("direct", "another", (ANNA,)))
    for others in ((), (BEN, CARL), (ASSISTANT_ID,)):
        result = scene.do(ANNA, c.CreateChat("direct", None, others), OTHER)
        assert (result.outcome.code, result.outcome.reason) == (
            "invalid", "a direct chat takes exactly one other person",
        )  # fmt: skip
    assert OTHER not in scene.store.state.chats


def test_an_assistants_chat_has_its_settings_and_the_assistant_as_a_member() -> None:
    scene = Scene("assistant", ())
    chat = scene.store.state.chats[CHAT]
    assert chat.assistant is not None
    assert (chat.assistant.user_id, chat.assistant.model, chat.assistant.instructions) == (
        ASSISTANT_ID, "model-x", "be brief",
    )  # fmt: skip
    assert {k[1]: m.role for k, m in scene.store.state.members.items()} == {ANNA: "owner", ASSISTANT_ID: "member"}
    scene.refused(ANNA, c.RemoveMember(ASSISTANT_ID), "conflict", "the assistant stays in its chat")
    scene.ok(ANNA, c.AddMember(BEN, "member"))
    scene.ok(ANNA, c.RemoveMember(BEN))
    group = Scene("group", (ASSISTANT_ID,))
    assert group.ok(ANNA, c.RemoveMember(ASSISTANT_ID)).payload == MemberRemoved(ASSISTANT_ID, "removed")
    assert Scene("assistant", (ASSISTANT_ID,)).store.state.chats[CHAT].members_count == 2


def test_a_chat_that_can_not_begin_says_why() -> None:
    scene = Scene()
    unknown = [derived_id("nobody", str(n)) for n in range(7)]
    result = scene.do(ANNA, c.CreateChat("group", None, tuple(unknown)), OTHER)
    assert result.outcome.code == "invalid"
    assert result.outcome.reason == f"member_ids names nobody: {', '.join(unknown[:5])}"
    assert (OTHER, ANNA, result.command.id) in scene.store.state.known, "a refused creation leaves its trace"
    result = scene.do(ANNA, c.CreateChat("group", None, (ANNA, *USERS[1:])), OTHER)
    assert (result.outcome.code, result.outcome.reason) == ("conflict", "a chat takes at most 4 members")
    assert scene.do(ANNA, c.CreateChat("group", None, (ANNA, *USERS[1:4], BEN)), OTHER).outcome.seq == 1
    assert scene.store.state.chats[OTHER].members_count == 4


def test_a_message_takes_the_next_place() -> None:
    scene = Scene()
    message = scene.say(BEN, "hello", reply_to=None)
    event = scene.store.log[-1]
    assert (event.type, event.seq, event.actor_id, event.command_id) == ("message.created", 2, BEN, None)
    assert message == Message(
        CHAT,
        2,
        message.id,
        BEN,
        "user",
        message.client_message_id,
        "hello",
        None,
        "complete",
        START,
    )
    assert message.client_message_id is not None
    assert (scene.head, scene.store.state.chats[CHAT].last_at) == (2, START)
    answer = scene.say(ANNA, "hi", reply_to=message.id)
    assert answer.reply_to == message.id
    scene.refused(ANNA, c.SendMessage("x", derived_id("nothing")), "invalid", "reply_to names no message of this chat")


def test_what_one_wrote_one_has_read_and_a_new_message_leaves_no_trace_of_its_own() -> None:
    scene = Scene()
    facts = scene.store.state
    command = Command(CHAT, BEN, "id", c.SendMessage("hello"))
    decided = decide.decide(facts, [command], lambda q: Answer(True, ()), lambda: "m", scene.store._limits)
    assert decided.state.changes.sent == {(CHAT, BEN): 2} and decided.state.changes.traces == []
    assert decided.state.changes.new_messages == [(CHAT, "m")] and decided.state.changes.chats == {CHAT}
    assert decided.state.changes.whole_chats == set()
    edit = Command(CHAT, BEN, "id2", c.EditMessage("m", "bye"))
    again = decide.decide(facts, [edit, edit], lambda q: Answer(True, ()), lambda: "", scene.store._limits)
    assert [r.command.id for r in again.state.changes.traces] == ["id2"] and [r.repeat for r in again.results] == [
        False,
        True,
    ]


def test_time_never_goes_back() -> None:
    scene = Scene()
    scene.store.state = replace(scene.store.state, now=START + timedelta(seconds=9))
    late = scene.say()
    scene.store.state = replace(scene.store.state, now=START + timedelta(seconds=5))
    message = scene.say()
    assert message.created_at == late.created_at == START + timedelta(seconds=9)
    assert scene.ok(ANNA, c.EditMessage(message.id, "new")).payload.edited_at == START + timedelta(seconds=9)
    scene.store.state = replace(scene.store.state, now=START + timedelta(seconds=11))
    assert scene.ok(ANNA, c.EditMessage(message.id, "newer")).payload.edited_at == START + timedelta(seconds=11)


def test_an_edit_is_its_authors_and_the_same_text_is_none() -> None:
    scene = Scene()
    message = scene.say(BEN)
    scene.ok(ANNA, c.AddReaction(message.id, "👍"))
    event = scene.ok(BEN, c.EditMessage(message.id, "other"))
    assert (event.type, event.payload.body, event.payload.seq, event.payload.edited_at) == (
        "message.edited",
        "other",
        2,
        START,
    )
    assert event.payload.reactions == (Reaction("👍", 1, (ANNA,)),) and event.command_id is not None
    scene.nothing(BEN, c.EditMessage(message.id, "other"))
    assert scene.refused(ANNA, c.EditMessage(message.id, "x"), "not_allowed").outcome.policies == ("only-authors-edit",)
    scene.refused(BEN, c.EditMessage(derived_id("nothing"), "x"), "not_found")
    scene.refused(CARL, c.EditMessage(message.id, "x"), "not_found")
    scene.ok(BEN, c.DeleteMessage(message.id))
    scene.refused(BEN, c.EditMessage(message.id, "x"), "conflict", "the message is deleted")


def test_a_deletion_leaves_a_tombstone_and_takes_reactions_and_pin_with_it() -> None:
    scene = Scene()
    message = scene.say(BEN)
    for actor in (ANNA, BEN):
        scene.ok(actor, c.AddReaction(message.id, "👍"))
    scene.ok(ANNA, c.PinMessage(message.id))
    event = scene.ok(ANNA, c.DeleteMessage(message.id))
    assert (event.type, event.actor_id, event.payload.body, event.payload.deleted_at) == (
        "message.deleted",
        ANNA,
        None,
        START,
    )
    assert event.payload.reactions == () and event.seq == scene.head
    assert scene.store.state.reactions[(CHAT, message.id)] == {} and scene.store.state.pins[CHAT] == {}
    scene.nothing(ANNA, c.DeleteMessage(message.id))
    other = scene.say(ANNA)
    assert scene.refused(BEN, c.DeleteMessage(other.id), "not_allowed").outcome.policies == ("others-messages-stay",)


def test_reactions_are_counted_by_who_gave_them_first() -> None:
    scene = Scene(others=(BEN, CARL))
    message = scene.say()
    event = scene.ok(BEN, c.AddReaction(message.id, "👍"))
    assert (event.type, event.payload) == ("reaction.added", ReactionChange(message.id, "👍", BEN))
    scene.nothing(BEN, c.AddReaction(message.id, "👍"))
    scene.ok(ANNA, c.AddReaction(message.id, "👍"))
    scene.ok(CARL, c.AddReaction(message.id, "🎉"))
    shown = scene.ok(ANNA, c.EditMessage(message.id, "x")).payload.reactions
    assert shown == (Reaction("👍", 2, (BEN, ANNA)), Reaction("🎉", 1, (CARL,)))
    gone = scene.ok(CARL, c.RemoveReaction(message.id, "🎉"))
    assert (gone.type, gone.payload) == ("reaction.removed", ReactionChange(message.id, "🎉", CARL))
    scene.nothing(CARL, c.RemoveReaction(message.id, "🎉"))
    scene.nothing(CARL, c.RemoveReaction(message.id, "👍"))
    assert list(scene.store.state.reactions[(CHAT, message.id)]) == ["👍"]


def test_a_message_takes_twenty_different_reactions() -> None:
    scene = Scene()
    message = scene.say()
    for n in range(20):
        scene.ok(ANNA, c.AddReaction(message.id, chr(0x1F600 + n)))
    scene.refused(ANNA, c.AddReaction(message.id, "🎉"), "conflict", "a message takes at most 20 different reactions")
    scene.ok(BEN, c.AddReaction(message.id, chr(0x1F600)))
    scene.ok(ANNA, c.DeleteMessage(message.id))
    scene.refused(ANNA, c.AddReaction(message.id, "🎉"), "conflict", "the message is deleted")


def test_pins() -> None:
    scene = Scene()
    messages = [scene.say() for _ in range(51)]
    event = scene.ok(BEN, c.PinMessage(messages[0].id))
    assert (event.type, event.payload, event.actor_id) == ("message.pinned", PinChange(messages[0].id), BEN)
    assert event.command_id is not None and scene.store.state.pins[CHAT] == {messages[0].id: event.seq}
    scene.nothing(ANNA, c.PinMessage(messages[0].id))
    scene.nothing(ANNA, c.UnpinMessage(messages[1].id))
    for message in messages[1:50]:
        scene.ok(ANNA, c.PinMessage(message.id))
    scene.refused(ANNA, c.PinMessage(messages[50].id), "conflict", "a chat takes at most 50 pins: unpin another first")
    gone = scene.ok(ANNA, c.UnpinMessage(messages[0].id))
    assert (gone.type, gone.payload) == ("message.unpinned", PinChange(messages[0].id))
    scene.ok(ANNA, c.PinMessage(messages[50].id))
    scene.ok(ANNA, c.DeleteMessage(messages[50].id))
    for action in (c.PinMessage, c.UnpinMessage):
        scene.refused(ANNA, action(messages[50].id), "conflict", "the message is deleted")
    scene.refused(CARL, c.PinMessage(messages[2].id), "not_found")


def test_an_update_changes_what_it_names() -> None:
    scene = Scene("assistant", ())
    event = scene.ok(ANNA, c.UpdateChat(("title",), "new", True))
    assert (event.type, event.payload.title, event.payload.archived, event.payload.head) == (
        "chat.updated",
        "new",
        False,
        2,
    )
    assert (
        scene.ok(ANNA, c.UpdateChat(("assistant", "model"), None, False, "model-y", "x")).payload.assistant.model
        == "model-y"
    )
    chat = scene.store.state.chats[CHAT]
    assert chat.assistant is not None and (chat.title, chat.assistant.instructions) == ("new", "be brief")
    assert (
        scene.ok(ANNA, c.UpdateChat(("instructions",), None, False, "z", "at length")).payload.assistant.instructions
        == "at length"
    )
    scene.nothing(ANNA, c.UpdateChat(("title",), "new"))
    scene.nothing(ANNA, c.UpdateChat(("assistant",)))
    scene.ok(ANNA, c.UpdateChat(("archived",), None, True))
    scene.refused(ANNA, c.UpdateChat(("title",), "x"), "archived")
    scene.refused(ANNA, c.SendMessage("x"), "archived")
    scene.refused(ANNA, c.UpdateChat(("archived", "title"), "x", True), "archived")
    assert scene.ok(ANNA, c.UpdateChat(("archived",), None, False)).payload.archived is False
    group = Scene()
    group.refused(ANNA, c.UpdateChat(("assistant",)), "invalid", "this chat has no assistant of its own")
    group.refused(ANNA, c.UpdateChat(("model",), None, False, "m"), "invalid", "this chat has no assistant of its own")
    group.refused(BEN, c.UpdateChat(("title",), "x"), "not_allowed")


def test_members_come_and_go() -> None:
    scene = Scene()
    added = scene.ok(ANNA, c.AddMember(CARL, "reader"))
    member = added.payload
    assert (added.type, member.user, member.role, member.joined_seq, member.joined_at) == (
        "member.added", PEOPLE[CARL], "reader", 2, START,
    )  # fmt: skip
    assert decide.whose_chats_change(added) == (CARL,) and member.muted_until is None
    assert scene.store.state.chats[CHAT].members_count == 3
    scene.nothing(ANNA, c.AddMember(CARL, "member"))
    scene.refused(ANNA, c.AddMember(derived_id("nobody"), "member"), "invalid", "user_id names nobody: …")
    scene.ok(ANNA, c.AddMember(DORA, "member"))
    scene.refused(ANNA, c.AddMember(USERS[4], "member"), "conflict", "a chat takes at most 4 members")
    left = scene.ok(CARL, c.RemoveMember(CARL))
    assert (left.type, left.payload) == ("member.removed", MemberRemoved(CARL, "left"))
    assert decide.whose_chats_change(left) == (CARL,)
    removed = scene.ok(ANNA, c.RemoveMember(DORA))
    assert removed.payload == MemberRemoved(DORA, "removed")
    assert scene.store.state.chats[CHAT].members_count == 2
    scene.refused(ANNA, c.RemoveMember(DORA), "not_found")
    scene.refused(BEN, c.RemoveMember(ANNA), "not_allowed")
    scene.refused(ANNA, c.RemoveMember(ANNA), "conflict", "the last owner cannot leave: make another owner first")


def test_roles_and_owners_are_counted() -> None:
    scene = Scene()
    event = scene.ok(ANNA, c.UpdateMember(BEN, ("role",), "owner"))
    assert (event.type, event.payload.role) == ("member.updated", "owner")
    assert scene.store.state.owners[CHAT] == 2
    scene.nothing(ANNA, c.UpdateMember(BEN, ("role",), "owner"))
    scene.refused(ANNA, c.UpdateMember(ANNA, ("role",), "member"), "not_allowed")
    scene.ok(BEN, c.UpdateMember(ANNA, ("role",), "admin"))
    assert scene.store.state.owners[CHAT] == 1
    scene.refused(ANNA, c.UpdateMember(BEN, ("role",), "member"), "not_allowed")
    scene.refused(ANNA, c.AddMember(CARL, "admin"), "not_allowed")
    scene.refused(BEN, c.UpdateMember(CARL, ("role",), "member"), "not_found")
    scene.ok(ANNA, c.RemoveMember(ANNA))
    assert scene.store.state.owners[CHAT] == 1
    scene.ok(BEN, c.AddMember(CARL, "owner"))
    assert scene.store.state.owners[CHAT] == 2
    scene.ok(BEN, c.RemoveMember(BEN))
    assert scene.store.state.owners[CHAT] == 1
    scene.refused(CARL, c.RemoveMember(CARL), "conflict")


def test_a_mute_ends_by_itself() -> None:
    scene = Scene()
    until = START + timedelta(minutes=1)
    event = scene.ok(ANNA, c.UpdateMember(BEN, ("muted_until",), "owner", until))
    assert (event.payload.muted_until, event.payload.role) == (until, "member")
    scene.refused(BEN, c.SendMessage("x"), "muted")
    scene.store.state = replace(scene.store.state, now=until)
    scene.say(BEN)
    scene.ok(ANNA, c.UpdateMember(BEN, ("muted_until",), None, until + timedelta(minutes=1)))
    scene.ok(ANNA, c.UpdateMember(BEN, ("muted_until",)))
    scene.say(BEN)


def test_bans_keep_out_until_they_are_lifted() -> None:
    scene = Scene()
    banned = scene.ok(ANNA, c.BanMember(BEN))
    assert (banned.type, banned.payload) == ("member.removed", MemberRemoved(BEN, "banned"))
    scene.nothing(ANNA, c.BanMember(BEN))
    scene.refused(ANNA, c.AddMember(BEN, "member"), "banned")
    scene.refused(BEN, c.SendMessage("x"), "not_found")
    lifted = scene.ok(ANNA, c.UnbanMember(BEN))
    assert (lifted.type, lifted.payload) == ("member.unbanned", MemberUnbanned(BEN))
    scene.nothing(ANNA, c.UnbanMember(BEN))
    scene.ok(ANNA, c.AddMember(BEN, "member"))
    scene.nothing(ANNA, c.BanMember(CARL))
    assert (CHAT, CARL) in scene.store.state.bans
    scene.refused(ANNA, c.BanMember(derived_id("nobody")), "not_found")
    scene.refused(ANNA, c.BanMember(ANNA), "not_allowed")
    scene.refused(BEN, c.BanMember(CARL), "not_allowed")
    scene.refused(BEN, c.UnbanMember(CARL), "not_allowed")


def test_a_direct_chats_people_stay_the_same() -> None:
    scene = Scene("direct")
    for action in (c.AddMember(CARL, "member"), c.RemoveMember(ANNA), c.RemoveMember(BEN), c.BanMember(ANNA)):
        scene.refused(BEN, action, "not_allowed")


def test_a_question_commits_with_its_reply() -> None:
    scene = Scene()
    question, reply = scene.ask()
    assert [e.type for e in scene.store.log[-2:]] == ["message.created"] * 2
    event = scene.store.log[-1]
    assert (event.actor_id, event.seq, event.command_id) == (ASSISTANT_ID, question.seq + 1, None)
    assert reply == Message(
        CHAT, question.seq + 1, reply.id, ASSISTANT_ID, "assistant", None, "", question.id, "pending", START
    )
    job = scene.store.state.replies[(CHAT, reply.id)]
    assert (job.question_id, job.attempt, job.held, job.finished) == (question.id, 0, False, False)
    command = Command(CHAT, BEN, "traced", c.SendMessage("@assistant"), trace="00-1-2-01")
    scene.store.batch([command])
    assert list(scene.store.state.replies.values())[-1].trace == "00-1-2-01"


def test_who_may_not_ask_says_nothing_and_the_assistant_asks_nobody() -> None:
    scene = Scene(others=(BEN, ASSISTANT_ID))
    scene.say(ASSISTANT_ID, "I am @assistant")
    assert scene.store.state.replies == {}
    direct = Scene("direct")
    direct.say(ANNA, "@assistant hello")
    assert direct.store.state.replies == {}
    own = Scene("assistant", ())
    own.say(ANNA, "hello")
    assert len(own.store.state.replies) == 1


def test_a_reply_ends_once_by_its_attempt() -> None:
    scene = Scene()
    _, reply = scene.ask()
    scene.hold(reply, 2)
    usage = Usage(3, 4)
    for wrong in (1, 3):
        scene.nothing(ASSISTANT_ID, c.CompleteReply(reply.id, wrong, "complete", "late"))
    end = scene.ok(ASSISTANT_ID, c.CompleteReply(reply.id, 2, "complete", "here", None, usage))
    assert (end.type, end.actor_id, end.command_id) == ("message.completed", ASSISTANT_ID, None)
    message = end.payload
    assert (message.status, message.body, message.attempt, message.usage, message.failure) == (
        "complete",
        "here",
        2,
        usage,
        None,
    )
    job = scene.store.state.replies[(CHAT, reply.id)]
    assert (job.finished, job.held, job.attempt) == (True, False, 2)
    scene.nothing(ASSISTANT_ID, c.CompleteReply(reply.id, 2, "complete", "again"))
    scene.nothing(ASSISTANT_ID, c.ExpireReply(reply.id, 2))
    scene.nothing(ASSISTANT_ID, c.CompleteReply(derived_id("none"), 1, "complete", "x"))
    assert decide.kind_of(end).ends(message) == (reply.id,)


def test_a_reply_without_progress_fails_as_one_attempt_more() -> None:
    scene = Scene()
    _, cut = scene.ask()
    scene.hold(cut)
    failed = scene.ok(ASSISTANT_ID, c.CompleteReply(cut.id, 1, "failed", "half", Failure("cut", "why"))).payload
    assert (failed.status, failed.body, failed.failure) == ("failed", "half", Failure("cut", "why"))
    _, reply = scene.ask()
    scene.hold(reply)
    scene.nothing(ASSISTANT_ID, c.ExpireReply(reply.id, 2))
    end = scene.ok(ASSISTANT_ID, c.ExpireReply(reply.id, 1)).payload
    assert (end.status, end.body, end.attempt) == ("failed", "", 2)
    assert end.failure == Failure("no_progress", "the assistant made no progress")


def test_a_stop_asks_the_holder_and_ends_at_once_what_nobody_holds() -> None:
    scene = Scene()
    question, reply = scene.ask()
    scene.refused(BEN, c.StopReply(question.id), "conflict", "this message is no assistant's reply")
    scene.hold(reply)
    scene.nothing(BEN, c.StopReply(reply.id))
    assert scene.store.state.replies[(CHAT, reply.id)].stop_requested
    assert not scene.store.state.replies[(CHAT, reply.id)].finished
    _, second = scene.ask()
    known = len(scene.store.log)
    assert scene.do(BEN, c.StopReply(second.id)).outcome.seq is None
    [end] = scene.store.log[known:]
    assert (end.type, end.payload.status, end.payload.attempt, end.payload.body) == (
        "message.completed",
        "stopped",
        1,
        "",
    )
    scene.nothing(BEN, c.StopReply(second.id))
    scene.refused(CARL, c.StopReply(reply.id), "not_found")


@pytest.mark.parametrize("which", ["question", "reply"])
def test_deleting_ends_the_reply_first(which: str) -> None:
    scene = Scene()
    question, reply = scene.ask()
    other_question, other = scene.ask()
    scene.hold(reply)
    scene.ok(ANNA, c.DeleteMessage({"question": question, "reply": reply}[which].id))
    assert [e.type for e in scene.store.log[-2:]] == ["message.completed", "message.deleted"]
    assert scene.store.log[-2].payload.status == "stopped" and scene.store.log[-2].payload.attempt == 2
    assert not scene.store.state.replies[(CHAT, other.id)].finished and other_question


def test_regenerate_makes_a_new_reply_to_the_same_question() -> None:
    scene = Scene()
    question, reply = scene.ask()
    scene.refused(BEN, c.RegenerateReply(reply.id), "conflict", "the reply is still being written: stop it first")
    scene.hold(reply)
    scene.ok(ASSISTANT_ID, c.CompleteReply(reply.id, 1, "complete", "x"))
    event = scene.ok(BEN, c.RegenerateReply(reply.id))
    anew = event.payload
    assert (event.type, event.actor_id, anew.reply_to, anew.regenerates) == (
        "message.created",
        ASSISTANT_ID,
        question.id,
        reply.id,
    )
    assert event.command_id is not None and anew.id != reply.id and anew.status == "pending"
    assert scene.store.state.replies[(CHAT, anew.id)].question_id == question.id
    scene.refused(BEN, c.RegenerateReply(question.id), "not_allowed")
    scene.refused(ANNA, c.RegenerateReply(question.id), "conflict", "this message is no assistant's reply")
    scene.ok(ANNA, c.AddMember(CARL, "member"))
    scene.refused(CARL, c.RegenerateReply(reply.id), "not_allowed")
    scene.ok(ANNA, c.RegenerateReply(reply.id))
    scene.ok(ANNA, c.DeleteMessage(reply.id))
    scene.refused(BEN, c.RegenerateReply(reply.id), "conflict", "the reply or its question is deleted")


def test_regenerate_of_a_deleted_question_is_refused() -> None:
    scene = Scene()
    question, reply = scene.ask()
    scene.hold(reply)
    scene.ok(ASSISTANT_ID, c.CompleteReply(reply.id, 1, "complete", "x"))
    scene.ok(BEN, c.DeleteMessage(question.id))
    scene.refused(BEN, c.RegenerateReply(reply.id), "conflict", "the reply or its question is deleted")


def test_rights_change_within_a_batch() -> None:
    """The fold carries each change on: a removal, a role, a mute, a ban, the archive, all seen by the next command."""
    changes: list[tuple[Any, Any, str]] = [
        (c.RemoveMember(BEN), c.SendMessage("x"), "not_found"),
        (c.BanMember(BEN), c.SendMessage("x"), "not_found"),
        (c.UpdateMember(BEN, ("role",), "reader"), c.SendMessage("x"), "not_allowed"),
        (c.UpdateMember(BEN, ("muted_until",), None, START + timedelta(1)), c.SendMessage("x"), "muted"),
        (c.UpdateChat(("archived",), None, True), c.SendMessage("x"), "archived"),
        (c.UpdateMember(BEN, ("role",), "admin"), c.UpdateChat(("title",), "y"), ""),
    ]
    for change, then, code in changes:
        scene = Scene()
        results = scene.store.batch([Command(CHAT, ANNA, "1", change), Command(CHAT, BEN, "2", then)])
        assert (results[1].outcome.code or "") == code, change
    scene = Scene()
    scene.do(ANNA, c.BanMember(CARL))
    results = scene.store.batch(
        [Command(CHAT, ANNA, "1", c.UnbanMember(CARL)), Command(CHAT, ANNA, "2", c.AddMember(CARL, "member"))]
    )
    assert [r.outcome.code for r in results] == [None, None]


def test_an_id_is_one_of_chat_actor_and_id_together() -> None:
    scene = Scene()
    scene.store.do(OTHER, ANNA, c.CreateChat("group", None, (BEN,)))
    same = [Command(chat, actor, "same", c.SendMessage("x")) for chat in (CHAT, OTHER) for actor in (ANNA, BEN)]
    results = scene.store.batch([*same, *same])
    assert [r.repeat for r in results] == [False] * 4 + [True] * 4
    assert [r.outcome for r in results[:4]] == [r.outcome for r in results[4:]]


def test_what_is_refused_in_a_chat_that_is_not_there_leaves_no_trace() -> None:
    scene = Scene()
    result = scene.do(ANNA, c.SendMessage("x"), OTHER)
    assert (result.outcome.code, result.outcome.policies) == ("not_found", ("strangers-see-nothing",))
    assert result.command.key not in scene.store.state.known
    result = scene.do(CARL, c.SendMessage("x"))
    assert result.command.key in scene.store.state.known


def test_a_command_that_cannot_be_decided_is_refused_with_its_trace_and_a_known_one_told_again() -> None:
    scene = Scene()
    command = Command(CHAT, BEN, "poison", c.SendMessage("x"))
    decided = decide.refuse(scene.store.state, command, Code.CONFLICT, "this command could not be decided")
    [result] = decided.results
    assert (result.outcome.type, result.outcome.code, result.outcome.reason, result.outcome.seq, result.repeat) == (
        "message.send", "conflict", "this command could not be decided", None, False,
    )  # fmt: skip
    assert decided.events == [] and decided.state.changes.traces == [result]
    [again] = decide.refuse(decided.state, command, Code.INVALID, "other words").results
    assert again.repeat and again.outcome == result.outcome
    assert again.command is command


def test_what_nobody_knows_is_refused_to_members_and_unseen_by_strangers() -> None:
    scene = Scene()
    scene.refused(BEN, UnknownAction("poll.open", {"q": 1}), "conflict", "no process knows what poll.open is")
    scene.refused(CARL, UnknownAction("poll.open"), "not_found")
    event = Event("poll.opened", CHAT, 9, START, ANNA, Opaque())
    assert decide.kind_of(event).type == "poll.opened" and decide.whose_chats_change(event) == ()
    assert decide.kind_of(event).ends(event.payload) == ()
    other_form = Event("member.removed", CHAT, 9, START, ANNA, Opaque())
    assert decide.whose_chats_change(other_form) == ()


def test_the_policies_are_told_whom_it_is_about() -> None:
    asked: list[Any] = []
    scene = Scene(others=(BEN, CARL))
    scene.ok(ANNA, c.UpdateMember(CARL, ("role",), "admin"))
    scene.nothing(ANNA, c.BanMember(DORA))

    def facts(actor: str, action: Any) -> Any:
        def ask(question: Any) -> Answer:
            asked.append(question)
            return Answer(True, ())

        command = Command(CHAT, actor, derived_id(str(len(asked))), action)
        decide.decide(scene.store.facts([command]), [command], ask, lambda: "m", scene.store._limits)
        return asked[-1]

    for action in (c.RemoveMember(CARL), c.BanMember(CARL), c.UpdateMember(CARL, ("muted_until",), "owner")):
        assert (facts(BEN, action).target_role, facts(BEN, action).own, facts(BEN, action).new_role) == (
            "admin",
            False,
            "",
        )
    assert facts(BEN, c.UpdateMember(CARL, ("role",), "reader")).new_role == "reader"
    assert facts(BEN, c.UpdateMember(CARL, ("role",), None)).new_role == ""
    assert facts(BEN, c.UpdateMember(BEN, ("role",), "owner")).own and facts(BEN, c.BanMember(BEN)).own
    assert facts(BEN, c.RemoveMember(BEN)).own and facts(BEN, c.UnbanMember(BEN)).own
    added = facts(BEN, c.AddMember(DORA, "reader"))
    assert (added.new_role, added.target_banned, facts(BEN, c.AddMember(USERS[4], "x")).target_banned) == (
        "reader",
        True,
        False,
    )
    archived = [
        facts(BEN, c.UpdateChat(given, None, value)) for given in (("archived",), ("title",)) for value in (True, False)
    ]
    assert [question.unarchives for question in archived] == [False, True, False, False]
    for action in (c.RemoveMember(DORA), c.BanMember(USERS[4]), c.UpdateMember(DORA, ("muted_until",))):
        assert facts(ANNA, action).target_role == "", "of one who is no member"
    send = facts(BEN, c.SendMessage("x"))
    assert (send.action, send.role, send.chat_kind, send.archived, send.muted) == (
        "message.send",
        "member",
        "group",
        False,
        False,
    )


def test_a_command_is_stamped_and_otherwise_the_same() -> None:
    command = Command(CHAT, ANNA, "id", c.SendMessage("x"), "process", True, 7)
    assert command.stamped("trace", 1.5) == replace(command, trace="trace", sent_at=1.5)


def test_a_deleted_question_in_another_chat_ends_nothing_here() -> None:
    scene = Scene()
    scene.store.do(OTHER, ANNA, c.CreateChat("group", None, (BEN,)))
    _, reply = scene.ask()
    other = scene.store.do(OTHER, ANNA, c.SendMessage("x"))
    message = next(m for m in scene.store.state.messages.values() if m.chat_id == OTHER and m.seq == other.outcome.seq)
    scene.store.batch([
        Command(OTHER, ANNA, "d", c.DeleteMessage(message.id)), Command(CHAT, BEN, "s", c.StopReply(reply.id)),
        Command(CHAT, ANNA, "d2", c.DeleteMessage(message.id)),
    ])  # fmt: skip
    assert scene.store.state.replies[(CHAT, reply.id)].attempt == 1 and scene.store.log[-1].payload.status == "stopped"


def test_another_message_deleted_in_the_same_chat_ends_no_reply() -> None:
    scene = Scene()
    _, reply = scene.ask()
    other = scene.say(BEN)
    scene.store.batch([
        Command(CHAT, BEN, "d", c.DeleteMessage(other.id)), Command(CHAT, ANNA, "e", c.ExpireReply(reply.id, 9)),
    ])  # fmt: skip
    assert not scene.store.state.replies[(CHAT, reply.id)].finished


def needs(action: Any) -> Needs:
    return decide.needs_of([Command(CHAT, ANNA, "id", action)])


def test_rules_name_the_facts_that_they_look_at() -> None:
    """The store reads only these: with a fact missing, a rule would decide on nothing."""
    every = [
        (c.SendMessage("x"), set()), (c.SendMessage("x", "m"), {"messages"}), (c.EditMessage("m", "x"), {"messages"}),
        (c.DeleteMessage("m"), {"messages", "replies", "pins"}), (c.AddReaction("m", "x"), {"messages"}),
        (c.RemoveReaction("m", "x"), {"messages"}), (c.PinMessage("m"), {"messages", "pins"}),
        (c.UnpinMessage("m"), {"messages", "pins"}), (c.StopReply("m"), {"messages", "replies"}),
        (c.RegenerateReply("m"), {"messages", "replies"}), (c.CompleteReply("m", 1, "complete", ""), {"messages", "replies"}),
        (c.ExpireReply("m", 1), {"messages", "replies"}), (c.UpdateChat(()), set()),
        (c.CreateChat("group", None, (BEN,)), {"people"}),
        (c.AddMember(BEN, "member"), {"people", "bans", "owners"}), (c.UpdateMember(BEN, ()), {"people", "bans", "owners"}),
        (c.RemoveMember(BEN), {"people", "bans", "owners"}), (c.BanMember(BEN), {"people", "bans", "owners"}),
        (c.UnbanMember(BEN), {"people", "bans", "owners"}), (UnknownAction("x"), set()),
    ]  # fmt: skip
    for action, wanted in every:
        found = needs(action)
        assert {
            name for name in ("messages", "replies", "pins", "people", "bans", "owners") if getattr(found, name)
        } == wanted
        assert list(found.chats) == [CHAT] and (CHAT, ANNA) in found.members
        assert set(found.messages) <= {(CHAT, "m")} and set(found.replies) <= {(CHAT, "m")}
        assert set(found.pins) <= {CHAT} and set(found.owners) <= {CHAT} and set(found.bans) <= {(CHAT, BEN)}
    assert set(needs(c.CreateChat("group", None, (BEN,))).people) == {ANNA, BEN, ASSISTANT_ID}
    assert set(needs(c.AddMember(BEN, "x")).people) == {BEN} and (CHAT, BEN) in needs(c.AddMember(BEN, "x")).members
