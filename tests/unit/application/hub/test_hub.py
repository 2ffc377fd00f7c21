"""The hub on a store of dictionaries, in virtual time: who is given what, also where the fan-out lost it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.adapters.fan_out.in_process import InProcessFanOut, InProcessLiveTexts
from app.application.announce import Announcer
from app.application.background import Background
from app.application.hub.hub import Hub
from app.application.hub.sessions import Session
from app.application.ports.errors import Transient
from app.application.ports.store import Healing, Refusal
from app.application.signals import (
    DeltaSignal,
    Frame,
    Note,
    chat_channel,
    pack_delta,
    pack_frame,
    pack_head,
    pack_note,
    pack_told,
    user_channel,
)
from app.domain.command import Command
from app.domain.ids import derived_id
from app.domain.state import Outcome, Result
from tests import actions as c
from tests.unit.memory import CHATS, CODEC, START, USERS, MemoryStore, Sink, account
from tests.unit.virtual_time import run

ANNA, BEN, CARL = USERS[:3]
CHAT, OTHER = CHATS


class World:
    """A store, a hub and what tells the one of the other. lossy: what is announced is lost."""

    def __init__(self) -> None:
        self.store = MemoryStore(10)
        self.fan_out = InProcessFanOut()
        self.live = InProcessLiveTexts(self.fan_out)
        self.troubles: list[BaseException] = []
        self.background = Background(lambda what, error: self.troubles.append(error))
        self.rejected: list[str] = []
        self.hub = Hub(
            process_id="here", fan_out=self.fan_out, timeline=self.store, history=self.store, heal=self.store,  # type: ignore[arg-type]
            live=self.live, codec=CODEC, background=self.background, on_rejected=self.rejected.append,
        )  # fmt: skip
        self.fan_out.listen(self.hub.handle, self.hub.reset)
        self.announcer = Announcer(self.fan_out, self.live, CODEC.event)
        self.lossy = False
        self._ids = itertools.count()

    def id(self) -> str:
        return f"id-{next(self._ids)}"

    async def do(self, *commands: tuple[str, str, Any]) -> list[Any]:
        """Decide as one batch, and announce it unless it is lost."""
        made = [Command(chat, actor, self.id(), action, "here", False, 7) for chat, actor, action in commands]
        results = self.store.batch(made)
        if not self.lossy:
            await self.announcer.announce(self.store.decided)
        return results

    async def open(self, user: str, resume: dict[str, int] | None = None, epoch: str = "epoch") -> tuple[Session, Sink]:
        sink = Sink()
        session = Session(self.id(), user, f"auth-{user}", sink)
        await self.hub.open(session, account(user), resume or {}, epoch)
        return session, sink

    async def settle(self, seconds: float = 0.5) -> None:
        await asyncio.sleep(seconds)


def with_world(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def wrapped() -> None:
        async def go() -> None:
            world = World()
            await world.hub.start()
            polling = asyncio.create_task(world.hub.run())
            await world.do((CHAT, ANNA, c.CreateChat("group", "tea", (BEN,))))
            try:
                await test(world)
                await world.settle()
                assert world.troubles == []
            finally:
                polling.cancel()
                await world.background.close()

        run(go())

    wrapped.__name__ = test.__name__
    wrapped.__doc__ = test.__doc__
    return wrapped


def frames(sink: Sink, type_: str = "") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in sink.lines]
    return [frame for frame in found if not type_ or frame["type"] == type_]


def seqs(sink: Sink, chat_id: str = CHAT) -> list[int]:
    return [f["seq"] for f in frames(sink) if "seq" in f and f.get("chat_id") == chat_id and "at" in f]


def say(text: str, chat_id: str = CHAT, actor: str = ANNA) -> tuple[str, str, Any]:
    return chat_id, actor, c.SendMessage(text)


@with_world
async def test_a_session_gets_what_comes_after_its_welcome_once_and_in_order(world: World) -> None:
    await world.do(say("before"))
    _, sink = await world.open(BEN)
    await world.do(say("one"), say("two"))
    await world.do(say("three"))
    [welcome] = frames(sink, "welcome")
    assert [(chat["id"], chat["head"]) for chat in welcome["chats"]] == [(CHAT, 2)]
    assert (welcome["epoch"], welcome["chats_more"]) == ("epoch", False)
    assert seqs(sink) == [3, 4, 5]


@with_world
async def test_a_lost_announcement_is_healed_by_the_next_ones_gap(world: World) -> None:
    _, sink = await world.open(BEN)
    world.lossy = True
    await world.do(say("lost"))
    await world.do(say("lost too"))
    world.lossy = False
    await world.do(say("heard"))
    await world.settle()
    assert seqs(sink) == [2, 3, 4] and world.hub.counts["backfills"] == 1


@with_world
async def test_the_last_announcement_lost_is_found_by_the_poll(world: World) -> None:
    _, sink = await world.open(BEN)
    world.lossy = True
    await world.do(say("lost"))
    world.store.healing = Healing("epoch", START, False, heads={CHAT: 2})
    await world.settle(3)
    assert seqs(sink) == [2] and world.hub.counts["poll_repairs"] == 1


@with_world
async def test_a_head_that_arrives_meanwhile_is_no_repair(world: World) -> None:
    _, sink = await world.open(BEN)
    await world.do(say("heard"))
    world.store.healing = Healing("epoch", START, False, heads={CHAT: 2})
    await world.settle(3)
    assert seqs(sink) == [2] and world.hub.counts["poll_repairs"] == 0


@with_world
async def test_two_sessions_at_different_places_are_both_served_by_one_read(world: World) -> None:
    _, first = await world.open(BEN)
    world.lossy = True
    for n in range(3):
        await world.do(say(str(n)))
    _, second = await world.open(BEN)
    world.lossy = False
    await world.do(say("now"))
    await world.settle()
    assert seqs(first) == [2, 3, 4, 5] and seqs(second) == [5]


@with_world
async def test_a_backfill_ends_at_ones_own_removal_and_others_go_on(world: World) -> None:
    _, ben = await world.open(BEN)
    _, anna = await world.open(ANNA)
    world.lossy = True
    await world.do(say("1"), (CHAT, ANNA, c.RemoveMember(BEN)), say("secret"))
    world.lossy = False
    await world.do(say("secret too"))
    await world.settle()
    assert seqs(ben) == [2, 3] and frames(ben)[-1]["type"] == "member.removed"
    assert seqs(anna) == [2, 3, 4, 5]


@with_world
async def test_removed_and_added_again_in_one_batch_begins_anew_with_the_joining(world: World) -> None:
    _, ben = await world.open(BEN)
    await world.do(
        (CHAT, ANNA, c.RemoveMember(BEN)), say("not for ben"), (CHAT, ANNA, c.AddMember(BEN, "reader")), say("for ben")
    )
    await world.settle()
    kinds = [(f["type"], f.get("seq", f.get("after"))) for f in frames(ben)][1:]
    assert kinds == [
        ("member.removed", 2), ("chat.joined", 3), ("member.added", 4), ("message.created", 5),
    ]  # fmt: skip


@with_world
async def test_who_is_added_hears_it_though_the_hint_was_lost(world: World) -> None:
    _, carl = await world.open(CARL)
    world.lossy = True
    await world.do((CHAT, ANNA, c.AddMember(CARL, "member")), say("hello"))
    world.store.healing = Healing("epoch", START, False, users={CARL})
    await world.settle(3)
    assert [f["type"] for f in frames(carl)][1:] == ["chat.joined", "member.added", "message.created"]


@with_world
async def test_who_is_removed_is_told_though_the_hint_and_the_event_were_lost(world: World) -> None:
    session, ben = await world.open(BEN)
    world.lossy = True
    await world.do((CHAT, ANNA, c.RemoveMember(BEN)), say("secret"))
    world.store.healing = Healing("epoch", START, False, users={BEN})
    await world.settle(3)
    assert seqs(ben) == [2] and CHAT not in session.cursors


@with_world
async def test_a_hint_is_read_never_believed(world: World) -> None:
    session, carl = await world.open(CARL)
    await world.fan_out.publish([(user_channel(CARL), pack_note(Note("chat", CHAT)))])
    await world.fan_out.publish([(chat_channel(CHAT), pack_head(99))])
    await world.settle()
    assert frames(carl)[1:] == [] and session.cursors == {}


@with_world
async def test_a_head_beyond_what_there_is_does_not_turn_for_ever(world: World) -> None:
    _, ben = await world.open(BEN)
    await world.fan_out.publish([(chat_channel(CHAT), pack_head(99))])
    await world.settle()
    before = len(world.store.calls)
    await world.settle(1)
    assert len(world.store.calls) - before <= 3
    await world.do(say("goes on"))
    await world.settle()
    assert seqs(ben) == [2]


@with_world
async def test_a_resume_is_given_what_was_missed_and_one_end(world: World) -> None:
    await world.do(say("1"), say("2"), say("3"))
    _, ben = await world.open(BEN, {CHAT: 2, OTHER: 7})
    await world.settle()
    assert seqs(ben) == [3, 4]
    assert [(f["chat_id"], f["head"]) for f in frames(ben, "synced")] == [(CHAT, 4)]
    assert [f["chat_id"] for f in frames(ben, "gone")] == [OTHER]
    await world.do(say("live"))
    assert seqs(ben) == [3, 4, 5]


@pytest.mark.parametrize(
    ("after", "epoch", "code"),
    [(1, "another", "epoch"), (5, "epoch", "ahead"), (1, "epoch", "too_far"), (2, "epoch", "")],
)
def test_a_resume_is_reset_where_it_can_not_go_on(after: int, epoch: str, code: str) -> None:
    async def test(world: World) -> None:
        if code == "too_far" or not code:
            for _ in range(5):
                await world.do(*[say("x") for _ in range(100)])
            await world.do(say("501"))
        _, ben = await world.open(BEN, {CHAT: after}, epoch)
        await world.settle()
        head = world.store.state.chats[CHAT].head
        if not code:
            assert seqs(ben) == list(range(3, 503)) and frames(ben, "synced")[0]["head"] == 502
            return
        [reset] = frames(ben, "reset")
        assert (reset["code"], reset["head"]) == (code, head) and "ref" not in reset
        await world.do(say("live"))
        await world.settle()
        assert seqs(ben) == [head + 1]

    with_world(test)()


@with_world
async def test_more_than_a_mebibyte_missed_is_too_far(world: World) -> None:
    await world.do(*[say("ü" * 8_000) for _ in range(70)])
    _, ben = await world.open(BEN, {CHAT: 1})
    await world.settle()
    assert [f["code"] for f in frames(ben, "reset")] == ["too_far"] and seqs(ben) == []


@with_world
async def test_who_was_removed_and_added_meanwhile_is_reset(world: World) -> None:
    await world.do((CHAT, ANNA, c.RemoveMember(BEN)), say("secret"), (CHAT, ANNA, c.AddMember(BEN, "member")))
    session, ben = await world.open(BEN)
    world.hub.sync(session, "s1", {CHAT: 1})
    await world.settle()
    assert [(f["code"], f["ref"], f["head"]) for f in frames(ben, "reset")] == [("rejoined", "s1", 4)]
    world.hub.sync(session, "s2", {CHAT: 2})
    await world.settle()
    assert frames(ben, "synced")[-1]["ref"] == "s2" and seqs(ben) == [3, 4], "from its removal on it had seen all"


@with_world
async def test_a_sync_gives_again_what_was_given_and_each_ref_has_one_end(world: World) -> None:
    session, ben = await world.open(BEN)
    await world.do(say("1"), say("2"))
    world.hub.sync(session, "a", {CHAT: 2})
    world.hub.sync(session, "b", {CHAT: 1})
    await world.settle()
    assert seqs(ben) == [2, 3, 2, 3], "both are answered by what the longer one gives"
    assert [f["ref"] for f in frames(ben, "synced")] == ["a", "b"]
    world.hub.sync(session, "c", {OTHER: 1})
    await world.settle()
    assert [f["ref"] for f in frames(ben, "gone")] == ["c"]


@with_world
async def test_what_is_said_while_one_catches_up_is_given_in_its_place(world: World) -> None:
    await world.do(*[say(str(n)) for n in range(300)])
    session, ben = await world.open(BEN)
    world.hub.sync(session, "a", {CHAT: 1})
    for n in range(5):
        await asyncio.sleep(0)
        await world.do(say(f"meanwhile {n}"))
    await world.settle()
    assert seqs(ben) == list(range(2, 307))


@with_world
async def test_the_store_that_fails_is_asked_again(world: World) -> None:
    session, ben = await world.open(BEN)
    world.lossy = True
    await world.do(say("1"))
    world.lossy = False
    world.store.fail = 3
    await world.do(say("2"))
    await world.settle(2)
    assert seqs(ben) == [2, 3]
    world.store.fail = 2
    world.hub.sync(session, "a", {CHAT: 1})
    await world.settle(2)
    assert [f["ref"] for f in frames(ben, "synced")] == ["a"]


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
async def test_a_refusal_is_told_once_to_all_sessions_of_its_sender_also_by_the_poll(world: World) -> None:
    _, one = await world.open(CARL)
    _, two = await world.open(CARL)
    [result] = await world.do(say("stranger", actor=CARL))
    for sink in (one, two):
        [told] = frames(sink, "rejected")
        assert (told["code"], told["client_message_id"], told["chat_id"]) == ("not_found", result.command.id, CHAT)
        assert told["policies"] == ["strangers-see-nothing"] and "ref" not in told
    world.store.healing = Healing(
        "epoch", START, False, refused=[Refusal(CHAT, CARL, result.command.id, result.outcome)]
    )
    await world.settle(3)
    assert len(frames(one, "rejected")) == 1
    world.store.healing = Healing(
        "epoch", START, False, refused=[Refusal(CHAT, CARL, "lost", Outcome("member.add", None, "muted", "why"))]
    )
    await world.settle(3)
    assert frames(one, "rejected")[-1]["command_id"] == "lost"
    assert world.rejected == [CARL, CARL]


@with_world
async def test_deltas_go_in_order_and_who_comes_late_gets_the_text_so_far(world: World) -> None:
    await world.do(say("@assistant hello"))
    [key] = world.store.state.replies
    from dataclasses import replace

    world.store.state.replies[key] = replace(world.store.state.replies[key], attempt=1, held=True)
    _, early = await world.open(ANNA)
    for index, word in enumerate(("a", "b", "c")):
        await world.live.append(key, 1, index, word, "abc"[: index + 1])
    _, late = await world.open(BEN)
    await world.settle()
    [snapshot] = frames(late, "reply.snapshot")
    assert (snapshot["text"], snapshot["attempt"], snapshot["next_index"]) == ("abc", 1, 3)
    await world.live.append(key, 1, 3, "d", "abcd")
    await world.settle()
    assert [f["text"] for f in frames(early, "reply.delta")] == ["a", "b", "c", "d"]
    assert [f["index"] for f in frames(late, "reply.delta")] == [3]
    await world.live.append(key, 2, 0, "anew", "anew")
    for sink in (early, late):
        assert frames(sink, "reply.delta")[-1]["attempt"] == 2 and frames(sink, "reply.delta")[-1]["index"] == 0
    world.store.state.replies[key] = replace(world.store.state.replies[key], attempt=2)
    await world.do((CHAT, "x", c.CompleteReply(key[1], 2, "complete", "anew")))
    assert frames(early)[-1]["type"] == "message.completed"
    await world.fan_out.publish([(chat_channel(CHAT), pack_delta(DeltaSignal(key[1], 2, 1, "too late")))])
    await world.settle()
    assert frames(early)[-1]["type"] == "message.completed", "no delta after the end"


@with_world
async def test_a_lost_delta_is_made_good_by_a_snapshot(world: World) -> None:
    await world.do(say("@assistant hello"))
    [key] = world.store.state.replies
    _, ben = await world.open(BEN)
    await world.live.append(key, 1, 0, "a", "a")
    channels, world.fan_out._channels = world.fan_out._channels, set()
    await world.live.append(key, 1, 1, "b", "ab")
    world.fan_out._channels = channels
    await world.live.append(key, 1, 2, "c", "abc")
    await world.settle()
    told = [(f["type"], f["text"]) for f in frames(ben) if f["type"].startswith("reply.")]
    assert told == [("reply.delta", "a"), ("reply.snapshot", "abc")]


@with_world
async def test_nothing_is_left_behind_when_all_are_gone(world: World) -> None:
    one, _ = await world.open(BEN)
    two, _ = await world.open(BEN)
    world.hub.drop(one)
    await world.settle()
    assert chat_channel(CHAT) in world.fan_out._channels and user_channel(BEN) in world.fan_out._channels
    world.hub.drop(two)
    await world.settle()
    assert world.fan_out._channels == {"process:here"}
    assert BEN not in world.hub.sessions and world.hub.sessions.all() == []


@with_world
async def test_draining_tells_all_and_closes_them_in_slices(world: World) -> None:
    sinks = [(await world.open(BEN))[1] for _ in range(20)]
    closing = asyncio.create_task(world.hub.close_all(1012, "restarting", 10, 0.1, 500))
    await asyncio.sleep(0.05)
    assert all(frames(sink, "draining")[0]["reconnect_after_ms"] == 500 for sink in sinks)
    assert sum(sink.closed is not None for sink in sinks) == 2
    await closing
    assert all(sink.closed == (1012, "restarting") for sink in sinks)


@with_world
async def test_what_a_newer_version_says_is_passed_by(world: World) -> None:
    _, ben = await world.open(BEN)
    await world.fan_out.publish(
        [(chat_channel(CHAT), b"Zsomething new"), (user_channel(BEN), pack_note(Note("new", 1)))]
    )
    await world.fan_out.publish([("process:here", pack_note(Note("newer", {})))])
    await world.do(say("goes on"))
    await world.settle()
    assert seqs(ben) == [2]


@with_world
async def test_typing_goes_to_all_but_who_types_and_a_persons_own_signals_to_their_open_sessions(world: World) -> None:
    _, ben = await world.open(BEN)
    _, anna = await world.open(ANNA)
    unopened = Sink()
    world.hub.sessions.add(Session("new", BEN, "auth", unopened))
    await world.fan_out.publish([(chat_channel(CHAT), pack_frame(Frame(CODEC.typing(CHAT, ANNA, 6000), ANNA)))])
    assert len(frames(ben, "typing")) == 1 and frames(anna, "typing") == []
    await world.fan_out.publish([(user_channel(BEN), pack_frame(Frame(CODEC.read_marked(CHAT, BEN, 1))))])
    assert len(frames(ben, "read.marked")) == 1 and frames(anna, "read.marked") == [] and unopened.lines == []


@with_world
async def test_room_is_made_for_newer_sockets_of_the_same_user_alone(world: World) -> None:
    one, first = await world.open(BEN)
    _, second = await world.open(BEN)
    anna, third = await world.open(ANNA)
    await world.fan_out.publish([(user_channel(BEN), pack_note(Note("evicted", [one.id, anna.id])))])
    assert first.closed is not None and first.closed[0] == 4409 and second.closed is None and third.closed is None


@with_world
async def test_a_rejection_told_to_the_user_repeats_the_ref_of_who_asked_here(world: World) -> None:
    session, sink = await world.open(CARL)
    session.expect(7, (CHAT, CARL, "mine"), "r7", True)
    refused = Result(
        Command(CHAT, CARL, "mine", c.SendMessage("x"), "here", False, 7), Outcome("message.send", None, "muted", "why")
    )
    elsewhere = Result(
        Command(CHAT, CARL, "theirs", c.SendMessage("x"), "there", False, 7),
        Outcome("message.send", None, "muted", "why"),
    )
    await world.fan_out.publish([(user_channel(CARL), pack_note(Note("rejected", pack_told(elsewhere))))])
    await world.fan_out.publish([(user_channel(CARL), pack_note(Note("rejected", pack_told(refused))))])
    assert [(f["client_message_id"], f.get("ref")) for f in frames(sink, "rejected")] == [
        ("theirs", None),
        ("mine", "r7"),
    ]


@with_world
async def test_who_waits_elsewhere_in_this_process_is_told_a_rejection_too(world: World) -> None:
    key = (CHAT, ANNA, "id")
    waiting = [world.hub.outcomes.expect(key) for _ in range(2)]
    outcome = Outcome("message.send", None, "muted", "why")
    world.hub.outcomes.tell_rejected(key, outcome)
    assert [future.result() for future in waiting] == [(outcome, False)] * 2 and world.rejected == [ANNA]
    world.hub.outcomes.tell_rejected((CHAT, "nobody here", "id"), outcome)
    assert world.rejected == [ANNA]


@with_world
async def test_more_chats_than_a_welcome_lists_are_live_all_the_same(world: World) -> None:
    chats = [derived_id("many", str(n)) for n in range(205)]
    for chat_id in chats:
        world.store.do(chat_id, ANNA, c.CreateChat("group", None, (BEN,)))
    _, ben = await world.open(BEN, {chats[-1]: 1})
    [welcome] = frames(ben, "welcome")
    shown = [chat["id"] for chat in welcome["chats"]]
    assert len(shown) == 201 and shown[-1] == chats[-1] and welcome["chats_more"] is True
    unlisted = next(chat_id for chat_id in chats if chat_id not in shown)
    await world.do((unlisted, ANNA, c.SendMessage("hi")))
    await world.settle()
    assert seqs(ben, unlisted) == [2]


@with_world
async def test_what_changes_while_one_is_welcomed_is_made_good(world: World) -> None:
    """Added to one chat, removed from another, and spoken in, between the reading of the chats and the welcome."""
    world.store.do(OTHER, ANNA, c.CreateChat("group", None, ()))
    joined, times = world.store.joined, 0

    async def slow(user_id: str, chat_ids: Any) -> Any:
        nonlocal times
        found = await joined(user_id, chat_ids)
        times += 1
        if times == 1:
            await world.do((OTHER, ANNA, c.AddMember(BEN, "member")), (CHAT, ANNA, c.RemoveMember(BEN)))
        return found

    world.store.joined = slow  # type: ignore[method-assign]
    session, ben = await world.open(BEN)
    await world.settle()
    assert set(session.cursors) == {OTHER} and chat_channel(CHAT) not in world.fan_out._channels
    await world.do((OTHER, ANNA, c.SendMessage("hi")), (CHAT, ANNA, c.SendMessage("secret")))
    await world.settle()
    assert seqs(ben, OTHER)[-1] == 3 and seqs(ben, CHAT) == []


@with_world
async def test_a_membership_that_could_not_be_read_is_read_again(world: World) -> None:
    session, carl = await world.open(CARL)
    memberships, fails = world.store.memberships, 2

    async def failing(*arguments: Any, **named: Any) -> Any:
        nonlocal fails
        if fails:
            fails -= 1
            raise Transient("db")
        return await memberships(*arguments, **named)

    world.store.memberships = failing  # type: ignore[method-assign]
    await world.do((CHAT, ANNA, c.AddMember(CARL, "member")))
    await world.settle(3)
    assert [f["type"] for f in frames(carl)][1:] == ["chat.joined", "member.added"] and session.joining == set()
    world.hub.drop(session)
    await world.settle()
    assert world.fan_out._channels == {"process:here"}, "nothing that was given up is still heard"


@with_world
async def test_who_is_gone_meanwhile_is_not_joined(world: World) -> None:
    session, carl = await world.open(CARL)
    adding = asyncio.create_task(world.do((CHAT, ANNA, c.AddMember(CARL, "member"))))
    await asyncio.sleep(0)
    world.hub.drop(session)
    await adding
    await world.settle()
    assert frames(carl, "chat.joined") == [] and world.fan_out._channels == {"process:here"}
    assert session.closed


@with_world
async def test_a_hint_is_about_its_chats_alone(world: World) -> None:
    world.store.do(OTHER, ANNA, c.CreateChat("group", None, (BEN,)))
    session, ben = await world.open(BEN)
    world.store.do(OTHER, ANNA, c.RemoveMember(BEN))
    await world.fan_out.publish([(user_channel(BEN), pack_note(Note("chat", CHAT)))])
    await world.settle()
    assert OTHER in session.cursors and seqs(ben, OTHER) == []


@with_world
async def test_a_sync_of_what_one_is_no_member_of_leaves_nothing_heard(world: World) -> None:
    session, carl = await world.open(CARL)
    world.hub.sync(session, "a", {CHAT: 0})
    await world.settle()
    assert [f["ref"] for f in frames(carl, "gone")] == ["a"] and chat_channel(CHAT) not in world.fan_out._channels
    assert session.behind == {} and not session.catching


@with_world
async def test_a_sync_of_a_chat_that_one_was_just_added_to_is_answered_before_the_hint(world: World) -> None:
    session, carl = await world.open(CARL)
    world.lossy = True
    await world.do((CHAT, ANNA, c.AddMember(CARL, "member")), say("hi"))
    world.lossy = False
    world.hub.sync(session, "a", {CHAT: 1})
    await world.settle()
    assert seqs(carl) == [2, 3] and frames(carl, "synced")[0]["head"] == 3
    await world.do(say("live"))
    assert seqs(carl) == [2, 3, 4]


@with_world
async def test_of_two_streams_each_has_its_own_place(world: World) -> None:
    await world.do(say("@assistant a"), say("@assistant b"))
    one, two = world.store.state.replies
    _, ben = await world.open(BEN)
    await world.live.append(one, 1, 0, "a", "a")
    await world.live.append(two, 2, 0, "x", "x")
    await world.live.append(one, 1, 1, "b", "ab")
    await world.fan_out.publish([(chat_channel(CHAT), pack_delta(DeltaSignal(two[1], 1, 0, "older attempt")))])
    await world.fan_out.publish([(chat_channel(CHAT), pack_delta(DeltaSignal(one[1], 1, 0, "again")))])
    assert [(f["message_id"], f["attempt"], f["index"]) for f in frames(ben, "reply.delta")] == [
        (one[1], 1, 0), (two[1], 2, 0), (one[1], 1, 1),
    ]  # fmt: skip
    assert frames(ben, "reply.snapshot") == []


@with_world
async def test_who_is_behind_gets_no_delta_between_events_that_it_has_not(world: World) -> None:
    session, ben = await world.open(BEN)
    await world.do(say("@assistant a"))
    [key] = world.store.state.replies
    world.lossy = True
    await world.do(say("missed"))
    world.lossy = False
    world.hub.sync(session, "s", {CHAT: 3})
    await world.live.append(key, 1, 0, "a", "a")
    assert frames(ben, "reply.delta") == []
    await world.settle()
    assert seqs(ben)[-1] == 4


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
