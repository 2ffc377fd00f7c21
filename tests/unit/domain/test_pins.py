"""What is done by a pin, exactly: the event, what it changes, and by what words it is refused."""

from __future__ import annotations

from app.domain.pins import PinChange
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, Scene


def test_pins() -> None:
    scene = Scene()
    messages = [scene.say() for _ in range(51)]
    event = scene.ok(BEN, c.PinMessage(messages[0].id))
    assert (event.type, event.payload, event.actor_id) == ("message.pinned", PinChange(messages[0].id), BEN)
    assert event.command_id is not None and scene.store.state.pins[CHAT] == {messages[0].id: event.seq}
    scene.nothing(ANNA, c.PinMessage(messages[0].id))
    scene.nothing(ANNA, c.UnpinMessage(messages[1].id))
    for message in messages[1:50]:
        scene.ok(ANNA, c.PinMessage(message.id))
    scene.refused(ANNA, c.PinMessage(messages[50].id), "conflict", "a chat takes at most 50 pins: unpin another first")
    gone = scene.ok(ANNA, c.UnpinMessage(messages[0].id))
    assert (gone.type, gone.payload) == ("message.unpinned", PinChange(messages[0].id))
    scene.ok(ANNA, c.PinMessage(messages[50].id))
    scene.ok(ANNA, c.DeleteMessage(messages[50].id))
    for action in (c.PinMessage, c.UnpinMessage):
        scene.refused(ANNA, action(messages[50].id), "conflict", "the message is deleted")
    scene.refused(CARL, c.PinMessage(messages[2].id), "not_found")
