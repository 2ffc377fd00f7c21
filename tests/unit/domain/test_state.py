"""The facts that each rule is given."""

from __future__ import annotations

from typing import Any

from app.domain import decide
from app.domain.command import Command, UnknownAction
from app.domain.ids import ASSISTANT_ID
from app.domain.state import Needs
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CHAT


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
    assert {type(action) for action, _ in every} == {*decide.RULES, UnknownAction}, "each says here what it looks at"
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
