"""decide is a pure fold: however a history is cut into batches, redelivered or tried by a zombie, the result is one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain import decide
from app.domain.command import Command, UnknownAction
from app.domain.errors import Code
from app.domain.events import Event, Opaque
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.values import Reply
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, OTHER, Scene
from tests.unit.memory import CHATS, START, USERS, MemoryStore


def ids(kind: str) -> st.SearchStrategy[str]:
    return st.integers(0, 40).map(lambda n: derived_id(kind, str(n)))


users = st.sampled_from(USERS)
# Message ids are drawn in order, so early ones are likely to exist.
messages = st.integers(0, 12).map(lambda n: derived_id("message", str(n)))
roles = st.sampled_from(["owner", "admin", "member", "reader"])
bodies = st.sampled_from(["hello", "hi @assistant", "again", "hello"])
actions = st.one_of(
    st.builds(c.SendMessage, bodies, st.none() | messages),
    st.builds(c.SendMessage, bodies),
    st.builds(c.EditMessage, messages, bodies),
    st.builds(c.DeleteMessage, messages),
    st.builds(c.AddReaction, messages, st.sampled_from(["👍", "🎉"])),
    st.builds(c.RemoveReaction, messages, st.sampled_from(["👍", "🎉"])),
    st.builds(c.PinMessage, messages),
    st.builds(c.UnpinMessage, messages),
    st.builds(c.UpdateChat, st.just(("archived",)), st.none(), st.booleans()),
    st.builds(c.UpdateChat, st.just(("title",)), st.sampled_from(["a", "b"])),
    st.builds(c.AddMember, users, roles),
    st.builds(c.UpdateMember, users, st.just(("role",)), roles),
    st.builds(
        c.UpdateMember, users, st.just(("muted_until",)), st.none(), st.sampled_from([None, START + timedelta(days=1)])
    ),
    st.builds(c.RemoveMember, users),
    st.builds(c.BanMember, users),
    st.builds(c.UnbanMember, users),
    st.builds(c.StopReply, messages | st.integers(0, 12).map(lambda n: reply_of(n))),
    st.builds(c.RegenerateReply, st.integers(0, 12).map(lambda n: reply_of(n))),
    st.builds(
        c.CompleteReply, st.integers(0, 12).map(lambda n: reply_of(n)), st.integers(0, 1), st.just("complete"),
        st.just("the answer"),
    ),
)  # fmt: skip


def reply_of(n: int) -> str:
    return derived_id("reply", CHATS[n % 2], derived_id("message", str(n)))


commands = st.builds(Command, st.sampled_from(CHATS), users, ids("command"), actions)


def created(n: int) -> Command:
    return Command(CHATS[n], USERS[0], derived_id("create", str(n)), c.CreateChat("group", None, tuple(USERS[1:3])))


def told(results: list[Any]) -> list[Any]:
    return [result.outcome for result in results]


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, max_size=40), st.data())
def test_the_cut_into_batches_redelivery_and_zombies_change_nothing(
    history: list[Command], data: st.DataObject
) -> None:
    history = [created(0), created(1), *history]
    one_by_one = MemoryStore()
    expected = [told(one_by_one.batch([command]))[0] for command in history]

    cut = MemoryStore()
    outcomes: list[Any] = []
    start = 0
    while start < len(history):
        end = data.draw(st.integers(start + 1, len(history)), label="cut")
        if data.draw(st.booleans(), label="zombie"):
            cut.batch(history[start:end], commit=False)
        outcomes += told(cut.batch(history[start:end]))
        if data.draw(st.booleans(), label="redelivered"):
            again = cut.batch(history[start:end])
            assert told(again)[-1] == outcomes[-1]
        start = end

    assert outcomes == expected
    assert cut.log == one_by_one.log
    assert cut.state == one_by_one.state


@settings(max_examples=150, deadline=None)
@given(st.lists(commands, max_size=60))
def test_what_a_history_leaves_is_consistent(history: list[Command]) -> None:
    log = MemoryStore()
    results = log.batch([created(0), created(1), *history])
    for chat_id in CHATS:
        chat = log.state.chats[chat_id]
        own = [event for event in log.log if event.chat_id == chat_id]
        assert [event.seq for event in own] == list(range(1, chat.head + 1))
        assert [event.at for event in own] == sorted(event.at for event in own)
        members = [key for key in log.state.members if key[0] == chat_id]
        assert chat.members_count == len(members) <= 4
        assert log.state.owners[chat_id] == sum(log.state.members[key].role == "owner" for key in members)
        assert log.state.owners[chat_id] >= 1, "the last owner left"
        inside: set[str] = set()
        over: set[str] = set()
        for event in own:  # what hubs and gateways go by
            kind = decide.kind_of(event)
            inside = (inside | set(kind.comes(event.payload))) - set(kind.goes(event.payload))
            over |= set(kind.ends(event.payload))
        assert inside == {key[1] for key in members}, "an event says who comes and who goes"
        replies = [reply for key, reply in log.state.replies.items() if key[0] == chat_id]
        assert over >= {reply.message_id for reply in replies if reply.finished}, "an event says which answer ends"
        assert not over & {reply.message_id for reply in replies if not reply.finished}
        ends = [e.payload.id for e in own if e.type == "message.completed"]
        assert len(ends) == len(set(ends)), "a reply ended twice"
    refused = [result for result in results if result.outcome.code is not None]
    assert all(result.outcome.seq is None for result in refused)
    for result in refused:
        if not result.repeat:
            assert result.outcome.reason and (
                result.outcome.policies or result.outcome.code in ("not_found", "conflict", "invalid")
            )


def test_a_removed_member_is_silent_within_the_same_batch() -> None:
    log = MemoryStore()
    results = log.batch(
        [
            created(0),
            Command(CHATS[0], USERS[0], derived_id("x", "1"), c.RemoveMember(USERS[1])),
            Command(CHATS[0], USERS[1], derived_id("x", "2"), c.SendMessage("am I here?")),
        ]
    )
    assert results[-1].outcome.code == "not_found"


def test_a_message_sent_while_muted_stays_rejected_after_the_unmute() -> None:
    log = MemoryStore()
    send = Command(CHATS[0], USERS[1], derived_id("x", "1"), c.SendMessage("hello"))
    mute = c.UpdateMember(USERS[1], ("muted_until",), None, START + timedelta(days=1))
    unmute = c.UpdateMember(USERS[1], ("muted_until",), None, None)
    batch = [send, Command(CHATS[0], USERS[0], derived_id("x", "3"), unmute)]
    log.batch([created(0), Command(CHATS[0], USERS[0], derived_id("x", "2"), mute)])
    assert log.batch(batch)[0].outcome.code == "muted"
    again = log.batch(batch)
    assert again[0].outcome.code == "muted" and again[0].repeat
    assert not [event for event in log.log if event.type == "message.created"]


def test_deleting_a_question_ends_its_reply_first() -> None:
    log = MemoryStore()
    log.batch([created(0)])
    sent = log.batch([Command(CHATS[0], USERS[1], derived_id("x", "1"), c.SendMessage("@assistant, hello"))])
    question = next(e.payload.id for e in log.log if e.seq == sent[0].outcome.seq)
    reply = next(iter(log.state.replies.values()))
    log.state.replies[(CHATS[0], reply.message_id)] = replace(reply, attempt=1, held=True)
    log.batch([Command(CHATS[0], USERS[1], derived_id("x", "2"), c.DeleteMessage(question))])
    ended, deleted = log.log[-2:]
    assert (ended.type, ended.payload.status, ended.payload.attempt, ended.payload.body) == (
        "message.completed", "stopped", 2, "",
    )  # fmt: skip
    assert (deleted.type, deleted.payload.body) == ("message.deleted", None)
    late = c.CompleteReply(reply.message_id, 1, "complete", "too late")
    result = log.batch([Command(CHATS[0], ASSISTANT_ID, derived_id("x", "3"), late)])
    assert result[0].outcome.seq is None and log.log[-1] is deleted


def test_neither_archive_nor_removal_of_the_asker_keeps_an_answer_from_ending() -> None:
    log = MemoryStore()
    log.batch([created(0), Command(CHATS[0], USERS[1], derived_id("x", "1"), c.SendMessage("@assistant, hello"))])
    key, reply = next(iter(log.state.replies.items()))
    log.state.replies[key] = Reply(*key, reply.question_id, attempt=1, held=True)
    results = log.batch(
        [
            Command(CHATS[0], USERS[0], derived_id("x", "2"), c.RemoveMember(USERS[1])),
            Command(CHATS[0], USERS[0], derived_id("x", "3"), c.UpdateChat(("archived",), None, True)),
            Command(CHATS[0], ASSISTANT_ID, derived_id("x", "4"), c.CompleteReply(key[1], 1, "complete", "here")),
        ]
    )
    assert results[-1].outcome.seq == log.state.chats[CHATS[0]].head
    assert log.state.messages[key].body == "here"


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


def test_a_command_older_than_what_is_remembered_is_refused_with_its_trace() -> None:
    """Somebody who may publish could bring an envelope again when its outcomes are forgotten."""
    scene, now = Scene(), START.timestamp()
    add = c.AddMember(CARL, "member")
    for age, code in ((decide.TRACES_KEPT_S + 1, "conflict"), (decide.TRACES_KEPT_S - 1, None)):
        [result] = scene.store.batch([Command(CHAT, ANNA, f"id {age}", add, sent_at=now - age)])
        assert result.outcome.code == code
        [again] = scene.store.batch([Command(CHAT, ANNA, f"id {age}", add, sent_at=now - 2 * age)])
        assert again.repeat and again.outcome == result.outcome
    [unknown_age] = scene.store.batch([Command(CHAT, ANNA, "no time", c.SendMessage("x"))])
    assert unknown_age.outcome.code is None
