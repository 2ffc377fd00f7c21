"""What is done to a message, exactly: the event, what it changes, and by what words it is refused."""

from __future__ import annotations

from app.domain import decide
from app.domain.command import Command
from app.domain.ids import derived_id
from app.domain.policy import Answer
from app.domain.values import Message, Reaction
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, Scene
from tests.unit.memory import START


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
    assert decided.state.changes.read == {(CHAT, BEN): 2} and decided.state.changes.traces == []
    assert decided.state.changes.new_messages == [(CHAT, "m")] and decided.state.changes.chats == {CHAT}
    assert decided.state.changes.whole_chats == set()
    edit = Command(CHAT, BEN, "id2", c.EditMessage("m", "bye"))
    again = decide.decide(facts, [edit, edit], lambda q: Answer(True, ()), lambda: "", scene.store._limits)
    assert [r.command.id for r in again.state.changes.traces] == ["id2"] and [r.repeat for r in again.results] == [
        False,
        True,
    ]


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
