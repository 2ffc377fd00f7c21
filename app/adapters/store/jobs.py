"""Assistants' replies as jobs: the row is the queue, the attempt is the fence."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import tables as t
from app.adapters.store.context_reads import ContextReads, remarks_of, summary_of
from app.adapters.store.database import Database
from app.adapters.store.read_facts import Facts
from app.application.ports.jobs import Asked, Attempt, DayOfUse, Job, Part, Provenance, Quiet, Written
from app.application.ports.model import Prompt
from app.domain.ids import ASSISTANT_ID, DEFAULT_PROVIDER
from app.domain.state import Spent, State
from app.domain.values import Attention, Usage

PATIENT_ATTEMPTS = 3
"""To be taken up is progress, but not again and again."""
QUIET_MAX = 200
IN_LINE_S = 20.0
"""So often it is noted that an answer waits for room."""
SUMMARIES_LOCK = "select pg_advisory_xact_lock(hashtextextended(cast(:chat_id as text), 18))"
_LOOKED_AT = 1_000
"""Of what waits, where some providers take no more."""
_r, _a, _m = t.replies, t.attempts, t.messages.alias("its")
_is_its_message = sa.and_(_m.c.chat_id == _r.c.chat_id, _m.c.id == _r.c.message_id)


class SqlJobs:
    def __init__(self, database: Database, summaries: bool = False) -> None:
        """summaries: whether long chats are summed up for later questions."""
        self._database, self._summaries = database, summaries
        self._lined_at = -IN_LINE_S

    async def claim(self, holder: str, most: int, lease_s: float, room: Mapping[str, int] | None = None) -> list[Job]:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            turns = _by_turn(now)
            chosen = (
                sa.select(turns)
                .where(turns.c.free, ~turns.c.waits)
                .order_by(turns.c.turn, turns.c.asked_at, turns.c.seq)
                .limit(_LOOKED_AT if room else most)
            )
            keys, in_line = _with_room(await connection.execute(chosen), most, room or {})
            free = sa.select(_r).where(
                sa.tuple_(_r.c.chat_id, _r.c.message_id).in_(keys), ~_r.c.finished, _is_free(now)
            )
            if self._database.postgresql:
                free = free.with_for_update(skip_locked=True)
            rows = {(row.chat_id, row.message_id): row for row in await connection.execute(free)} if keys else {}
            found = [rows[key] for key in keys if key in rows]
            jobs = [_job(row, row.attempt + 1) for row in found]
            for job in jobs:
                await connection.execute(
                    sa.update(_r)
                    .where(*_this(job))
                    .values(
                        attempt=job.attempt,
                        holder=holder,
                        lease_until=now + timedelta(seconds=lease_s),
                        progress_at=now if job.attempt <= PATIENT_ATTEMPTS else _r.c.progress_at,
                    )
                )
            if in_line and monotonic() - self._lined_at > IN_LINE_S / 4:
                self._lined_at = monotonic()
                await self._still_in_line(connection, in_line, now)
            if jobs:
                begun = [{**_key(job), "started_at": now} for job in jobs]
                await connection.execute(sa.insert(_a), begun)
        return jobs

    async def _still_in_line(self, connection: AsyncConnection, keys: Sequence[tuple[str, str]], now: datetime) -> None:
        """Who waits for room at a provider, while somebody is there to write it, isn't stuck."""
        waiting = sa.select(_r.c.chat_id, _r.c.message_id).where(
            sa.tuple_(_r.c.chat_id, _r.c.message_id).in_(keys), _r.c.progress_at < now - timedelta(seconds=IN_LINE_S)
        )
        if self._database.postgresql:
            waiting = waiting.with_for_update(skip_locked=True)
        found = [(row.chat_id, row.message_id) for row in await connection.execute(waiting)]
        if found:
            mine = sa.tuple_(_r.c.chat_id, _r.c.message_id).in_(found)
            await connection.execute(sa.update(_r).where(mine).values(progress_at=now))

    async def renew(self, holder: str, job: Job, lease_s: float, progressed: bool) -> str:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            query = sa.select(_r).where(*_this(job))
            if self._database.postgresql:
                query = query.with_for_update(skip_locked=True)
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return "busy"
            if row.finished or row.attempt != job.attempt or row.holder != holder:
                return "lost"
            values: dict[str, Any] = {"lease_until": now + timedelta(seconds=lease_s)}
            if progressed:
                values["progress_at"] = now
            await connection.execute(sa.update(_r).where(*_this(job)).values(values))
        return "stop" if row.stop_requested else "held"

    async def release(self, job: Job) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                sa.update(_r).where(*_this(job), _r.c.attempt == job.attempt).values(lease_until=None, holder=None)
            )

    async def note(self, job: Job, written: Written) -> None:
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            usage = written.usage
            await connection.execute(
                sa.update(_a)
                .where(*(_a.c[name] == value for name, value in _key(job).items()))
                .values(
                    ended_at=now,
                    end=written.end,
                    said=written.said,
                    calls=written.calls,
                    first_token_ms=written.first_token_ms,
                    provider=written.provider,
                    model=written.model,
                    parameters=dict(written.parameters),
                    context=[list(place) for place in written.context],
                    prompt_tokens=usage.prompt_tokens if usage else None,
                    completion_tokens=usage.completion_tokens if usage else None,
                    cost=written.cost,
                    summary_id=written.summary_id or None,
                )
            )

    async def also_took(self, job: Job, usage: Usage, cost: float | None) -> None:
        def more(column: sa.Column[Any], by: float) -> sa.ColumnElement[Any]:
            return sa.func.coalesce(column, 0) + by

        async with self._database.write() as connection:
            await connection.execute(
                sa.update(_a)
                .where(*(_a.c[name] == value for name, value in _key(job).items()))
                .values(
                    prompt_tokens=more(_a.c.prompt_tokens, usage.prompt_tokens),
                    completion_tokens=more(_a.c.completion_tokens, usage.completion_tokens),
                    cost=_a.c.cost if cost is None else more(_a.c.cost, cost),
                )
            )

    async def of(self, chat_id: str, message_id: str) -> Provenance | None:
        async with self._database.read() as connection:
            reply = (
                await connection.execute(
                    sa.select(_r.c.policies, _r.c.version, _m.c.sender_id)
                    .join(_m, _is_its_message)
                    .where(_r.c.chat_id == chat_id, _r.c.message_id == message_id)
                )
            ).one_or_none()
            if reply is None:
                return None
            found = await connection.execute(
                sa.select(_a).where(_a.c.chat_id == chat_id, _a.c.message_id == message_id).order_by(_a.c.attempt)
            )
            attempts = tuple(map(_attempt_of, found))
            last = next((one.written.summary_id for one in reversed(attempts) if one.written), "")
            mine = (t.summaries.c.chat_id == chat_id, t.summaries.c.id == last)
            row = (await connection.execute(sa.select(t.summaries).where(*mine))).one_or_none() if last else None
            summary = summary_of(row) if row is not None else None
            remarks = tuple((await remarks_of(connection, chat_id, [message_id])).get(message_id, ()))
            return Provenance(reply.sender_id, reply.version, attempts, tuple(reply.policies or ()), summary, remarks)

    async def used(self, user_id: str | None, since: datetime, until: datetime) -> list[DayOfUse]:
        of_pg = sa.func.to_char(sa.func.timezone("UTC", _r.c.asked_at), "YYYY-MM-DD")
        day = of_pg if self._database.postgresql else sa.func.substr(sa.cast(_r.c.asked_at, sa.String), 1, 10)
        same_reply = sa.and_(_a.c.chat_id == _r.c.chat_id, _a.c.message_id == _r.c.message_id)
        read, written = (sa.func.coalesce(sa.func.sum(c), 0) for c in (_a.c.prompt_tokens, _a.c.completion_tokens))
        query = (
            sa.select(
                day.label("day"),
                _m.c.sender_id,
                sa.func.count(_r.c.message_id.distinct()),
                read,
                written,
                sa.func.sum(_a.c.cost),
            )
            .select_from(_r.join(_m, _is_its_message).outerjoin(_a, same_reply))
            .where(_r.c.asked_at >= since, _r.c.asked_at < until)
            .group_by(sa.text("1"), _m.c.sender_id)
            .order_by(sa.text("1 desc"), _m.c.sender_id)
        )
        if user_id is not None:
            query = query.where(_r.c.asker_id == user_id)
        async with self._database.read() as connection:
            return [
                DayOfUse(row[0], str(row[1]), row[2], int(row[3]), int(row[4]), row[5])
                for row in await connection.execute(query)
            ]

    async def asked(self, user_id: str) -> Asked:
        async with self._database.read() as connection:
            state = State(now=await self._database.now(connection))
            await Facts(self._database, connection).read_asked(state, (user_id,))
        return Asked(state.now, state.asked.get(user_id, Spent()), state.quotas.get(user_id, {}))

    async def prompt(self, job: Job, turns_max: int) -> Prompt | None:
        ch, v = t.chats, t.assistant_versions
        async with self._database.read() as connection:
            chat = (await connection.execute(sa.select(ch).where(ch.c.id == job.chat_id))).one()
            version = (
                await connection.execute(
                    sa.select(v, t.users.c.disabled)
                    .join(_r, sa.and_(v.c.assistant_id == job.assistant_id, v.c.version == _r.c.version))
                    .join(t.users, t.users.c.id == v.c.assistant_id)
                    .where(*_this(job))
                )
            ).one()
            if version.disabled:
                return None
            told = await ContextReads(connection, chat, job, self._summaries).told(turns_max)
        instructions = [text for text in (version.instructions, chat.assistant_instructions) if text]
        return Prompt(
            tuple(told.turns),
            chat.assistant_model or version.model,
            "\n\n".join(instructions) or None,
            provider=version.provider,
            parameters=version.parameters,
            local_only=any(terms.local_only for terms in told.terms),
            agreed=chat.kind != "group" or told.terms[0].consent is not None,
            summary_id=told.summary.id if told.summary else "",
            untitled=chat.kind == "assistant" and chat.title is None and not told.answered,
        )

    async def part(self, job: Job) -> Part | None:
        async with self._database.read() as connection:
            return await self._part(connection, job)

    async def _part(self, connection: AsyncConnection, job: Job) -> Part | None:
        chat = (await connection.execute(sa.select(t.chats).where(t.chats.c.id == job.chat_id))).one()
        return await ContextReads(connection, chat, job, self._summaries).part()

    async def sum_up(self, job: Job, part: Part, count: int, body: str) -> bool:
        async with self._database.write() as connection:
            if self._database.postgresql:  # who changes a message waits here too, and takes what is kept by now
                await connection.execute(sa.text(SUMMARIES_LOCK).bindparams(chat_id=job.chat_id))
            now = await self._part(connection, job)
            if now is None or now.before != part.before or now.turns[:count] != part.turns[:count]:
                return False
            first, last = part.turns[0].places[0], part.turns[count - 1].places[-1]
            kept = {
                "id": str(uuid.uuid4()),
                "chat_id": job.chat_id,
                "message_id": last[1],
                "from_seq": part.before.from_seq if part.before else first[0],
                "to_seq": last[0],
                "body": body,
                "made_at": await self._database.now(connection),
            }
            await connection.execute(sa.insert(t.summaries).values(kept))
            return True

    async def quiet(self, quiet_s: float, after: tuple[str, str] = ("", "")) -> list[Quiet]:
        c, mb, m = t.chats, t.members, t.messages
        newest = sa.select(sa.func.max(m.c.seq)).where(m.c.chat_id == mb.c.chat_id).correlate(mb).scalar_subquery()
        async with self._database.read() as connection:
            now = await self._database.now(connection)
            silent = now - timedelta(seconds=quiet_s)
            query = (
                sa.select(mb.c.chat_id, mb.c.user_id, m.c.id, m.c.sender_id, c.c.head)
                .join(t.users, sa.and_(t.users.c.id == mb.c.user_id, ~t.users.c.disabled))
                .join(c, c.c.id == mb.c.chat_id)
                .join(m, sa.and_(m.c.chat_id == mb.c.chat_id, m.c.seq == newest))
                .where(
                    mb.c.attention == sa.literal_column(f"'{Attention.AMBIENT}'"), c.c.kind == "group", ~c.c.archived
                )
                .where(c.c.last_at <= silent, c.c.last_at > silent - timedelta(minutes=10))
                .where(m.c.kind == "user", m.c.deleted_at.is_(None))
                .order_by(mb.c.chat_id, mb.c.user_id)
                .limit(QUIET_MAX)
            )
            if after[0]:
                query = query.where(sa.tuple_(mb.c.chat_id, mb.c.user_id) > sa.tuple_(*map(_id, after)))
            return [Quiet(*row) for row in await connection.execute(query)]

    async def stuck(self, no_progress_s: float) -> list[Job]:
        async with self._database.read() as connection:
            old = await self._database.now(connection) - timedelta(seconds=no_progress_s)
            # Where an older version ended the one before it, its turn may have come without a word: it is claimed first.
            unclaimed = sa.and_(_m.c.queue.is_not(None), _r.c.attempt == 0)
            still = sa.select(_r).join(_m, _is_its_message).where(~_r.c.finished, _r.c.progress_at < old, ~unclaimed)
            found = await connection.execute(still.limit(100))
            return [_job(row, row.attempt) for row in found]


