"""What is done about a chat, exactly: the event, what it changes, and by what words it is refused."""

from __future__ import annotations

from app.domain import decide
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.members import MemberRemoved
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, OTHER, Scene
from tests.unit.memory import PEOPLE, START, USERS


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
    scene.nothing(BEN, c.CreateChat("direct", None, (ANNA,)))
    scene.refused(BEN, c.CreateChat("direct", "another", (ANNA,)), "invalid", "title: a direct chat has none")
    scene.refused(BEN, c.UpdateChat(("title",), "mine"), "invalid", "title: a direct chat has none")
    scene.refused(CARL, c.UpdateChat(("title",), "mine"), "not_found")
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


def test_a_direct_chats_people_stay_the_same() -> None:
    scene = Scene("direct")
    for action in (c.AddMember(CARL, "member"), c.RemoveMember(ANNA), c.RemoveMember(BEN), c.BanMember(ANNA)):
        scene.refused(BEN, action, "not_allowed")


def test_a_chats_own_assistant_names_it_once_and_nobody_else_does_so() -> None:
    scene = Scene("assistant", ())
    scene.nothing(ASSISTANT_ID, c.NameChat("another"))
    scene.ok(ANNA, c.UpdateChat(("title",), None))
    scene.nothing(ANNA, c.NameChat("mine"))
    event = scene.ok(ASSISTANT_ID, c.NameChat("Tea at four"))
    assert (event.type, event.actor_id, event.payload.title) == ("chat.updated", ASSISTANT_ID, "Tea at four")
    assert scene.store.state.chats[CHAT].title == "Tea at four"
    scene.nothing(ASSISTANT_ID, c.NameChat("another"))
    group = Scene()
    group.ok(ANNA, c.UpdateChat(("title",), None))
    group.nothing(ASSISTANT_ID, c.NameChat("a group keeps what people call it"))
