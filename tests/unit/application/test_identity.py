"""Who somebody is: registration, sign-in, refresh, tickets, and how long it holds."""

from __future__ import annotations

import asyncio
import time
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

import app.application.identity as identity_module
from app.adapters.fan_out.in_process import InProcessFanOut
from app.adapters.identity.local import JwtTokens
from app.adapters.limits.counting import LimitSettings, UserLimits
from app.application.identity import Entrance, Identity, SignInRefused
from app.application.keys import KeyRing
from app.application.ports.errors import Unavailable
from app.application.ports.held import NothingHeld
from app.application.ports.invitations import Invitation
from app.application.ports.people import Account, RefreshTry, TicketUse
from app.application.signals import user_channel
from app.domain.errors import ParleyError
from app.domain.ids import derived_id
from tests.unit.memory import PEP
from tests.unit.virtual_time import run


class Passwords(NothingHeld):
    def __init__(self) -> None:
        self.verified: list[str | None] = []

    async def hash(self, password: str, who: str) -> str:
        return f"hashed {password}"

    async def verify(self, password: str, hashed: str | None, who: str) -> bool:
        self.verified.append(hashed)
        return hashed == f"hashed {password}"


class Accounts:
    def __init__(self) -> None:
        self.people: dict[str, Account] = {}
        self.sessions: dict[str, str] = {}
        self.refresh: dict[str, RefreshTry] = {}
        self.tickets: dict[str, tuple[str, str]] = {}
        self.asked = 0
        self.changed: Account | None = None

    async def create(self, account: Account) -> bool:
        if any(a.username == account.username for a in self.people.values()):
            return False
        self.people[account.id] = account
        return True

    async def by_name(self, username: str) -> Account | None:
        return next((a for a in self.people.values() if a.username == username), None)

    async def by_id(self, user_id: str) -> Account | None:
        return self.people.get(user_id)

    async def start_session(
        self, account: Account, refresh_hash: str, refresh_ttl_s: float, client: str, vouched: Any = None
    ) -> str | None:
        if account.disabled or self.changed is account:
            return None
        id_ = derived_id("session", str(len(self.sessions)))
        self.sessions[id_] = account.id
        self.refresh[refresh_hash] = RefreshTry(id_, account.id, False)
        return id_

    async def use_refresh(self, refresh_hash: str, new_hash: str, grace_s: float, ttl_s: float) -> RefreshTry | None:
        assert (grace_s, ttl_s) == (30.0, 30 * 86_400.0)
        found = self.refresh.get(refresh_hash)
        if found is not None and not found.replayed:
            self.refresh[new_hash] = found
        return found

    async def was_refreshed_by(self, user_id: str, refresh_hash: str) -> bool:
        found = self.refresh.get(refresh_hash)
        return found is not None and found.user_id == user_id

    async def session_alive(self, session_id: str, user_id: str | None = None) -> bool:
        self.asked += 1
        return session_id in self.sessions and user_id in (None, self.sessions[session_id])

    async def rehash(self, account: Account, password_hash: str) -> bool:
        if self.changed is account:
            return False
        self.people[account.id] = replace(account, password_hash=password_hash)
        return True

    async def end_session(self, session_id: str) -> None:
        self.sessions.pop(session_id, None)

    async def owns_session(self, user_id: str, session_id: str) -> bool:
        return self.sessions.get(session_id) == user_id

    async def change_password(self, user_id: str, password_hash: str, keep_session: str) -> list[str]:
        ended = [s for s, u in self.sessions.items() if u == user_id and s != keep_session]
        for session in ended:
            del self.sessions[session]
        self.people[user_id] = replace(self.people[user_id], password_hash=password_hash)
        return ended

    async def add_ticket(self, ticket_hash: str, session_id: str, ttl_s: float) -> None:
        assert ttl_s == 30
        self.tickets[ticket_hash] = (session_id, self.sessions[session_id])

    async def use_ticket(self, ticket_hash: str) -> TicketUse | None:
        found = self.tickets.pop(ticket_hash, None)
        return TicketUse(*found) if found is not None else None


