"""The facts that each rule is given."""

from __future__ import annotations

from typing import Any

from app.domain import decide
from app.domain.command import Command, UnknownAction
from app.domain.ids import ASSISTANT_ID
from app.domain.state import Needs
from tests import actions as c
from tests.unit.domain.scene import ANNA, CHAT

OF_A_PERSON = {"people", "bans", "owners"}
LOOKED_AT: dict[type, set[str]] = {
    c.SendMessage: {"messages", "askers"}, c.SpeakUp: {"messages", "assistants", "askers", "floors"}, c.SteerReply: {"messages", "replies"}, c.EditMessage: {"messages"}, c.DeleteMessage: {"messages", "replies", "pins"},
    c.AddReaction: {"messages"}, c.RemoveReaction: {"messages"}, c.PinMessage: {"messages", "pins"},
    c.UnpinMessage: {"messages", "pins"}, c.StopReply: {"messages", "replies"},
    c.RegenerateReply: {"messages", "replies", "askers", "answerers", "floors"}, c.CompleteReply: {"messages", "replies"},
    c.ExpireReply: {"messages", "replies"}, c.UpdateChat: set(), c.NameChat: set(), c.CreateChat: {"people", "consents"}, c.AddMember: OF_A_PERSON | {"consents", "refusals"},
    c.UpdateMember: OF_A_PERSON, c.RemoveMember: OF_A_PERSON, c.BanMember: OF_A_PERSON, c.UnbanMember: OF_A_PERSON,
    c.Moderate: OF_A_PERSON | {"operators"}, c.ProvisionChat: OF_A_PERSON | {"rosters"}, c.PostMessage: {"askers"}, c.ImportMessage: set(),
}  # fmt: skip
"""The store reads only these: with a fact missing, a rule would decide on nothing."""


def needs(action: Any) -> Needs:
    return decide.needs_of([Command(CHAT, ANNA, "id", action)])


def test_rules_name_the_facts_that_they_look_at() -> None:
    assert LOOKED_AT.keys() == decide.RULES.keys()
    for action in (*c.EXAMPLES, UnknownAction("x"), c.SendMessage("no answer to anything")):
        found, wanted = needs(action), LOOKED_AT.get(type(action), set())
        if isinstance(action, c.SendMessage) and action.reply_to is None:
            wanted = {"askers"}
        kinds = set(Needs.__dataclass_fields__) - {"chats", "members"}
        assert {name for name in kinds if getattr(found, name)} == wanted, action
        assert list(found.chats) == [CHAT] and (CHAT, ANNA) in found.members
        assert set(found.messages) <= {(CHAT, "m")} and set(found.replies) <= {(CHAT, "m")}
        assert set(found.pins) <= {CHAT} and set(found.owners) <= {CHAT} and set(found.bans) <= {(CHAT, "u")}
    assert set(needs(c.CreateChat("group", None, ("u",))).people) == {ANNA, "u", ASSISTANT_ID}
    deleting = needs(c.Moderate("delete", "m"))
    assert set(deleting.messages) == {(CHAT, "m")} and CHAT in deleting.pins and not deleting.people
    assert set(deleting.operators) == {ANNA}
    added = needs(c.AddMember("u", "x"))
    assert set(added.people) == {"u"} and (CHAT, "u") in added.members
    assert set(added.consents) == {(ANNA, "u")} and set(added.refusals) == {(CHAT, "u")}
    assert (
        set(needs(c.SendMessage("@you.")).named) == {(CHAT, "you."), (CHAT, "you")}
        and not needs(c.SendMessage("x")).named
    )
    own = needs(c.CreateChat("assistant", None, ("u",), assistant_id="a"))
    assert set(own.assistants) == {(CHAT, "a")} and set(own.people) == {ANNA, "u", "a"}
    other = needs(c.UpdateChat(("assistant",), assistant_id="a"))
    assert set(other.assistants) == {(CHAT, "a")} and set(other.people) == {"a"}
    both = decide.needs_of(
        [Command(CHAT, ANNA, "1", c.SendMessage("@you")), Command(CHAT, ANNA, "2", c.SendMessage("x"))]
    )
    assert both.askers == {(CHAT, ANNA): True} and needs(c.SendMessage("x")).askers == {(CHAT, ANNA): False}
