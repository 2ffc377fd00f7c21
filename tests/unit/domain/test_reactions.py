"""What is done by a reaction, exactly: the event, what it changes, and by what words it is refused."""

from __future__ import annotations

from app.domain.reactions import ReactionChange
from app.domain.values import Reaction
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, Scene


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
