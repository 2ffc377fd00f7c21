"""A socket's coming and going, beside the user's other sockets."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from app.adapters.fan_out.in_process import InProcessFanOut
from app.adapters.open_sockets.in_process import InProcessOpenSockets
from app.application import sockets
from app.application.hub.sessions import Session
from app.application.ports.errors import Unavailable
from app.application.ports.people import Account, Bearer
from app.application.signals import Note, unpack, user_channel
from app.application.sockets import Sockets
from app.application.turns import Turns
from app.domain.errors import ParleyError
from app.domain.ids import derived_id
from tests.unit.memory import USERS, Sink, account

ANNA, BEN = USERS[:2]


class Hub:
    def __init__(self) -> None:
        self.opened: list[tuple[str, dict[str, int], str]] = []
        self.dropped: list[Session] = []
        self.evicted: list[tuple[str, list[str]]] = []
        self.sessions = self
        self.hellos = Turns(2, 3, 2)

    def evict(self, user_id: str, session_ids: list[str]) -> None:
        self.evicted.append((user_id, session_ids))

    async def open(self, session: Session, account: Account, resume: dict[str, int], epoch: str) -> None:
        self.opened.append((session.id, resume, epoch))

    def drop(self, session: Session) -> None:
        self.dropped.append(session)


class Identity:
    def __init__(self) -> None:
        self.ended: set[str] = set()
        self.bearers = {"anna": Bearer(ANNA, "newer", 0.0), "ben": Bearer(BEN, "ben's", 0.0)}

    async def bearer(self, token: str) -> Bearer:
        return self.bearers[token]

    async def session_alive(self, session_id: str) -> bool:
        return session_id not in self.ended


class Accounts:
    async def of_session(self, session_id: str, user_id: str) -> Account | None:
        return account(user_id) if user_id in (ANNA, BEN) else None


class Setting:
    def __init__(self) -> None:
        hub: Any = Hub()
        identity: Any = Identity()
        self.hub, self.identity = hub, identity
        self.fan_out, self.told = InProcessFanOut(), list[Any]()
        self.fan_out.listen(lambda channel, payload: self.told.append((channel, unpack("", payload))), lambda: None)
        accounts: Any = Accounts()
        ids = iter(f"s{n}" for n in range(10))
        self.sockets = Sockets(hub, identity, accounts, InProcessOpenSockets(), self.fan_out, lambda: next(ids), 2)

    async def open(self, user: str = ANNA) -> tuple[Session, Sink]:
        await self.fan_out.subscribe([user_channel(user)])
        sink = Sink()
        session, found = await self.sockets.signed_in(Bearer(user, f"auth {user}", time.time()), sink)
        await self.sockets.welcome(session, found, {"chat": 3}, "epoch")
        return session, sink


def test_one_more_than_its_number_closes_the_oldest_on_whatever_gateway() -> None:
    async def go() -> None:
        s = Setting()
        first, second = (await s.open())[0], (await s.open())[0]
        await s.open(BEN)
        assert s.hub.evicted == [] and s.hub.opened[0] == (first.id, {"chat": 3}, "epoch")
        await s.open()
        assert s.hub.evicted == [(ANNA, [first.id])] and s.told == [(user_channel(ANNA), Note("evicted", [first.id]))]
        s.sockets.gone(first)
        s.sockets.gone(second)
        await s.open()
        assert len(s.hub.evicted) == 1 and s.hub.dropped == [first, second], "who is gone counts no more"

    asyncio.run(go())


def test_a_sign_in_that_ended_meanwhile_is_closed_and_counted_nowhere() -> None:
    async def go() -> None:
        s = Setting()
        s.identity.ended.add(f"auth {ANNA}")
        session, sink = await s.open()
        assert sink.closed == (4401, "the session has ended")
        assert not await s.sockets.welcome(session, account(ANNA), {}, "")
        s.identity.ended.clear()
        for _ in range(2):
            await s.open()
        assert s.hub.evicted == []
        with pytest.raises(ParleyError, match="unauthenticated"):
            await s.sockets.signed_in(Bearer(derived_id("nobody"), "x", 0.0), Sink())

    asyncio.run(go())


def test_a_newer_token_is_the_same_users_and_its_session_is_the_sockets() -> None:
    async def go() -> None:
        s = Setting()
        session, sink = await s.open()
        with pytest.raises(ParleyError, match="another user"):
            await s.sockets.refresh(session, "ben")
        assert session.auth_session_id == f"auth {ANNA}" and sink.closed is None
        assert (await s.sockets.refresh(session, "anna")).session_id == session.auth_session_id == "newer"
        s.identity.ended.add("newer")
        with pytest.raises(ParleyError, match="the session has ended"):
            await s.sockets.refresh(session, "anna")
        assert sink.closed is not None

    asyncio.run(go())


async def test_a_crowd_waits_in_turns_and_one_too_many_or_too_long_is_told_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = Setting()
    free = asyncio.Event()

    async def slow(session_id: str, user_id: str) -> Account | None:
        await free.wait()
        return account(user_id)

    monkeypatch.setattr(setting.sockets._accounts, "of_session", slow)

    async def come(user: str) -> Session:
        return (await setting.sockets.signed_in(Bearer(user, "auth", time.monotonic() + 900), Sink()))[0]

    first = [asyncio.create_task(come(user)) for user in (ANNA, BEN)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(come(user)) for user in (ANNA, ANNA, BEN)]
    await asyncio.sleep(0)
    for user in (ANNA, BEN):
        with pytest.raises(Unavailable):
            await come(user)
    free.set()
    assert [session.user_id for session in await asyncio.gather(*first, *waiting)] == [ANNA, BEN, ANNA, ANNA, BEN]
    free.clear()
    monkeypatch.setattr(sockets, "HELLO_WAITS_S", 0.01)
    with pytest.raises(Unavailable):
        await come(ANNA)
    free.set()
    assert await come(ANNA), "its turn was given back"
