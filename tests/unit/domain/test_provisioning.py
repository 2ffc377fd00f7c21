"""What a host's backend does: the chat as it shall be, whole or not at all, and what is said in it."""

from __future__ import annotations

from typing import Any

from app.domain.command import Command
from app.domain.ids import derived_id
from app.domain.state import Result
from app.domain.values import Person, Via
from tests import actions as c
from tests.unit.domain.scene import ANNA, BEN, CARL, CHAT, DORA, OTHER, Scene

BOT = derived_id("user", "bot")
ALL = frozenset({"users", "chats", "messages", "tokens"})


class Hosted(Scene):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.store.state.people[BOT] = Person(BOT, "service-1", "Our Shop", "bot")
        self._count = 0

    def host(self, action: Any, actor: str = BOT, scopes: frozenset[str] | None = ALL, chat: str = CHAT) -> Result:
        self._count += 1
        id_ = derived_id("command", str(self._count))
        [result] = self.store.batch([Command(chat, actor, id_, action, scopes=scopes)])
        return result

    def events(self, action: Any, **more: Any) -> list[tuple[str, str]]:
        """(type, actor) of what it made."""
        before = len(self.store.log)
        result = self.host(action, **more)
        assert result.outcome.code is None, result.outcome
        made = self.store.log[before:]
        assert result.outcome.seq in {event.seq for event in made} or (not made and result.outcome.seq is None)
        return [(event.type, event.actor_id) for event in made]

    def no(self, action: Any, **more: Any) -> str:
        before = self.store.log[:]
        state = dict(self.store.state.members)
        result = self.host(action, **more)
        assert result.outcome.code is not None and self.store.log == before and self.store.state.members == state
        return result.outcome.code


def members(*wanted: tuple[str, str], **more: Any) -> c.ProvisionChat:
    return c.ProvisionChat("group", more.pop("title", None), wanted, **more)


def test_a_chat_comes_and_is_as_it_shall_be() -> None:
    s = Hosted()
    assert s.events(members((ANNA, "owner"), (BEN, "reader"), title="one"), chat=OTHER) == [("chat.created", BOT)]
    assert s.store.state.chats[OTHER].created_by == BOT and (OTHER, BOT) not in s.store.state.members
    assert s.store.state.members[(OTHER, BEN)].role == "reader" and s.store.state.owners[OTHER] == 1
    assert s.events(members((ANNA, "owner"), (BEN, "reader"), title="one"), chat=OTHER) == []
    changed = s.events(members((BEN, "admin"), (CARL, "member"), title="two"), chat=OTHER)
    assert changed == [("chat.updated", BOT), ("member.updated", BOT), ("member.added", BOT)]
    exact = s.events(members((ANNA, "owner"), exact=True), chat=OTHER)
    assert exact == [("member.removed", BOT)] * 2 and s.store.state.chats[OTHER].members_count == 1


def test_what_cant_be_done_whole_isnt_done() -> None:
    s = Hosted()  # a group takes four
    full = [(ANNA, "owner"), (BEN, "member"), (CARL, "member"), (DORA, "member")]
    fifth = derived_id("user", "4")
    s.events(members(*full))
    assert s.no(members((fifth, "member"), title="new")) == "conflict", "neither the title"
    assert [type_ for type_, _ in s.events(members(*full[:3], (fifth, "member"), exact=True))] == [
        "member.removed", "member.added",
    ]  # fmt: skip
    s.ok(ANNA, c.BanMember(CARL))
    assert s.no(members((BEN, "admin"), (CARL, "member"))) == "banned"
    assert s.no(members((BEN, "admin"), (derived_id("user", "none"), "member"))) == "invalid"
    assert s.no(members((BOT, "owner"))) == "invalid", "only people own"
    assert s.no(c.ProvisionChat("direct", None, ((ANNA, "member"), (BEN, "member")))) == "conflict"
    assert s.no(c.ProvisionChat("assistant", None, ((ANNA, "owner"),)), chat=OTHER) == "invalid"
    assert s.no(c.ProvisionChat("direct", "t", ((ANNA, "m"), (BEN, "m"))), chat=OTHER) == "invalid"
    assert s.no(c.ProvisionChat("direct", None, ((ANNA, "m"),)), chat=OTHER) == "invalid"


def test_who_is_disabled_stays_but_doesnt_come() -> None:
    s = Hosted()
    s.store.state.disabled.update({BEN, CARL})
    assert s.events(members((BEN, "reader"))) == [("member.updated", BOT)]
    assert s.no(members((CARL, "member"))) == "invalid"


def test_a_direct_chat_has_two_members() -> None:
    s = Hosted()
    pair = c.ProvisionChat("direct", None, ((ANNA, "owner"), (BEN, "member")), exact=True)
    assert s.events(pair, chat=OTHER) == [("chat.created", BOT)]
    assert {s.store.state.members[(OTHER, who)].role for who in (ANNA, BEN)} == {"member"}
    assert s.events(pair, chat=OTHER) == []


def test_each_takes_its_scope_and_a_key_at_all() -> None:
    s = Hosted()
    post = c.PostMessage("hello", "k")
    for scopes in (None, frozenset[str](), ALL - {"chats"}, frozenset({"read", "write", "ask"})):
        assert s.no(members((ANNA, "owner")), scopes=scopes) == "not_allowed"
    for scopes in (None, ALL - {"messages"}):
        assert s.no(post, scopes=scopes) == "not_allowed"
        assert s.no(c.PostMessage("hello", "k", "Our Shop"), actor=ANNA, scopes=scopes) == "not_allowed"


def test_the_bot_speaks_where_it_is_not_and_a_user_where_they_may() -> None:
    s = Hosted()
    assert s.events(c.PostMessage("@assistant hello", "k")) == [("message.created", BOT)], "and asks nobody"
    assert s.events(c.PostMessage("as Ben", "k", "Our Shop"), actor=BEN) == [("message.created", BEN)]
    message = s.store.log[-1].payload
    assert message.via == Via("k", "Our Shop") and message.client_message_id
    assert s.no(c.PostMessage("as Carl", "k", "Our Shop"), actor=CARL) == "not_found"
    asked = s.events(c.PostMessage("@assistant hello", "k", "Our Shop"), actor=BEN)
    assert [type_ for type_, _ in asked] == ["message.created", "message.created"], "the person asks, as they may"
    s.ok(ANNA, c.UpdateChat(("archived",), archived=True))
    assert s.no(c.PostMessage("late", "k")) == "archived"
    assert s.no(c.PostMessage("late", "k", "Our Shop"), actor=BEN) == "archived"
    assert s.no(c.PostMessage("nowhere", "k"), chat=OTHER) == "not_found"
