"""How an assistant's answers came about, for who may read them; and what a person's took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from app.application.assistants import CONFIGURE
from app.application.authorize import ADMINISTER, Pep, Reader, asked_of_service, permit_of_service
from app.application.ports.history import History
from app.application.ports.jobs import DayOfUse, Provenance, Provenances
from app.application.ports.model import Place
from app.application.ports.people import Accounts, Bearer
from app.domain.assistants import quota_windows
from app.domain.errors import Code, ParleyError, not_found
from app.domain.values import Member, Message

DAYS, DAYS_MAX = 30, 366


@dataclass(frozen=True, slots=True)
class Origins:
    """Of one reply. configures: whether the reader may configure assistants, and sees what its provider said."""

    reply: Message
    provenance: Provenance
    configures: bool
    me: Member
    others: frozenset[str]
    """Chats that its context comes from and that the reader may read."""

    def reads(self, place: Place) -> bool:
        """Whether the reader may know of this message."""
        return place[2] in self.others if place[2] else place[0] >= self.me.sees_from


@dataclass(frozen=True, slots=True)
class Quota:
    name: str
    limit: int
    used: int
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class Use:
    days: list[DayOfUse]
    quotas: list[Quota]


class Answers:
    """Each raises ParleyError. quotas: by name, how many answers a person may ask for; 0 for no quota."""

    def __init__(
        self,
        pep: Pep,
        reader: Reader,
        history: History,
        provenances: Provenances,
        accounts: Accounts,
        quotas: Mapping[str, int],
    ) -> None:
        self._quotas = quotas
        self._pep = pep
        self._reader = reader
        self._history = history
        self._provenances = provenances
        self._accounts = accounts

    async def origins(self, bearer: Bearer, chat_id: str, message_id: str) -> Origins:
        async def found(me: Member) -> tuple[Message, Provenance, Member]:
            message = await self._history.message(chat_id, message_id)
            if message is None or not me.sees(message):
                raise not_found()
            provenance = await self._provenances.of(chat_id, message_id)
            if provenance is None:
                raise ParleyError(Code.CONFLICT, "this message is no assistant's reply")
            return message, provenance, me

        reply, provenance, me = await self._reader.read(bearer.user_id, chat_id, found)
        written = (attempt.written for attempt in provenance.attempts if attempt.written is not None)
        elsewhere = {place[2] for one in written for place in one.context if place[2]}
        others = frozenset([id_ for id_ in elsewhere if await self._history.member(id_, bearer.user_id) is not None])
        configures = await asked_of_service(self._pep, self._accounts, bearer.user_id, CONFIGURE)
        return Origins(reply, provenance, configures.allowed, me, others)

    async def use(self, user_id: str, since: date | None, until: date | None) -> Use:
        """A person's own: days in UTC, until exclusive; the last 30 days by default."""
        asked = await self._provenances.asked(user_id)
        days = await self._days(user_id, since, until, asked.now)
        hour, day = quota_windows(asked.now)
        found = {
            "replies_per_hour": (asked.spent.this_hour, hour + timedelta(hours=1)),
            "replies_per_day": (asked.spent.today, day + timedelta(days=1)),
            "tokens_per_day": (asked.spent.tokens, day + timedelta(days=1)),
        }
        limits = {name: asked.quotas.get(name, of_all) for name, of_all in self._quotas.items()}
        return Use(days, [Quota(name, limit, *found[name]) for name, limit in limits.items() if limit])

    async def use_of(self, bearer: Bearer, user_id: str | None, since: date | None, until: date | None) -> Use:
        """For operators: of a person; of all, without quotas, where none is named."""
        await permit_of_service(self._pep, self._accounts, bearer.user_id, ADMINISTER)
        if user_id is None:
            return Use(await self._days(None, since, until, self._history.now()), [])
        if await self._accounts.by_id(user_id) is None:
            raise ParleyError(Code.NOT_FOUND, "no such person")
        return await self.use(user_id, since, until)

    async def _days(self, user_id: str | None, since: date | None, until: date | None, now: datetime) -> list[DayOfUse]:
        to = until or now.date() + timedelta(days=1)
        begin = since or to - timedelta(days=DAYS)
        if not begin < to or (to - begin).days > DAYS_MAX:
            raise ParleyError(Code.INVALID, f"from and to: days of at most {DAYS_MAX}, `to` behind `from`")
        first, behind = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (begin, to))
        return await self._provenances.used(user_id, first, behind)