def _id(value: str) -> sa.ColumnElement[str]:
    return sa.literal(value, t.Id)


def _key(job: Job) -> dict[str, Any]:
    return {"chat_id": job.chat_id, "message_id": job.message_id, "attempt": job.attempt}


def _attempt_of(row: Any) -> Attempt:
    written = None
    if row.end is not None:
        counted = None not in (row.prompt_tokens, row.completion_tokens)
        written = Written(
            row.end, row.said, row.calls, row.first_token_ms, row.provider, row.model, row.parameters or {},
            tuple((seq, id_, "".join(other)) for seq, id_, *other in row.context or ()),
            Usage(row.prompt_tokens, row.completion_tokens) if counted else None, row.cost, row.summary_id or "",
        )  # fmt: skip
    return Attempt(row.attempt, row.started_at, row.ended_at, written)


def _this(job: Job) -> tuple[sa.ColumnElement[bool], ...]:
    return (_r.c.chat_id == job.chat_id, _r.c.message_id == job.message_id)


def _job(row: Any, attempt: int) -> Job:
    stop = bool(row.stop_requested)
    writer = str(row.assistant_id or ASSISTANT_ID)
    return Job(
        row.chat_id, row.message_id, row.question_id, attempt, stop, row.trace, row.asked_at, writer, row.provider
    )


