"""A socket that is behind: resume, sync, and what is said meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.application.ports.store import Joined
from app.application.signals import Frame, Note, chat_channel, pack_frame, pack_note, user_channel
from app.domain.ids import ASSISTANT_ID
from tests import actions as c
from tests.unit.application.hub.world import ANNA, BEN, CARL, CHAT, OTHER, World, frames, say, seqs, with_world
from tests.unit.memory import CODEC, Sink
from tests.unit.virtual_time import run


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
async def test_who_closes_or_leaves_while_it_is_asked_about_is_given_nothing_more(world: World) -> None:
    await world.do((OTHER, ANNA, c.CreateChat("group", None, (BEN,))), (OTHER, ANNA, c.SendMessage("1")))
    await world.do(*[say(str(n)) for n in range(5)])
    session, ben = await world.open(BEN)
    joined, waiting = world.store.joined, asyncio.Event()

    async def slow(user_id: str, chat_ids: object) -> dict[str, Joined]:
        found = await joined(user_id, chat_ids)  # type: ignore[arg-type]
        await waiting.wait()
        return found

    world.store.joined = slow  # type: ignore[method-assign]
    world.hub.sync(session, "a", {CHAT: 1, OTHER: 1})
    await world.settle()
    before = len(ben.lines)
    world.hub.drop(session)
    waiting.set()
    await world.settle()
    assert len(ben.lines) == before and world.hub._feeds.get(CHAT) is None, "its place is given up, once"
    await world.do(say("after"))
    assert len(ben.lines) == before


@with_world
async def test_a_read_goes_as_far_as_what_is_known_and_no_further(world: World) -> None:
    _, ben = await world.open(BEN)
    world.lossy = True
    await world.do(say("1"), say("2"))
    world.lossy = False
    world.store.calls.clear()
    await world.fan_out.publish([(user_channel(BEN), pack_note(Note("chat", CHAT)))])
    await world.settle()
    assert seqs(ben) == [2, 3] and world.store.calls.count("events") == 1
    world.lossy = True
    await world.do((CHAT, ANNA, c.RemoveMember(BEN)))
    world.lossy = False
    world.store.calls.clear()
    await world.fan_out.publish([(user_channel(BEN), pack_note(Note("chat", CHAT)))])
    await world.settle()
    assert frames(ben)[-1]["type"] == "member.removed" and world.store.calls.count("events") == 1


@with_world
async def test_a_long_absence_is_given_at_the_pace_of_the_reader(world: World) -> None:
    await world.do(*[say("x" * 1_000) for _ in range(300)])
    session, ben = await world.open(BEN)
    ben.full = True
    world.hub.sync(session, "a", {CHAT: 1})
    await world.settle(2)
    given = len(seqs(ben))
    assert 0 < given < 200 and ben.drains, "a frame, then it waits for room"
    ben.full = False
    await world.settle(2)
    assert seqs(ben) == list(range(2, 302)) and [f["ref"] for f in frames(ben, "synced")] == ["a"]


def test_what_can_not_be_given_ends_all_the_same_and_the_chat_goes_on() -> None:
    async def go() -> None:
        world = World()
        await world.hub.start()
        await world.do((CHAT, ANNA, c.CreateChat("group", "tea", (BEN,))), say("1"), say("2"))
        events, broken = world.store.events, [True]

        async def raises(chat_id: str, after: int, limit: int) -> object:
            if broken[0]:
                raise ValueError("a row that nobody can read")
            return await events(chat_id, after, limit)

        world.store.events = raises  # type: ignore[method-assign, assignment]
        session, ben = await world.open(BEN)
        world.hub.sync(session, "a", {CHAT: 1, OTHER: 1})
        await world.settle()
        [reset] = frames(ben, "reset")
        assert (reset["ref"], reset["code"], reset["head"]) == ("a", "too_far", 3)
        assert [f["ref"] for f in frames(ben, "gone")] == ["a"], "the others it named have their end too"
        assert world.troubles and {type(error) for error in world.troubles} == {ValueError}
        broken[0] = False
        await world.do(say("live"))
        await world.settle()
        assert seqs(ben) == [4] and not session.behind
        await world.background.close()

    run(go())


@with_world
async def test_who_sees_nothing_before_their_joining_is_given_places_alone(world: World) -> None:
    """Live, by resume and by sync: of what was said before nothing, and no answer from then while it is written."""
    await world.do(say("secret"), say("@assistant, a question"))
    old, _, open_ = [e.payload for e in world.store.log[-3:]]
    await world.do((CHAT, ANNA, c.UpdateChat(("history",), history="from_joining")), (CHAT, ANNA, c.RemoveMember(BEN)))
    world.store.state.replies[(CHAT, open_.id)] = replace(world.store.state.replies[(CHAT, open_.id)], attempt=1)
    session, ben = await world.open(BEN)
    await world.do((CHAT, ANNA, c.AddMember(BEN, "member")))
    await world.settle()
    floor = world.store.state.members[(CHAT, BEN)].sees_from
    assert floor == world.store.state.chats[CHAT].head and session.floors == {CHAT: floor}
    await world.live.append((CHAT, open_.id), 1, 0, "secret answer", "secret answer")
    await world.do((CHAT, ANNA, c.EditMessage(old.id, "secret, edited")), say("for all"))
    await world.do(
        (CHAT, ASSISTANT_ID, c.CompleteReply(open_.id, 1, "complete", "secret answer")), say("@assistant, again")
    )
    newer = world.store.log[-1].payload
    await world.live.append((CHAT, newer.id), 1, 0, "for all", "for all")
    await world.settle()

    async def given(sink: Sink) -> None:
        await world.settle()
        assert not [line for line in sink.lines if "secret" in line]
        told = [frame for frame in frames(sink) if frame.get("chat_id") == CHAT and "seq" in frame]
        alone = [frame["type"] for frame in told if "message" not in frame and frame["type"].startswith("message.")]
        assert alone == ["message.edited", "message.completed"] and "for all" in "".join(sink.lines)
        assert set(next(f for f in told if f["type"] == "message.edited")) == {
            "type",
            "chat_id",
            "seq",
            "at",
            "actor_id",
        }

    await given(ben)
    assert [frame["text"] for frame in frames(ben, "reply.delta")] == ["for all"]
    _, again = await world.open(BEN, {CHAT: floor})
    await given(again)
    _, early = await world.open(BEN, {CHAT: floor - 2})
    await world.settle()
    assert [frame["code"] for frame in frames(early, "reset")] == ["rejoined"] and not frames(early, "message.created")
    asked, sink = await world.open(BEN)
    world.hub.sync(asked, "r", {CHAT: 0})
    await world.settle()
    assert [frame["code"] for frame in frames(sink, "reset")] == ["rejoined"]
    _, hers = await world.open(ANNA, {CHAT: 1})
    await world.settle()
    assert sum("secret" in line for line in hers.lines) >= 3, "who was there sees all of it"


@with_world
async def test_who_goes_and_comes_again_on_one_socket_sees_from_there_on(world: World) -> None:
    """Whether the going was heard, or passed over by a reset."""
    await world.do((CHAT, ANNA, c.UpdateChat(("history",), history="from_joining")), say("@assistant, a question"))
    open_ = world.store.log[-1].payload
    world.store.state.replies[(CHAT, open_.id)] = replace(world.store.state.replies[(CHAT, open_.id)], attempt=1)
    session, ben = await world.open(BEN)
    await world.live.append((CHAT, open_.id), 1, 0, "so far", "so far")
    assert session.floors == {} and frames(ben, "reply.delta")
    await world.do((CHAT, ANNA, c.RemoveMember(BEN)))
    await world.do((CHAT, ANNA, c.AddMember(BEN, "member")))
    await world.settle()
    floor = world.store.state.members[(CHAT, BEN)].sees_from
    assert session.floors == {CHAT: floor}
    known = len(ben.lines)
    await world.live.append((CHAT, open_.id), 1, 1, " secret", "so far secret")
    await world.settle()
    thinking = CODEC.reply_thinking(CHAT, open_.id, 1, 9)
    await world.fan_out.publish([(chat_channel(CHAT), pack_frame(Frame(thinking)))])
    assert not [line for line in ben.lines[known:] if "secret" in line or "reply." in line]

    world.lossy = True
    await world.do((CHAT, ANNA, c.RemoveMember(BEN)), (CHAT, ANNA, c.AddMember(BEN, "member")))
    world.hub.sync(session, "r", {CHAT: floor - 3})
    await world.settle()
    later = world.store.state.members[(CHAT, BEN)].sees_from
    assert later > floor and session.floors == {CHAT: later}


@with_world
async def test_an_answer_that_nobody_writes_yet_is_told_to_who_comes_before_it_is_written(world: World) -> None:
    await world.do(
        (CHAT, ANNA, c.UpdateChat(("history",), history="from_joining")), (CHAT, ANNA, c.AddMember(CARL, "member"))
    )
    await world.do(say("@assistant, a question"))
    open_ = world.store.log[-1].payload
    session, carl = await world.open(CARL)
    await world.settle()
    await world.live.append((CHAT, open_.id), 1, 0, "so", "so")
    assert [frame["text"] for frame in frames(carl, "reply.delta")] == ["so"]
    session.shown.clear()  # as where it couldn't be read, or was forgotten
    await world.live.append((CHAT, open_.id), 1, 1, " be", "so be")
    await world.settle()
    await world.live.append((CHAT, open_.id), 1, 2, " it", "so be it")
    await world.settle()
    assert frames(carl, "reply.snapshot")[-1]["text"] == "so be it"
    await world.do((CHAT, ASSISTANT_ID, c.CompleteReply(open_.id, 0, "complete", "so be it")))
    assert open_.id not in session.shown
