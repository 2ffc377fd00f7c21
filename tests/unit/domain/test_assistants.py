"""Whom a message asks, and who answers: exactly."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.assistants import AMBIENT_PER_HOUR
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.values import Agreed, AskedBy, Fork, Terms
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CHAT, OTHER, Scene
from tests.unit.memory import ASSISTANTS, HELPER_ID, START


def asked(scene: Scene, who: str, body: str) -> list[str]:
    """Whom this message asks, by their names, in the order of their answers."""
    known = len(scene.store.log)
    scene.say(who, body)
    answers = [event.payload for event in scene.store.log[known + 1 :]]
    return [ASSISTANTS[answer.sender_id].username for answer in answers]


def silences(scene: Scene) -> list[tuple[str, str]]:
    return [(one.assistant_id, one.code) for one in scene.store.decided.state.changes.silences]


@pytest.mark.parametrize("body", ["@assistant hi", "hi @Assistant", "(@assistant)", "@assistant, hi", "@assistant."])
def test_a_group_calls_the_assistant(body: str) -> None:
    assert asked(Scene(), ANNA, body) == ["assistant"]
    assert asked(Scene("direct"), ANNA, body) == []
    assert asked(Scene(others=(BEN, ASSISTANT_ID)), ASSISTANT_ID, body) == [], "and none is asked by another"


@pytest.mark.parametrize(
    "body", ["hi", "assistant", "a@assistant.org", "@assistants", "@assistant-x", "@assistant.de", "@@assistant"]
)
def test_a_group_does_not_call_the_assistant(body: str) -> None:
    assert asked(Scene(), ANNA, body) == []
    assert asked(Scene("assistant", ()), ANNA, body) == ["assistant"]


def test_two_that_are_named_both_answer_in_the_order_named() -> None:
    scene = Scene()
    assert asked(scene, BEN, "@helper and @assistant, and @helper again: what do you think?") == ["helper", "assistant"]
    helper, built_in = scene.store.state.replies.values()
    assert (helper.assistant_id, helper.version, helper.provider) == (HELPER_ID, 3, "other")
    assert (built_in.assistant_id, built_in.version, built_in.provider) == (ASSISTANT_ID, 1, "default")
    assert helper.question_id == built_in.question_id and helper.message_id != built_in.message_id
    assert scene.message(helper.message_id).sender_id == HELPER_ID
    scene.ok(BEN, c.DeleteMessage(helper.question_id))
    assert all(reply.finished for reply in scene.store.state.replies.values()), "both end with their question"


def test_an_answer_is_written_anew_by_who_wrote_it() -> None:
    scene = Scene()
    asked(scene, BEN, "@helper?")
    [reply] = scene.store.state.replies.values()
    scene.hold(scene.message(reply.message_id))
    scene.ok(HELPER_ID, c.CompleteReply(reply.message_id, 1, "complete", "so"))
    assert scene.ok(BEN, c.RegenerateReply(reply.message_id)).payload.sender_id == HELPER_ID
    scene.store.state.assistants[HELPER_ID] = replace(ASSISTANTS[HELPER_ID], deleted=True)
    scene.refused(BEN, c.RegenerateReply(reply.message_id), "not_allowed", "this assistant is no more")
    assert asked(scene, BEN, "@helper?") == [] and silences(scene) == [(HELPER_ID, "not_allowed")]


@pytest.mark.parametrize("asked_by", list(AskedBy))
def test_who_may_ask_an_assistant(asked_by: str) -> None:
    scene = Scene()
    one = replace(ASSISTANTS[HELPER_ID], asked_by=asked_by, listed=frozenset((BEN,)))
    scene.store.state.assistants[HELPER_ID] = one
    scene.store.state.operators.add(ANNA)
    may = {user: asked(scene, user, "@helper?") == ["helper"] for user in (ANNA, BEN)}
    told = silences(scene) if not may[BEN] else []
    assert may == {ANNA: asked_by != "listed", BEN: asked_by != "operators"}
    assert told == ([] if may[BEN] else [(HELPER_ID, "not_allowed")])


def test_of_two_one_may_be_silent() -> None:
    scene = Scene(others=(BEN, HELPER_ID))
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("attention",), attention="off"))
    assert asked(scene, BEN, "@helper @assistant") == ["assistant"] and silences(scene) == [(HELPER_ID, "off")]
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("attention",), attention="addressed"))
    asked(scene, BEN, "@helper")
    reply = list(scene.store.state.replies.values())[-1]
    scene.do(BEN, c.StopReply(reply.message_id))
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("attention",), attention="off"))
    scene.refused(BEN, c.RegenerateReply(reply.message_id), "conflict", "the assistant takes no part in this chat")


def test_a_message_that_asks_two_counts_as_two() -> None:
    scene = Scene()
    scene.store._limits = replace(scene.store._limits, open_questions_max=1)
    assert asked(scene, BEN, "@helper @assistant") == ["helper"]
    assert silences(scene) == [(ASSISTANT_ID, "quota_exceeded")]


def test_a_budget_bounds_what_an_assistant_says_in_its_chat() -> None:
    scene = Scene(others=(BEN, HELPER_ID))
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("budget_per_hour",), budget_per_hour=2))
    assert asked(scene, BEN, "@assistant @helper") == ["assistant", "helper"], "each by its own budget"
    assert [asked(scene, BEN, "@helper?") for _ in range(2)] == [["helper"], []]
    assert silences(scene) == [(HELPER_ID, "quota_exceeded")] and asked(scene, BEN, "@assistant?") == ["assistant"]
    scene.refused(
        ANNA, c.UpdateMember(BEN, ("attention",), attention="off"), "invalid",
        "attention and budget_per_hour: only of an assistant",
    )  # fmt: skip


def test_an_ambient_assistant_speaks_once_into_the_quiet() -> None:
    scene = Scene(others=(BEN, HELPER_ID))
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("attention",), attention="ambient"))
    said = scene.say(BEN, "what do we do?")

    def speak(seconds: float, head: int | None = None, who: str = HELPER_ID, to: str = BEN) -> list[str]:
        scene.store.state.now = START + timedelta(seconds=seconds)
        known = len(scene.store.log)
        scene.do(who, c.SpeakUp(said.id, scene.store.state.chats[CHAT].head if head is None else head, to))
        return [event.payload.sender_id for event in scene.store.log[known:]]

    assert speak(10) == [] and speak(30, head=said.seq - 1) == [] and speak(30, who=ASSISTANT_ID) == []
    assert speak(30, to=ANNA) == [], "it was Ben's"
    assert speak(30) == [HELPER_ID] and speak(60, head=said.seq) == []
    [reply] = scene.store.state.replies.values()
    assert (reply.question_id, reply.asker_id, reply.by_itself) == (said.id, BEN, True)
    assert reply.policies == ("members-write", "ambient-assistants-speak-into-the-quiet")


def test_an_ambient_assistant_says_only_so_much_an_hour_and_nothing_where_it_is_kept_down() -> None:
    scene = Scene(others=(BEN, HELPER_ID))
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("attention",), attention="ambient"))
    spoke = 0
    for n in range(AMBIENT_PER_HOUR + 2):
        said = scene.say(BEN, f"line {n}")
        scene.store.state.now += timedelta(seconds=60)
        known = len(scene.store.log)
        scene.do(HELPER_ID, c.SpeakUp(said.id, said.seq, BEN))
        spoke += len(scene.store.log) - known
    assert spoke == AMBIENT_PER_HOUR and asked(scene, BEN, "@helper?") == ["helper"], "who calls it is answered"
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("budget_per_hour", "role"), "reader", budget_per_hour=100))
    said = scene.say(BEN, "and now?")
    scene.store.state.now += timedelta(seconds=60)
    scene.nothing(HELPER_ID, c.SpeakUp(said.id, said.seq, BEN))


def test_an_ambient_assistant_answers_only_who_may_ask_it_and_for_their_quota() -> None:
    scene = Scene(others=(BEN, HELPER_ID))
    scene.ok(ANNA, c.UpdateMember(HELPER_ID, ("attention",), attention="ambient"))

    def speaks() -> bool:
        said = scene.say(BEN, "hm")
        scene.store.state.now += timedelta(seconds=60)
        known = len(scene.store.log)
        scene.do(HELPER_ID, c.SpeakUp(said.id, said.seq, BEN))
        return len(scene.store.log) > known

    scene.store.state.assistants[HELPER_ID] = replace(
        ASSISTANTS[HELPER_ID], asked_by="listed", listed=frozenset((ANNA,))
    )
    assert not speaks()
    scene.store.state.assistants[HELPER_ID] = ASSISTANTS[HELPER_ID]
    scene.store._limits = replace(scene.store._limits, replies_per_day=1)
    assert speaks() and not speaks()


def test_a_chat_of_its_own_with_another_assistant() -> None:
    scene = Scene("assistant", ())
    scene.store.do(OTHER, ANNA, c.CreateChat("assistant", None, (), None, None, HELPER_ID))
    chat = scene.store.state.chats[OTHER]
    assert chat.assistant is not None and chat.assistant.user_id == HELPER_ID and chat.members_count == 2
    assert scene.do(ANNA, c.SendMessage("hello"), OTHER).outcome.code is None
    [reply] = scene.store.state.replies.values()
    assert reply.assistant_id == HELPER_ID
    nobody = derived_id("nobody")
    result = scene.do(ANNA, c.CreateChat("assistant", None, (), None, None, nobody), derived_id("third"))
    assert (result.outcome.code, result.outcome.reason) == (
        "invalid", f"assistant.user_id names no assistant: {nobody}",
    )  # fmt: skip


def test_the_assistant_of_a_chat_changes_by_one_event_and_takes_the_place_of_the_one_before() -> None:
    scene = Scene("assistant", (BEN,))
    before = scene.store.state.chats[CHAT].members_count
    event = scene.ok(ANNA, c.UpdateChat(("assistant",), assistant_id=HELPER_ID))
    chat = scene.store.state.chats[CHAT]
    assert event.type == "chat.updated" and event.payload.assistant.user_id == HELPER_ID
    assert chat.assistant is not None and chat.assistant.model is None and chat.members_count == before
    members = {user for _, user in scene.store.state.members}
    assert members == {ANNA, BEN, HELPER_ID} and scene.store.state.members[(CHAT, HELPER_ID)].joined_seq == event.seq
    assert asked(scene, ANNA, "hello") == ["helper"]
    scene.refused(ANNA, c.RemoveMember(HELPER_ID), "conflict", "the assistant stays in its chat")
    scene.nothing(ANNA, c.UpdateChat(("assistant",), assistant_id=HELPER_ID))
    wrong = c.UpdateChat(("assistant",), assistant_id=BEN)
    scene.refused(ANNA, wrong, "invalid", f"assistant.user_id names no assistant: {BEN}")
    scene.refused(BEN, c.UpdateChat(("assistant",), assistant_id=ASSISTANT_ID), "not_allowed")
    group = Scene()
    group.refused(ANNA, c.UpdateChat(("assistant",), assistant_id=HELPER_ID), "invalid")


def test_one_that_is_there_already_becomes_the_chats_own() -> None:
    scene = Scene("assistant", ())
    scene.ok(ANNA, c.AddMember(HELPER_ID, "member"))
    scene.ok(ANNA, c.UpdateChat(("assistant",), assistant_id=HELPER_ID))
    assert scene.store.state.chats[CHAT].members_count == 2
    scene.ok(ANNA, c.BanMember(ASSISTANT_ID)) if (CHAT, ASSISTANT_ID) in scene.store.state.members else None
    scene.store.state.bans.add((CHAT, ASSISTANT_ID))
    words = "this assistant is banned from the chat"
    scene.refused(ANNA, c.UpdateChat(("assistant",), assistant_id=ASSISTANT_ID), "banned", words)


def test_a_chat_whose_assistant_is_no_more_stands_and_says_so() -> None:
    scene = Scene("assistant", ())
    scene.store.state.assistants[ASSISTANT_ID] = replace(ASSISTANTS[ASSISTANT_ID], deleted=True)
    assert asked(scene, ANNA, "hello?") == [] and silences(scene) == [(ASSISTANT_ID, "not_allowed")]


def test_a_groups_text_goes_outside_only_when_an_owner_agreed() -> None:
    scene = Scene(others=(BEN, HELPER_ID))
    scene.store._limits = replace(scene.store._limits, consent=True, local_providers=frozenset(("other",)))
    assert asked(scene, BEN, "@helper?") == ["helper"], "it stays with who runs the service"
    said = scene.say(BEN, "@assistant?")
    assert silences(scene) == [(ASSISTANT_ID, "not_allowed")]
    told = scene.store.log[-1].payload
    assert (told.kind, told.seq) == ("system", said.seq + 1) and "an owner of this chat agrees" in told.body
    scene.say(BEN, "@assistant??")
    assert scene.store.log[-1].payload.body == "@assistant??", "the chat is told once"
    scene.refused(BEN, c.UpdateChat(("assistant_consent",), assistant_consent=True), "not_allowed")
    scene.ok(ANNA, c.UpdateMember(BEN, ("role",), "admin"))
    words = "only an owner may agree to that"
    scene.refused(BEN, c.UpdateChat(("assistant_consent",), assistant_consent=True), "not_allowed", words)
    event = scene.ok(ANNA, c.UpdateChat(("assistant_consent",), assistant_consent=True))
    assert event.payload.terms.consent == Agreed(ANNA, START)
    scene.nothing(ANNA, c.UpdateChat(("assistant_consent",), assistant_consent=True))
    assert asked(scene, BEN, "@assistant?") == ["assistant"]
    scene.ok(ANNA, c.UpdateChat(("assistant_consent",), assistant_consent=False))
    assert asked(scene, BEN, "@assistant?") == [] and scene.store.log[-1].payload.kind == "user"


def test_who_starts_a_chat_with_an_assistant_has_agreed() -> None:
    scene = Scene("assistant", ())
    scene.store._limits = replace(scene.store._limits, consent=True)
    assert asked(scene, ANNA, "hello") == ["assistant"]
    scene.refused(ANNA, c.UpdateChat(("assistant_consent",), assistant_consent=True), "invalid")


@pytest.mark.parametrize("kind", ["group", "assistant"])
def test_a_chat_that_is_kept_local_asks_nobody_outside(kind: str) -> None:
    scene = Scene(kind, (BEN,))
    scene.store._limits = replace(scene.store._limits, local_providers=frozenset(("other",)))
    assert scene.ok(ANNA, c.UpdateChat(("local_only",), local_only=True)).payload.terms.local_only
    assert asked(scene, ANNA, "@assistant?") == [] and silences(scene) == [(ASSISTANT_ID, "not_allowed")]
    if kind == "group":
        assert asked(scene, ANNA, "@helper?") == ["helper"]
    scene.ok(ANNA, c.UpdateChat(("local_only",), local_only=False))
    assert asked(scene, ANNA, "@assistant?") == ["assistant"]


def test_a_fork_says_where_its_line_goes_on() -> None:
    scene = Scene("assistant", ())
    fork = Fork(CHAT, 2)
    scene.store.do(OTHER, ANNA, c.CreateChat("assistant", None, (), None, None, ASSISTANT_ID, fork, True))
    assert scene.store.state.chats[OTHER].terms == Terms(local_only=True, forked_from=fork)
    scene.store.do(OTHER, ANNA, c.SendMessage("hello"))
    assert scene.store.state.chats[OTHER].terms.forked_from == fork, "and keeps it"
