"""What is done about an answer, exactly: the event, what it changes, and by what words it is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain import decide
from app.domain.command import Command
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.messages import BEGINS
from app.domain.replies import REMARKS_MAX, ReplySteered
from app.domain.state import Silence
from app.domain.values import Failure, Message, Usage
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, OTHER, Scene
from tests.unit.memory import START, MemoryStore


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
    assert end.failure == Failure("timeout", "the assistant made no progress")


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


def test_open_questions_of_one_person_have_an_end() -> None:
    """Counted in all chats and within a batch; others may ask, and each end makes room again."""
    scene = Scene()
    scene.store = MemoryStore(4, open_questions_max=2)
    scene.store.do(CHAT, ANNA, c.CreateChat("group", None, (BEN,)))
    scene.store.do(OTHER, BEN, c.CreateChat("assistant"))
    asked = [Command(CHAT, BEN, f"{n}", c.SendMessage("@assistant")) for n in range(3)]
    ended = [result.outcome.code for result in scene.store.batch(asked)]
    silences = scene.store.decided.state.changes.silences
    assert ended == [None, None, None] and [silence.code for silence in silences] == ["quota_exceeded"]
    assert scene.do(BEN, c.SendMessage("a question"), OTHER).outcome.code == "quota_exceeded"
    silent = scene.say(BEN, "@assistant")
    assert scene.store.decided.state.changes.silences == [Silence(CHAT, silent.id, ASSISTANT_ID, BEN, "quota_exceeded")]
    scene.say(BEN, "no question")
    scene.ask(ANNA)
    first = next(iter(scene.store.state.replies.values()))
    stop = Command(CHAT, BEN, "s", c.StopReply(first.message_id))
    again = Command(CHAT, BEN, "r", c.RegenerateReply(first.message_id))
    later = Command(CHAT, BEN, "r2", again.action)
    ended = [result.outcome.code for result in scene.store.batch([again, stop, later])]
    assert ended == ["conflict", None, None]
    scene.ok(ANNA, c.RegenerateReply(first.message_id))
    words = "you wait for 2 answers: wait for one, or stop it"
    scene.refused(ANNA, c.RegenerateReply(first.message_id), "quota_exceeded", words)
    held = [reply.asker_id for reply in scene.store.state.replies.values() if not reply.finished]
    assert sorted(held) == sorted([BEN, BEN, ANNA, ANNA]), "a reply counts for who had it written"


def test_an_assistant_that_is_kept_out_or_down_says_nothing_and_the_message_stands() -> None:
    until = START + timedelta(days=1)
    for action, code in (
        (c.BanMember(ASSISTANT_ID), "banned"), (c.UpdateMember(ASSISTANT_ID, ("muted_until",), None, until), "muted"),
        (c.UpdateMember(ASSISTANT_ID, ("role",), "reader"), "not_allowed"),
    ):  # fmt: skip
        scene = Scene(others=(BEN, ASSISTANT_ID))
        _, reply = scene.ask()
        scene.do(BEN, c.StopReply(reply.id))
        scene.do(ANNA, action)
        known = len(scene.store.state.replies)
        said = scene.say(BEN, "@assistant, hello")
        assert len(scene.store.state.replies) == known and scene.store.log[-1].payload == said
        assert scene.store.decided.state.changes.silences == [Silence(CHAT, said.id, ASSISTANT_ID, BEN, code)]
        scene.refused(ANNA, c.RegenerateReply(reply.id), code)
        scene.say(BEN, "no call")
        assert scene.store.decided.state.changes.silences == []
    own = Scene("assistant", ())
    own.do(ANNA, c.UpdateMember(ASSISTANT_ID, ("muted_until",), None, until))
    own.say(ANNA, "a question")
    assert own.store.state.replies == {} and own.store.decided.state.changes.silences[0].code == "muted"


def test_in_an_assistants_chat_answers_wait_for_those_before_them() -> None:
    scene = Scene("assistant", ())
    replies = [scene.message(derived_id("reply", CHAT, scene.say(ANNA, f"question {n}").id)) for n in range(4)]
    assert [reply.queue for reply in replies] == [None, 1, 2, 3]

    def places() -> list[int | None]:
        return [scene.message(reply.id).queue for reply in replies]

    scene.hold(replies[0])
    scene.ok(ASSISTANT_ID, c.CompleteReply(replies[0].id, 1, "complete", "here"))
    assert places() == [None, None, 1, 2]
    assert scene.store.decided.state.changes.queued == {(CHAT, replies[n].id): n - 1 for n in (1, 2, 3)}
    scene.do(ANNA, c.StopReply(replies[2].id))
    assert places() == [None, None, None, 1] and scene.store.decided.state.changes.queued == {(CHAT, replies[3].id): 1}
    again = scene.ok(ANNA, c.RegenerateReply(replies[0].id)).payload
    assert again.queue == 2
    scene.ok(ASSISTANT_ID, c.ExpireReply(replies[1].id, 0))
    assert places() == [None, None, None, None] and scene.message(again.id).queue == 1
    scene.ok(ANNA, c.DeleteMessage(scene.message(replies[3].id).reply_to or ""))
    assert scene.message(again.id).queue is None


def test_all_in_one_batch_they_move_as_they_would_one_by_one() -> None:
    scene = Scene("assistant", ())
    first = scene.say(ANNA, "one")
    reply = derived_id("reply", CHAT, first.id)
    asked = [Command(CHAT, ANNA, f"q{n}", c.SendMessage(f"question {n}")) for n in range(2)]
    scene.store.batch([*asked, Command(CHAT, ANNA, "stop", c.StopReply(reply))])
    waiting = sorted((m for m in scene.store.state.messages.values() if m.status == "pending"), key=lambda m: m.seq)
    assert [message.queue for message in waiting] == [None, 1]


def test_in_a_group_nobody_waits() -> None:
    scene = Scene()
    assert [scene.ask()[1].queue for _ in range(3)] == [None] * 3


@pytest.mark.parametrize("quota", [{"per_hour": 3}, {"per_day": 3}, {"per_hour": 5, "per_day": 3}])
def test_a_quota_counts_what_was_asked_however_it_ended(quota: dict[str, int]) -> None:
    scene = Scene()
    state = scene.store.state
    scene.store = MemoryStore(4, **quota)
    scene.store.state = state
    _, stopped = scene.ask()
    scene.do(BEN, c.StopReply(stopped.id))
    _, failed = scene.ask()
    scene.hold(failed)
    scene.ok(ASSISTANT_ID, c.CompleteReply(failed.id, 1, "failed", "", Failure("cut", "why")))
    scene.ok(BEN, c.RegenerateReply(failed.id))
    when = "this hour" if quota == {"per_hour": 3} else "today"
    words = f"you asked for 3 answers {when}, which is your quota"
    scene.refused(BEN, c.RegenerateReply(failed.id), "quota_exceeded", words)
    scene.say(BEN, "@assistant, once more")
    assert [silence.code for silence in scene.store.decided.state.changes.silences] == ["quota_exceeded"]
    scene.ask(ANNA)


def waiting(scene: Scene) -> tuple[Message, Message]:
    """(an answer whose turn hasn't come, its question)."""
    scene.say(ANNA, "one")
    question = scene.say(ANNA, "two")
    return scene.message(derived_id("reply", CHAT, question.id)), question


def test_an_answer_whose_turn_has_not_come_takes_remarks() -> None:
    scene = Scene("assistant", (BEN,))
    reply, question = waiting(scene)
    event = scene.ok(ANNA, c.SteerReply(reply.id, "shorter"))
    assert (event.type, event.actor_id, event.payload) == ("reply.steered", ANNA, ReplySteered(reply.id, "shorter"))
    scene.refused(BEN, c.SteerReply(reply.id, "longer"), "not_allowed")
    scene.refused(ANNA, c.SteerReply(question.id, "x"), "conflict", "this message is no assistant's reply")
    words = "only an answer whose turn hasn't come takes a remark"
    first = next(iter(scene.store.state.replies.values()))
    scene.refused(ANNA, c.SteerReply(first.message_id, "x"), "conflict", words)
    for _ in range(REMARKS_MAX - 1):
        scene.ok(ANNA, c.SteerReply(reply.id, "x"))
    scene.refused(ANNA, c.SteerReply(reply.id, "x"), "conflict", f"an answer takes at most {REMARKS_MAX} remarks")
    scene.refused(CARL, c.SteerReply(reply.id, "x"), "not_found")
    scene.do(ANNA, c.StopReply(reply.id))
    scene.refused(ANNA, c.SteerReply(reply.id, "x"), "conflict", words)


@pytest.mark.parametrize("which", ["question", "reply"])
def test_remarks_go_with_their_question_or_answer(which: str) -> None:
    scene = Scene("assistant", ())
    reply, question = waiting(scene)
    scene.ok(ANNA, c.SteerReply(reply.id, "shorter"))
    scene.ok(ANNA, c.EditMessage(question.id, "three"))
    assert scene.store.decided.state.changes.unsaid == set()
    scene.ok(ANNA, c.DeleteMessage({"question": question, "reply": reply}[which].id))
    assert scene.store.decided.state.changes.unsaid == {(CHAT, reply.id)}


def test_in_a_group_nothing_waits_for_a_remark() -> None:
    scene = Scene()
    _, reply = scene.ask(ANNA)
    scene.refused(ANNA, c.SteerReply(reply.id, "x"), "conflict")


def test_each_message_of_an_assistants_chat_names_what_it_continues() -> None:
    scene = Scene("assistant", ())
    one = scene.say(ANNA, "one")
    answer = scene.message(derived_id("reply", CHAT, one.id))
    two = scene.say(ANNA, "two")
    assert (one.parent_id, answer.parent_id, two.parent_id) == (None, one.id, answer.id)

    def say(parent_id: str | None) -> Message:
        scene.do(ANNA, c.SendMessage("edited", None, parent_id))
        message: Message = scene.store.log[-2].payload
        return message

    branch = say(answer.id)
    assert branch.parent_id == answer.id
    anew = say(BEGINS)
    assert anew.parent_id is None
    newest = scene.message(derived_id("reply", CHAT, anew.id))
    assert say(None).parent_id == newest.id, "the newest message, whatever branch it is of"
    scene.hold(answer)
    scene.ok(ASSISTANT_ID, c.CompleteReply(answer.id, 1, "complete", "so"))
    assert scene.ok(ANNA, c.RegenerateReply(answer.id)).payload.parent_id == one.id, "a sibling"
    batch = [Command(CHAT, ANNA, f"b{n}", c.SendMessage(f"{n}")) for n in range(2)]
    scene.store.batch(batch)
    first, its, second, _ = [event.payload for event in scene.store.log[-4:]]
    assert (its.parent_id, second.parent_id) == (first.id, its.id), "within a batch too"
    for wrong in (derived_id("nothing"), CHAT):
        words = "parent_id names no message of this chat"
        scene.refused(ANNA, c.SendMessage("x", None, wrong), "invalid", words)
    for kind in ("group", "direct"):
        other = Scene(kind)
        said = other.say(ANNA, "x")
        words = "parent_id: only in a chat with an assistant of its own"
        other.refused(ANNA, c.SendMessage("x", None, said.id), "invalid", words)
        assert said.parent_id is None and other.do(ANNA, c.SendMessage("x", None, BEGINS)).outcome.code is None


def test_a_quota_of_tokens_counts_what_may_be_written() -> None:
    scene = Scene()
    scene.store._limits = replace(scene.store._limits, tokens_per_day=2_100)
    scene.ask()
    scene.ask()
    scene.say(BEN, "@assistant, once more")
    assert [one.code for one in scene.store.decided.state.changes.silences] == ["quota_exceeded"]
    scene.store.state.quotas[BEN] = {"tokens_per_day": 0, "replies_per_day": 3}
    scene.ask()
    scene.say(BEN, "@assistant, and once more")
    assert [one.code for one in scene.store.decided.state.changes.silences] == ["quota_exceeded"]
    scene.ask(ANNA)