def _with_room(
    found: Iterable[Any], most: int, room: Mapping[str, int]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(the first of them, as far as their providers take more; those that wait for room)."""
    left, keys, in_line = dict(room), list[tuple[str, str]](), list[tuple[str, str]]()
    for row in found:
        key = (row.chat_id, row.message_id)
        if left.get(row.provider, 1) <= 0:
            in_line.append(key)
        elif len(keys) < most:
            keys.append(key)
            if row.provider in left:
                left[row.provider] -= 1
    return keys, in_line


def _is_free(now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(_r.c.lease_until.is_(None), _r.c.lease_until <= now)


def _by_turn(now: datetime) -> sa.Subquery:
    """All unfinished replies. turn: the place among those of who asked, what is being written before what waits."""
    asked_by, is_free = t.messages, _is_free(now)
    turn = sa.func.row_number().over(
        partition_by=sa.func.coalesce(_r.c.asker_id, asked_by.c.sender_id),
        order_by=(sa.case((sa.and_(is_free, _waits()), 2), (is_free, 1), else_=0), _r.c.asked_at, _m.c.seq),
    )
    question = sa.and_(asked_by.c.chat_id == _r.c.chat_id, asked_by.c.id == _r.c.question_id)
    free, waits = is_free.label("free"), _waits().label("waits")
    provider = sa.case((_r.c.provider == "", DEFAULT_PROVIDER), else_=_r.c.provider).label("provider")
    columns = (_r.c.chat_id, _r.c.message_id, _r.c.asked_at, _m.c.seq, provider, free, waits, turn.label("turn"))
    open_ = sa.select(*columns).join(asked_by, question).join(_m, _is_its_message).where(~_r.c.finished)
    return open_.subquery()


def _waits() -> sa.ColumnElement[bool]:
    """Whether its turn hasn't come: it was asked while others of its chat were open, and one of them is."""
    earlier, its = t.replies.alias(), t.messages.alias()
    before = (
        sa.select(sa.literal(1))
        .select_from(earlier.join(its, sa.and_(its.c.chat_id == earlier.c.chat_id, its.c.id == earlier.c.message_id)))
        .where(earlier.c.chat_id == _r.c.chat_id, ~earlier.c.finished, its.c.seq < _m.c.seq)
        .correlate(_r, _m)
    )
    return sa.and_(_m.c.queue.is_not(None), before.exists())
