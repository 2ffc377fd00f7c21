"""What the rules of every subject share: the state within a batch, time, what the policies are asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from app.domain import decide
from app.domain.command import Command
from app.domain.ids import derived_id
from app.domain.policy import Answer
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, DORA, Scene
from tests.unit.memory import START, USERS


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


def test_the_policies_are_told_whom_it_is_about() -> None:
    asked: list[Any] = []
    scene = Scene(others=(BEN, CARL))
    scene.ok(ANNA, c.UpdateMember(CARL, ("role",), "admin"))
    scene.nothing(ANNA, c.BanMember(DORA))

    def facts(actor: str, action: Any) -> Any:
        def ask(question: Any) -> Answer:
            if question.action != "person.add":
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
