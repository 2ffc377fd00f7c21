"""What is done about members, exactly: the event, what it changes, and by what words it is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.domain import decide
from app.domain.command import Command
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.members import MemberRemoved, MemberUnbanned
from app.domain.state import Consent
from app.domain.values import Member, Person, UserKind
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, DORA, OTHER, Scene
from tests.unit.memory import PEOPLE, START, USERS


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


def test_an_assistant_that_an_older_version_made_owner_counts_as_none() -> None:
    scene = Scene()
    assistant = Person(ASSISTANT_ID, "assistant", "Assistant", UserKind.ASSISTANT)
    key = (CHAT, ASSISTANT_ID)
    scene.store.state.members[key] = Member(CHAT, assistant, "owner", None, START, 1)
    chat = scene.store.state.chats[CHAT]
    scene.store.state.chats[CHAT] = replace(chat, members_count=chat.members_count + 1)
    scene.refused(ANNA, c.RemoveMember(ANNA), "conflict", "the last owner cannot leave: make another owner first")
    scene.ok(ANNA, c.RemoveMember(ASSISTANT_ID))
    assert scene.store.state.owners[CHAT] == 1, "it was none when it was counted, and is none when it goes"


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


def test_people_choose_who_adds_them_and_the_refusal_names_them() -> None:
    """Whoever is no person is asked nothing; an operator isn't held by it."""
    for choice, shares, operator, refused in (
        ("", False, False, False), ("everyone", False, False, False), ("shared", True, False, False),
        ("nobody", False, True, True),
    ):  # fmt: skip
        scene = Scene()
        scene.store.state.consents[(ANNA, CARL)] = Consent(choice, shares, operator)
        if refused:
            scene.store.state.refusals.add((CHAT, CARL))
        scene.ok(ANNA, c.AddMember(CARL, "member"))
    for choice, shares in (("shared", False), ("nobody", True), ("nobody", False)):
        scene = Scene()
        scene.store.state.consents[(ANNA, CARL)] = Consent(choice, shares)
        refused_ = scene.refused(
            ANNA, c.AddMember(CARL, "member"), "not_allowed", f"who would be added doesn't let you: user2 ({CARL})"
        )
        assert refused_.outcome.policies == ("people-choose-who-adds-them",)
        for kind in ("direct", "group", "assistant"):
            result = scene.do(ANNA, c.CreateChat(kind, None, (CARL,) if kind == "direct" else (BEN, CARL)), OTHER)
            assert result.outcome.code == "not_allowed" and result.outcome.reason.endswith(f": user2 ({CARL})")
    scene = Scene()
    scene.store.state.refusals.add((CHAT, CARL))
    scene.refused(
        ANNA,
        c.AddMember(CARL, "member"),
        "not_allowed",
        f"who would be added doesn't want to be in this chat: user2 ({CARL})",
    )
    scene.ok(ANNA, c.AddMember(DORA, "member"))
    scene.store.state.consents[(ANNA, DORA)] = scene.store.state.consents[(ANNA, BEN)] = Consent("nobody")
    scene.nothing(ANNA, c.AddMember(DORA, "member"))
    several = scene.do(ANNA, c.CreateChat("group", None, (DORA, CARL, BEN)), OTHER)
    assert several.outcome.reason == f"who would be added doesn't let you: user3 ({DORA}), user1 ({BEN})"
    scene.ok(ANNA, c.AddMember(ASSISTANT_ID, "member"))


