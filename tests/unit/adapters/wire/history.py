"""A chat in which everything happened that can."""

from __future__ import annotations

from tests import actions as c
from tests.unit.memory import CHATS, USERS, MemoryStore

CHAT, (ANNA, BEN) = CHATS[0], USERS[:2]


def history() -> MemoryStore:
    store = MemoryStore()
    store.do(CHAT, ANNA, c.CreateChat("assistant", "t", (BEN,), "m", "i"))
    store.do(CHAT, ANNA, c.SendMessage("hi"))
    reply = store.log[-1].payload.id
    message = store.log[-2].payload.id
    store.do(CHAT, ANNA, c.SendMessage("and then?"))
    store.do(CHAT, ANNA, c.SteerReply(store.log[-1].payload.id, "shorter"))
    for actor, action in (
        (BEN, c.AddReaction(message, "👍")), (BEN, c.RemoveReaction(message, "👍")), (ANNA, c.PinMessage(message)),
        (ANNA, c.UnpinMessage(message)), (ANNA, c.EditMessage(message, "x")), (BEN, c.StopReply(reply)),
        (ANNA, c.DeleteMessage(message)), (ANNA, c.UpdateChat(("title",), "y")), (ANNA, c.UpdateMember(BEN, ("role",), "admin")),
        (ANNA, c.BanMember(BEN)), (ANNA, c.UnbanMember(BEN)), (ANNA, c.AddMember(BEN, "reader")),
    ):  # fmt: skip
        assert store.do(CHAT, actor, action).outcome.code is None
    return store
