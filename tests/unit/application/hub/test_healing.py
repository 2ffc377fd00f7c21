"""What the poll finds: announcements that were lost, sign-ins that ended, another life of the database."""

from __future__ import annotations

from app.application.ports.store import Healing
from app.application.signals import (
    Note,
    pack_note,
    user_channel,
)
from tests.unit.application.hub.world import ANNA, BEN, CHAT, OTHER, World, frames, say, seqs, with_world
from tests.unit.memory import START


@with_world
async def test_the_last_announcement_lost_is_found_by_the_poll(world: World) -> None:
    _, sink = await world.open(BEN)
    world.lossy = True
    await world.do(say("lost"))
    world.store.healing = Healing("epoch", START, False, heads={CHAT: 2})
    await world.settle(3)
    assert seqs(sink) == [2] and world.hub.counts["poll_repairs"] == 1


@with_world
async def test_another_epoch_or_a_poll_too_late_closes_all_who_then_resume(world: World) -> None:
    _, ben = await world.open(BEN)
    world.store.epoch_ = "restored"
    world.store.healing = Healing("restored", START, False)
    await world.settle(3)
    assert ben.closed is not None and ben.closed[0] == 1012
    _, anna = await world.open(ANNA)
    assert frames(anna, "welcome")[0]["epoch"] == "restored"
    world.store.healing = Healing("restored", START, True)
    await world.settle(3)
    assert anna.closed is not None and anna.closed[0] == 1012


@with_world
async def test_sessions_of_an_ended_sign_in_are_closed_by_word_and_by_poll(world: World) -> None:
    _, ben = await world.open(BEN)
    _, anna = await world.open(ANNA)
    await world.fan_out.publish([(user_channel(BEN), pack_note(Note("revoked", f"auth-{BEN}")))])
    assert ben.closed == (4401, "the session has ended") and anna.closed is None
    world.store.healing = Healing("epoch", START, False, revoked={f"auth-{ANNA}"})
    await world.settle(3)
    assert anna.closed is not None and anna.closed[0] == 4401


@with_world
async def test_counts_of_what_was_healed_grow(world: World) -> None:
    assert world.hub.counts == {"backfills": 0, "poll_repairs": 0, "resets": 0}
    session, _ = await world.open(BEN)
    for n in (2, 3):
        world.lossy = True
        await world.do(say("lost"))
        world.store.healing = Healing("epoch", START, False, heads={CHAT: n, OTHER: 9})
        await world.settle(3)
        world.hub.sync(session, f"s{n}", {CHAT: 99})
        await world.settle()
    assert world.hub.counts == {"backfills": 2, "poll_repairs": 2, "resets": 2}