def test_strangers_are_counted_where_they_add_and_a_batch_knows_who_shares_a_chat() -> None:
    scene = Scene()
    scene.store.state.consents |= {(ANNA, CARL): Consent(strangers=19), (BEN, CARL): Consent(strangers=19)}
    commands = [
        Command(CHAT, ANNA, "1", c.AddMember(CARL, "member")),
        Command(CHAT, ANNA, "2", c.RemoveMember(CARL)),
        Command(CHAT, ANNA, "3", c.AddMember(CARL, "member")),
        Command(OTHER, BEN, "4", c.CreateChat("group", None, (CARL,))),
    ]
    results = scene.store.batch(commands)
    assert [result.outcome.code for result in results] == [None, None, None, "rate_limited"]
    assert results[-1].outcome.reason == f"added by too many strangers within the hour: user2 ({CARL})"
    assert scene.store.decided.state.changes.stranger_adds == {(CHAT, CARL): 2}
    mixed = Scene()
    mixed.store.state.consents |= {(ANNA, CARL): Consent(strangers=20), (ANNA, DORA): Consent("nobody")}
    result = mixed.do(ANNA, c.CreateChat("group", None, (CARL, DORA)), OTHER)
    assert (result.outcome.code, result.outcome.reason[-45:]) == ("not_allowed", f" user3 ({DORA})"), (
        "what stays is told first"
    )


def test_who_joins_a_group_without_a_past_sees_from_there_on() -> None:
    scene = Scene()
    old = scene.say(ANNA, "secret")
    scene.ok(ANNA, c.UpdateChat(("history",), history="from_joining"))
    scene.refused(BEN, c.UpdateChat(("history",), history="all"), "not_allowed")
    scene.ok(ANNA, c.AddMember(CARL, "admin"))
    scene.ok(ANNA, c.AddMember(ASSISTANT_ID, "member"))
    members = scene.store.state.members
    floor = members[(CHAT, CARL)].sees_from
    assert (floor, members[(CHAT, BEN)].sees_from, members[(CHAT, ASSISTANT_ID)].sees_from) == (old.seq + 2, 0, 0)
    for action in (
        c.AddReaction(old.id, "👍"), c.PinMessage(old.id), c.DeleteMessage(old.id), c.RegenerateReply(old.id),
        c.StopReply(old.id),
    ):  # fmt: skip
        scene.refused(CARL, action, "not_found")
    scene.refused(CARL, c.SendMessage("x", old.id), "invalid", "reply_to names no message of this chat")
    scene.ok(BEN, c.AddReaction(old.id, "👍"))
    new = scene.say(ANNA, "for all")
    scene.ok(CARL, c.AddReaction(new.id, "👍"))
    scene.ok(ANNA, c.UpdateMember(CARL, ("role",), "member"))
    assert members[(CHAT, CARL)].sees_from == floor, "and keeps it"
    scene.ok(ANNA, c.UpdateChat(("history",), history="all"))
    scene.ok(ANNA, c.RemoveMember(CARL))
    scene.ok(ANNA, c.AddMember(CARL, "member"))
    assert members[(CHAT, CARL)].sees_from == 0
    for kind in ("direct", "assistant"):
        other = Scene(kind, (BEN,) if kind == "direct" else ())
        assert other.do(ANNA, c.UpdateChat(("history",), history="from_joining")).outcome.code in (
            "invalid",
            "not_allowed",
        )


def test_an_answer_is_not_written_to_a_question_that_not_all_see() -> None:
    scene = Scene()
    question, reply = scene.ask()
    scene.ok(ANNA, c.UpdateChat(("history",), history="from_joining"))
    scene.hold(reply)
    scene.ok(ASSISTANT_ID, c.CompleteReply(reply.id, 1, "complete", "so"))
    scene.ok(BEN, c.RegenerateReply(reply.id))
    scene.ok(ANNA, c.AddMember(ASSISTANT_ID, "member"))
    scene.ok(ANNA, c.UpdateMember(ASSISTANT_ID, ("attention",), attention="ambient"))
    said = scene.say(BEN, "what now?")
    scene.ok(ANNA, c.AddMember(CARL, "member"))
    scene.refused(
        BEN, c.RegenerateReply(reply.id), "conflict", "who joined since doesn't see the question: ask it anew"
    )
    scene.store.state.now += timedelta(seconds=60)
    scene.nothing(ASSISTANT_ID, c.SpeakUp(said.id, scene.store.state.chats[CHAT].head, BEN))
    scene.ok(ANNA, c.RemoveMember(CARL))
    scene.ok(BEN, c.RegenerateReply(reply.id))
    assert question.seq < said.seq
