"""What operators do in chats that aren't theirs: the ordinary event, the words to the chat, and the record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.domain.command import Command
from app.domain.ids import ASSISTANT_ID, SYSTEM_ID
from app.domain.moderation import FOR_EVER, Act
from app.domain.state import Result
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, DORA, OTHER, Scene
from tests.unit.memory import START

UNTIL = START + timedelta(days=1)


def scene(kind: str = "group", **more: Any) -> Scene:
    made = Scene(kind, **more)
    made.store.state.operators.add(DORA)
    return made


def done(s: Scene, act: Act, target: str, **more: Any) -> tuple[Any, str]:
    """(the ordinary event, what the chat is told); the record is looked at."""
    before = len(s.store.log)
    result = s.do(DORA, c.Moderate(act, target, more.pop("reason", "spam"), **more))
    assert result.outcome.code is None, result.outcome
    *events, told = s.store.log[before:]
    assert told.type == "message.created" and told.payload.sender_id == told.actor_id == SYSTEM_ID
    assert (told.payload.kind, told.payload.client_message_id, told.command_id) == ("system", None, None)
    [record] = s.store.decided.state.changes.audit
    assert (record.actor_id, record.act, record.target_id) == (DORA, f"chat.{act}", target)
    assert record.details["chat_id"] == CHAT
    if not events:
        return None, told.payload.body
    [event] = events
    assert (event.seq, event.actor_id) == (result.outcome.seq, DORA) and event.command_id == result.command.id
    return event, told.payload.body


def nothing(s: Scene, act: Act, target: str) -> None:
    before = len(s.store.log)
    result = s.do(DORA, c.Moderate(act, target, "spam"))
    assert (result.outcome.seq, result.outcome.code, len(s.store.log)) == (None, None, before)
    assert s.store.decided.state.changes.audit == []


def refused(s: Scene, who: str, act: str, target: str, chat: str = CHAT) -> Result:
    before = len(s.store.log)
    result = s.do(who, c.Moderate(act, target, "spam"), chat)
    assert result.outcome.code is not None and len(s.store.log) == before
    assert s.store.decided.state.changes.audit == []
    return result


def test_an_owner_is_made_of_who_is_in_the_chat_and_who_isnt() -> None:
    s = scene()
    event, told = done(s, Act.OWNER, BEN)
    assert (event.type, event.payload.role) == ("member.updated", "owner")
    assert told == f"{event.payload.user.display_name} was made an owner by an operator: spam"
    nothing(s, Act.OWNER, BEN)
    event, _ = done(s, Act.OWNER, CARL)
    assert (event.type, event.payload.role, event.payload.user.id) == ("member.added", "owner", CARL)
    assert s.store.state.owners[CHAT] == 3
    assert refused(s, DORA, Act.OWNER, ASSISTANT_ID).outcome.code == "invalid"
    s.store.state.disabled.add(BEN)
    assert refused(s, DORA, Act.OWNER, BEN).outcome.code == "invalid"


def test_a_message_is_deleted_and_what_the_service_says_stays() -> None:
    s = scene()
    message = s.say()
    event, told = done(s, Act.DELETE, message.id)
    assert (event.type, event.payload.body) == (
        "message.deleted",
        None,
    ) and told == "A message was deleted by an operator: spam"
    nothing(s, Act.DELETE, message.id)
    words = s.store.log[-1].payload
    assert s.do(ANNA, c.DeleteMessage(words.id)).outcome.code == "conflict"
    assert s.do(ANNA, c.EditMessage(words.id, "x")).outcome.code == "not_allowed"
    assert refused(s, DORA, Act.DELETE, words.id).outcome.code == "conflict", "of no operator either"


def test_a_ban_that_follows_its_lifting_at_once_is_told_and_written_down_too() -> None:
    s = scene()
    done(s, Act.BAN, CARL)
    commands = [Command(CHAT, DORA, f"id-{act}", c.Moderate(act, CARL, "x")) for act in (Act.UNBAN, Act.BAN)]
    results = s.store.batch(commands)
    assert [result.outcome.code for result in results] == [None, None] and (CHAT, CARL) in s.store.state.bans
    assert [record.act for record in s.store.decided.state.changes.audit] == ["chat.unban", "chat.ban"]


def test_mutes_and_bans_end_by_themselves_or_never() -> None:
    s = scene()
    event, told = done(s, Act.MUTE, ANNA, until=UNTIL)
    assert event.payload.muted_until == UNTIL and told.endswith(
        " was muted by an operator until 2026-01-02 00:00 UTC: spam"
    )
    assert [one.details["until"] for one in s.store.decided.state.changes.audit] == ["2026-01-02T00:00:00.000Z"]
    event, told = done(s, Act.MUTE, ANNA)
    assert event.payload.muted_until == FOR_EVER
    event, told = done(s, Act.UNMUTE, ANNA, reason="")
    assert event.payload.muted_until is None and told.endswith(" was unmuted by an operator.")
    nothing(s, Act.UNMUTE, ANNA)
    event, told = done(s, Act.BAN, BEN, until=UNTIL)
    assert (event.type, event.payload.reason) == ("member.removed", "banned") and "until 2026-01-02" in told
    assert s.store.state.ban_ends == {(CHAT, BEN): UNTIL}
    done(s, Act.BAN, BEN, until=UNTIL + timedelta(days=1))
    done(s, Act.BAN, BEN)
    assert s.store.state.ban_ends == {}, "a longer one takes the place of a shorter one"
    nothing(s, Act.BAN, BEN)
    event, told = done(s, Act.BAN, CARL)
    assert event is None and told.endswith(" was banned by an operator: spam"), "who isn't in it is kept out too"
    assert refused(s, DORA, Act.OWNER, CARL).outcome.code == "banned"
    event, told = done(s, Act.UNBAN, CARL)
    assert event.type == "member.unbanned" and "'s ban was lifted by an operator" in told
    nothing(s, Act.UNBAN, CARL)


def test_who_may_and_where() -> None:
    s = scene()
    for act, target in ((Act.MUTE, BEN), (Act.OWNER, BEN), (Act.BAN, BEN)):
        for who in (ANNA, CARL):
            result = refused(s, who, act, target)
            assert (result.outcome.code, result.outcome.policies) == ("not_allowed", ("only-operators-moderate",))
    assert refused(s, DORA, Act.MUTE, BEN, OTHER).outcome.code == "not_found"
    for act in (Act.MUTE, Act.DELETE, Act.BAN):
        assert refused(s, DORA, act, "nobody").outcome.code == "not_found"
    assert refused(s, DORA, Act.MUTE, CARL).outcome.code == "not_found"
    past = s.do(DORA, c.Moderate(Act.BAN, BEN, "spam", START - timedelta(days=999)))
    assert past.outcome.code == "invalid" and BEN in {user for _, user in s.store.state.members}
    two = scene("direct")
    for act in (Act.OWNER, Act.BAN, Act.UNBAN):
        assert refused(two, DORA, act, BEN).outcome.code == "conflict"
    done(two, Act.MUTE, BEN)
    archived = scene()
    chat = archived.store.state.chats[CHAT]
    archived.store.state.chats[CHAT] = replace(chat, archived=True)
    done(archived, Act.BAN, BEN)


@pytest.mark.parametrize("act", list(Act))
def test_every_act_has_its_words(act: Act) -> None:
    s = scene()
    target = s.say().id if act == Act.DELETE else BEN
    if act in (Act.UNMUTE, Act.UNBAN):
        done(s, Act.MUTE if act == Act.UNMUTE else Act.BAN, BEN)
    _, told = done(s, act, target, reason="the reason")
    assert "by an operator" in told and told.endswith(": the reason")