class Invitations:
    """Of one good code, for one."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def take(self, code: str, user_id: str) -> tuple[Invitation, bool] | None:
        if code != "good" or self.taken:
            return None
        self.taken.append(user_id)
        return Invitation("good", None, "root", datetime(2026, 1, 1, tzinfo=UTC), None, 1), True

    async def give_back(self, code: str, user_id: str) -> None:
        self.taken.remove(user_id)

    async def _not_asked(self, *_: Any) -> Any:
        raise AssertionError

    add = of = end = _not_asked


class Setting:
    def __init__(self) -> None:
        self.accounts, self.passwords, self.fan_out = Accounts(), Passwords(), InProcessFanOut()
        self.told: list[tuple[str, bytes]] = []
        self.fan_out.listen(lambda channel, payload: self.told.append((channel, payload)), lambda: None)
        self.limiter = UserLimits(LimitSettings(50, 100, 100, 100, failures_per_pair=3, names_per_address=6))
        self.tokens = JwtTokens(["a secret of sixteen"], 900)
        ids = iter(derived_id("user", str(n)) for n in range(100))
        accounts: Any = self.accounts
        nobodys: Any = None  # of what isn't asked here
        keys = KeyRing(nobodys, accounts, self.fan_out, PEP, lambda: next(ids))
        self.invitations = Invitations()
        self.entrance = Entrance()
        self.identity = Identity(
            accounts,
            self.passwords,
            self.tokens,
            self.limiter,
            keys,
            lambda: next(ids),
            self.invitations,
            self.entrance,
        )

    async def ann(self) -> Any:
        return await self.identity.register("Ann", "a long password", None, "1.1.1.1", "curl")


async def test_who_registers_is_signed_in_under_the_lowered_name() -> None:
    s = Setting()
    signed_in = await s.ann()
    assert (signed_in.account.username, signed_in.account.display_name, signed_in.expires_in) == ("ann", "ann", 900)
    assert (signed_in.account.kind, signed_in.account.role) == ("human", "user")
    bearer = await s.identity.bearer(signed_in.access_token)
    assert bearer.user_id == signed_in.account.id and bearer.session_id in s.accounts.sessions
    assert 890 < bearer.until - time.monotonic() <= 901
    assert sha256(signed_in.refresh_token.encode()).hexdigest() in s.accounts.refresh, "only a hash is kept"
    named = await s.identity.register("ben", "a long password", "Ben B.", "1.1.1.1")
    assert named.account.display_name == "Ben B."
    for name, code in (
        ("ANN", "conflict"),
        ("a", "invalid"),
        ("-ann", "invalid"),
        ("an n", "invalid"),
        ("a" * 33, "invalid"),
        ("ann\n", "invalid"),
    ):
        with pytest.raises(ParleyError) as refused:
            await s.identity.register(name, "a long password", None, "1.1.1.1")
        assert refused.value.code == code


async def test_signing_in_takes_the_password_and_says_no_more() -> None:
    s = Setting()
    await s.ann()
    assert (await s.identity.sign_in("ANN", "a long password", "1.2.3.4")).account.username == "ann"
    for name in ("ann", "nobody", "no such\x7fname"):
        with pytest.raises(SignInRefused) as refused:
            await s.identity.sign_in(name, "wrong", "1.2.3.4")
        assert (refused.value.error, refused.value.description) == ("invalid_grant", "wrong username or password")
    assert s.passwords.verified[1:] == ["hashed a long password", None, None], "it takes as long for nobody"


async def test_too_many_failures_of_a_name_from_an_address_or_of_names_from_it_wait() -> None:
    s = Setting()
    await s.ann()
    for _ in range(3):
        with pytest.raises(SignInRefused):
            await s.identity.sign_in("ann", "wrong", "1.1.1.1")
    with pytest.raises(SignInRefused) as refused:
        await s.identity.sign_in("Ann", "a long password", "1.1.1.1")
    assert refused.value.error == "rate_limited" and (refused.value.retry_after_s or 0) > 0
    assert (await s.identity.sign_in("ann", "a long password", "2.2.2.2")).account.username == "ann", "from elsewhere"
    for n in range(5):
        with pytest.raises(SignInRefused, match="invalid_grant"):
            await s.identity.sign_in(f"other{n}", "wrong", "1.1.1.1")
    with pytest.raises(SignInRefused, match="rate_limited"):
        await s.identity.sign_in("fresh", "wrong", "1.1.1.1")


@pytest.mark.parametrize("names", [["ann"] * 3, [f"other{n}" for n in range(6)]])
async def test_failures_meanwhile_hold_back_a_right_password_too(names: list[str]) -> None:
    s = Setting()
    await s.ann()
    verify = s.passwords.verify

    async def slow(password: str, hashed: str | None, who: str) -> bool:
        for name in names:
            s.limiter.failed(name, "1.1.1.1")
        return await verify(password, hashed, who)

    s.passwords.verify = slow  # type: ignore[method-assign]
    with pytest.raises(SignInRefused, match="rate_limited"):
        await s.identity.sign_in("ann", "a long password", "1.1.1.1")
    assert s.accounts.sessions.keys() == {derived_id("session", "0")}, "nobody was signed in"


def test_a_name_that_many_fail_at_is_answered_late_right_or_wrong_but_not_to_a_device_that_was_signed_in() -> None:
    async def go() -> None:
        s, clock = Setting(), asyncio.get_running_loop().time
        ann = await s.ann()
        for n in range(14):
            s.limiter.failed("ann", f"9.9.9.{n}")

        async def took(password: str, device: str = "") -> float:
            began = clock()
            try:
                await s.identity.sign_in("ann", password, "1.1.1.1", device=device)
            except SignInRefused as refused:
                assert refused.error == "invalid_grant"
            return round(clock() - began, 3)

        assert await took("a long password") == 8.0 and await took("wrong") == 8.0
        assert await took("a long password") == 16.0
        assert await took("a long password", device=ann.refresh_token) == 0
        assert await took("a long password", device="made up") == 16.0
        s.identity._held_back = identity_module.HELD_BACK_MAX
        with pytest.raises(SignInRefused, match="temporarily_unavailable"):
            await s.identity.sign_in("ann", "a long password", "1.1.1.1")

    run(go())


async def test_where_too_many_passwords_wait_one_is_told_so() -> None:
    s = Setting()
    await s.ann()

    async def full(*_: object) -> Any:
        raise Unavailable("too many wait for this")

    passwords: Any = s.passwords
    passwords.hash = passwords.verify = full
    with pytest.raises(SignInRefused, match="temporarily_unavailable"):
        await s.identity.sign_in("ann", "a long password", "1.1.1.1")
    with pytest.raises(ParleyError, match="unavailable") as refused:
        await s.identity.register("ben", "a long password", None, "1.1.1.1")
    assert refused.value.retry_after_ms == 1_000


async def test_a_disabled_account_or_one_that_changed_meanwhile_is_not_signed_in() -> None:
    from dataclasses import replace

    s = Setting()
    account = (await s.ann()).account
    s.accounts.changed = s.accounts.people[account.id]
    with pytest.raises(SignInRefused, match="changed just now"):
        await s.identity.sign_in("ann", "a long password", "1.1.1.1")
    s.accounts.people[account.id] = replace(account, disabled=True, password_hash="hashed a long password")
    with pytest.raises(SignInRefused, match="wrong username"):
        await s.identity.sign_in("ann", "a long password", "1.1.1.1")


async def test_a_session_is_looked_up_at_most_every_two_seconds_and_its_end_is_known_at_once_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s = Setting()
    now = [1000.0]
    monkeypatch.setattr(identity_module, "monotonic", lambda: now[0])
    token = (await s.ann()).access_token
    for _ in range(3):
        bearer = await s.identity.bearer(token)
    assert s.accounts.asked == 1
    now[0] += 1.9
    await s.identity.bearer(token)
    assert s.accounts.asked == 1
    now[0] += 0.2
    await s.identity.bearer(token)
    assert s.accounts.asked == 2
    await s.fan_out.subscribe([user_channel(bearer.user_id)])
    await s.identity.logout(bearer)
    assert [channel for channel, _ in s.told] == [user_channel(bearer.user_id)] and b"revoked" in s.told[0][1]
    with pytest.raises(ParleyError, match="the session has ended"):
        await s.identity.bearer(token)
    assert not await s.identity.session_alive(bearer.session_id)


async def test_refreshing_gives_new_tokens_and_a_replay_ends_the_session_for_all() -> None:
    s = Setting()
    signed_in = await s.ann()
    fresh = await s.identity.refresh(signed_in.refresh_token)
    assert fresh.refresh_token != signed_in.refresh_token and fresh.account.username == "ann"
    with pytest.raises(SignInRefused, match="not good any more"):
        await s.identity.refresh("unknown")
    hashed = sha256(signed_in.refresh_token.encode()).hexdigest()
    first = s.accounts.refresh[hashed]
    s.accounts.refresh[hashed] = RefreshTry(first.session_id, first.user_id, True)
    await s.fan_out.subscribe([user_channel(first.user_id)])
    with pytest.raises(SignInRefused, match="not good any more"):
        await s.identity.refresh(signed_in.refresh_token)
    assert len(s.told) == 1 and first.session_id.encode() in s.told[0][1]
    s.accounts.people.clear()
    with pytest.raises(SignInRefused):
        await s.identity.refresh(fresh.refresh_token)


async def test_refusals_say_what_is_wrong() -> None:
    s = Setting()
    bearer = await s.identity.bearer((await s.ann()).access_token)
    for work, code, words in (
        (s.identity.by_ticket("x"), "unauthenticated", "this ticket is not good any more"),
        (s.identity.end_session(bearer, "x"), "not_found", "no such session of yours"),
        (s.identity.register("a", "x", None, "1.1.1.1"), "invalid", "username: 3 to 32 of a-z, 0-9, underscore, dot and hyphen, first a letter or digit"),
        (s.identity.register("ann", "x", None, "1.1.1.1"), "conflict", "this username is taken"),
        (s.identity.change_password(bearer, "wrong", "x", ""), "not_allowed", "the current password is another"),
    ):  # fmt: skip
        with pytest.raises(ParleyError) as refused:
            await work
        assert (refused.value.code, refused.value.reason) == (code, words)
    with pytest.raises(SignInRefused) as no:
        await s.identity.refresh("x")
    assert (no.value.error, no.value.retry_after_s) == ("invalid_grant", None)
    for _ in range(3):
        with pytest.raises(SignInRefused):
            await s.identity.sign_in("ann", "wrong", "9.9.9.9")
    with pytest.raises(SignInRefused) as wait:
        await s.identity.sign_in("ann", "wrong", "9.9.9.9")
    assert (
        wait.value.description == "too many failed tries: wait"
        and len((await s.identity.register("ben", "x", None, "1.1.1.1")).refresh_token) == 43
    )


async def test_a_ticket_is_one_sockets() -> None:
    s = Setting()
    bearer = await s.identity.bearer((await s.ann()).access_token)
    ticket = await s.identity.ticket(bearer)
    found = await s.identity.by_ticket(ticket)
    assert (found.user_id, found.session_id) == (bearer.user_id, bearer.session_id)
    with pytest.raises(ParleyError, match="unauthenticated"):
        await s.identity.by_ticket(ticket)


async def test_a_new_password_ends_the_other_sessions_and_a_wrong_one_counts() -> None:
    s = Setting()
    bearer = await s.identity.bearer((await s.ann()).access_token)
    other = await s.identity.sign_in("ann", "a long password", "1.1.1.1")
    with pytest.raises(ParleyError) as refused:
        await s.identity.change_password(bearer, "wrong", "another password", "1.1.1.1")
    assert refused.value.code == "not_allowed"
    await s.identity.change_password(bearer, "a long password", "another password", "1.1.1.1")
    assert list(s.accounts.sessions) == [bearer.session_id]
    with pytest.raises(ParleyError):
        await s.identity.bearer(other.access_token)
    await s.identity.sign_in("ann", "another password", "1.1.1.1")
    for _ in range(2):
        with pytest.raises(ParleyError):
            await s.identity.change_password(bearer, "wrong", "x", "1.1.1.1")
    with pytest.raises(ParleyError) as refused:
        await s.identity.change_password(bearer, "another password", "x", "1.1.1.1")
    assert refused.value.code == "rate_limited" and (refused.value.retry_after_ms or 0) >= 1_000


async def test_one_ends_ones_own_sessions_alone() -> None:
    s = Setting()
    ann = await s.identity.bearer((await s.ann()).access_token)
    ben = await s.identity.bearer((await s.identity.register("ben", "a long password", None, "1.1.1.1")).access_token)
    with pytest.raises(ParleyError) as refused:
        await s.identity.end_session(ann, ben.session_id)
    assert refused.value.code == "not_found" and ben.session_id in s.accounts.sessions
    await s.identity.end_session(ann, ann.session_id)
    assert ann.session_id not in s.accounts.sessions


async def test_an_older_hash_of_another_form_is_made_anew() -> None:
    s = Setting()
    signed_in = await s.identity.register("anna", "pässwörd wörds", None, "1.1.1.1")
    decomposed = unicodedata.normalize("NFD", "pässwörd wörds")
    user = signed_in.account.id
    assert s.accounts.people[user].password_hash == "hashed pässwörd wörds"
    await s.identity.sign_in("anna", decomposed, "1.1.1.1")
    s.accounts.people[user] = replace(s.accounts.people[user], password_hash=f"hashed {decomposed}")
    assert (await s.identity.sign_in(" Anna ", "pässwörd wörds", "1.1.1.1")).account.id == user
    assert s.accounts.people[user].password_hash == "hashed pässwörd wörds"
    with pytest.raises(SignInRefused):
        await s.identity.sign_in("anna", "passwörd wörds", "1.1.1.1")


async def test_a_token_names_a_session_of_its_own_user() -> None:
    s = Setting()
    anna = await s.identity.register("anna", "a long password", None, "1.1.1.1")
    ben = await s.identity.register("ben", "a long password", None, "1.1.1.1")
    bearer = await s.identity.bearer(anna.access_token)
    wrong = s.tokens.issue(ben.account.id, bearer.session_id)
    with pytest.raises(ParleyError, match="unauthenticated"):
        await s.identity.bearer(wrong)
