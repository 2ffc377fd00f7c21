"""Assistants' replies as jobs: the row is the queue, the attempt is the fence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database
from app.adapters.store.read_facts import Facts
from app.application.ports.jobs import Asked, Attempt, DayOfUse, Job, Part, Provenance, Quiet, Summary, Written
from app.application.ports.model import Prompt, Turn
from app.domain.ids import ASSISTANT_ID, DEFAULT_PROVIDER
from app.domain.state import Spent, State
from app.domain.text import spoken_by
from app.domain.values import Attention, Terms, Usage

PATIENT_ATTEMPTS = 3
"""To be taken up is progress, but not again and again."""
FORKS_MAX = 10
"""So many chats, each forked from the next, one line of turns goes through."""
QUIET_MAX = 200
THREAD_MAX = 10
"""So far up goes what a question replies to."""
PART_MAX = 200
"""So many turns are summed up at once."""
SUMMARIES_MAX = 50
"""So many are looked through: other branches have theirs."""
_CHANGES_S = 60
"""What was changed so shortly before they were read may not have been seen yet."""
_LINE = 4
"""So many messages are walked for each that is sent: some were deleted, failed or are of the service."""
IN_LINE_S = 20.0
"""So often it is noted that an answer waits for room."""
_LOOKED_AT = 1_000
"""Of what waits, where some providers take no more."""
_r, _a, _m = t.replies, t.attempts, t.messages.alias("its")
_is_its_message = sa.and_(_m.c.chat_id == _r.c.chat_id, _m.c.id == _r.c.message_id)


class SqlJobs:
    def __init__(self, database: Database) -> None:
        self._database = database
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
            mine = (t.summaries.c.chat_id == chat_id, t.summaries.c.message_id == last)
            row = (await connection.execute(sa.select(t.summaries).where(*mine))).one_or_none() if last else None
            summary = _summary_of(row) if row is not None else None
            return Provenance(reply.sender_id, reply.version, attempts, tuple(reply.policies or ()), summary)

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
            held = [rows.chat_of(chat).terms]
            """Of the chat, and of those that its line comes from."""
            summary = await self._summary(connection, chat, job)
            found = await self._line(connection, chat, job, turns_max, held, behind=summary.to_seq if summary else 0)
            thread = await self._thread(connection, job, found)
            remarks = await self._remarks(connection, job, [row for row in found if row.kind == "assistant"])
        if all(row.id != job.question_id for row in found):  # deleted meanwhile: nothing is asked any more
            found = []
        instructions = [text for text in (version.instructions, chat.assistant_instructions) if text]
        before = [Turn("user", f"(What was said before, summed up:)\n{summary.body}", (), True)] if summary else []
        return Prompt(
            (*(before if found else ()), *_turns(reversed(found), job, remarks, thread, named=chat.kind == "group")),
            chat.assistant_model or version.model,
            "\n\n".join(instructions) or None,
            provider=version.provider,
            parameters=version.parameters,
            local_only=any(terms.local_only for terms in held),
            agreed=chat.kind != "group" or held[0].consent is not None,
            summary_id=summary.id if summary else "",
            untitled=chat.kind == "assistant"
            and chat.title is None
            and summary is None
            and not any(row.kind == "assistant" and row.status == "complete" for row in found),
        )

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

    async def part(self, job: Job) -> Part | None:
        async with self._database.read() as connection:
            now = await self._database.now(connection)
            chat = (await connection.execute(sa.select(t.chats).where(t.chats.c.id == job.chat_id))).one()
            terms = rows.chat_of(chat).terms
            if terms.forked_from is not None:
                return None
            before = await self._summary(connection, chat, job)
            behind = before.to_seq if before else 0
            found = await self._line(connection, chat, job, PART_MAX, [terms], behind, oldest=True)
            remarks = await self._remarks(connection, job, [row for row in found if row.kind == "assistant"])
        turns = tuple(_turns(found, job, remarks, (), named=chat.kind == "group"))
        return Part(turns, before, now, terms.local_only, chat.kind != "group" or terms.consent is not None)

    async def sum_up(self, job: Job, part: Part, turns: Sequence[Turn], body: str) -> None:
        first, last = turns[0].places[0], turns[-1].places[-1]
        kept = {
            "chat_id": job.chat_id,
            "message_id": last[1],
            "from_seq": part.before.from_seq if part.before else first[0],
            "to_seq": last[0],
            "body": body,
            "made_at": part.read_at,
        }
        s = t.summaries
        async with self._database.write() as connection:
            await connection.execute(sa.delete(s).where(s.c.chat_id == job.chat_id, s.c.message_id == last[1]))
            await connection.execute(sa.insert(s).values(kept))

    async def _summary(self, connection: AsyncConnection, chat: Any, job: Job) -> Summary | None:
        """The one that reaches furthest towards the question, of what all see who will read the answer, and of what still
        stands as it was summed up; in an assistant's chat of the question's own line."""
        s, m = t.summaries, t.messages
        asked = sa.select(m.c.seq).where(m.c.chat_id == job.chat_id, m.c.id == job.question_id).scalar_subquery()
        query = sa.select(s).where(s.c.chat_id == job.chat_id, s.c.to_seq < asked).order_by(s.c.to_seq.desc())
        found = (await connection.execute(query.limit(SUMMARIES_MAX))).all()
        if not found:
            return None
        floor = await self._floor(connection, job)
        line: set[str] | None = None
        if chat.kind == "assistant":
            walked = await self._ancestors(connection, job.chat_id, job.question_id, PART_MAX * _LINE)
            line = {row.id for row in walked}
        for row in found:
            if row.from_seq < floor or (line is not None and row.message_id not in line):
                continue
            since = row.made_at - timedelta(seconds=_CHANGES_S)
            changed = sa.or_(m.c.edited_at > since, m.c.deleted_at > since)
            within = (m.c.chat_id == job.chat_id, m.c.seq.between(row.from_seq, row.to_seq), changed)
            if await connection.scalar(sa.select(sa.literal(1)).where(*within).limit(1)) is None:
                return _summary_of(row)
        return None

    async def _line(
        self,
        connection: AsyncConnection,
        chat: Any,
        job: Job,
        most: int,
        held: list[Terms],
        behind: int = 0,
        oldest: bool = False,
    ) -> list[Any]:
        """What may be sent, newest first: in a chat with an assistant of its own the question and its ancestors, elsewhere what
        was said up to it. held: told the terms of each other chat that it comes from. behind: nothing up to that seq of this
        one. oldest: oldest first, and the oldest where there is more."""
        m = t.messages
        m = t.messages
        spoken = _spoken(oldest).limit(most)
        if chat.kind != "assistant":
            asked = sa.select(m.c.seq).where(m.c.chat_id == job.chat_id, m.c.id == job.question_id).scalar_subquery()
            floor = await self._floor(connection, job)
            within = sa.and_(m.c.chat_id == job.chat_id, m.c.seq <= asked, m.c.seq >= max(floor, behind + 1))
            return list(await connection.execute(spoken.where(within)))
        found: list[Any] = []
        chat_id, last_id = job.chat_id, job.question_id
        for _ in range(FORKS_MAX):
            line = await self._ancestors(connection, chat_id, last_id, most * _LINE)
            at = spoken.where(m.c.chat_id == chat_id, m.c.id.in_([row.id for row in line]), m.c.seq > behind)
            found += list(await connection.execute(at))
            if behind:  # in this chat, which is no fork
                break
            fork = held[-1].forked_from
            begins = bool(line) and line[-1].parent_id == chat_id  # neither anew, nor cut off by the length of the walk
            if fork is None or not begins or len(found) >= most:
                break
            if not await self._all_read(connection, job.chat_id, fork.chat_id):
                break
            source = (await connection.execute(sa.select(t.chats).where(t.chats.c.id == fork.chat_id))).one_or_none()
            where = sa.and_(m.c.chat_id == fork.chat_id, m.c.seq == fork.seq)
            chat_id, last_id = fork.chat_id, await connection.scalar(sa.select(m.c.id).where(where)) or ""
            if source is None or not last_id:
                break
            held.append(rows.chat_of(source).terms)
        return found[:most]

    async def _thread(self, connection: AsyncConnection, job: Job, found: list[Any]) -> set[str]:
        """Ids of what the question replies to, of what that one does, and so on. What isn't found yet is put before it, where
        all who will read the answer see it."""
        m = t.messages
        up = next((row.reply_to for row in found if row.id == job.question_id), None)
        if up is None:
            return set()
        line = (
            sa.select(m.c.id, m.c.seq, m.c.reply_to, sa.literal(1).label("depth"))
            .where(m.c.chat_id == job.chat_id, m.c.id == up)
            .cte("thread", recursive=True)
        )
        n = m.alias("n")
        step = sa.select(n.c.id, n.c.seq, n.c.reply_to, line.c.depth + 1).where(
            n.c.chat_id == job.chat_id, n.c.id == line.c.reply_to, n.c.seq < line.c.seq, line.c.depth < THREAD_MAX
        )
        thread = set((await connection.execute(sa.select(line.union_all(step).c.id))).scalars())
        if missing := thread - {row.id for row in found}:
            seen = m.c.seq >= await self._floor(connection, job)
            found += await connection.execute(_spoken().where(m.c.chat_id == job.chat_id, m.c.id.in_(missing), seen))
        return thread

    async def _remarks(self, connection: AsyncConnection, job: Job, answers: Sequence[Any]) -> dict[str, list[str]]:
        """By question: what was added to it while its answer waited, oldest first."""
        questions = {row.id: row.reply_to for row in answers} | {job.message_id: job.question_id}
        x = t.changes
        mine = sa.and_(x.c.chat_id == job.chat_id, x.c.message_id.in_(list(questions)))
        steered = x.c.type == sa.literal_column("'reply.steered'")
        found: dict[str, list[str]] = {}
        for row in await connection.execute(sa.select(x.c.message_id, x.c.data).where(mine, steered).order_by(x.c.seq)):
            if row.data["text"]:
                found.setdefault(questions[row.message_id], []).append(row.data["text"])
        return found

    async def _floor(self, connection: AsyncConnection, job: Job) -> int:
        """From where on all who will read the answer see the chat: who came behind its place doesn't see it."""
        mb, m = t.members, t.messages
        its = sa.select(m.c.seq).where(m.c.chat_id == job.chat_id, m.c.id == job.message_id).scalar_subquery()
        query = sa.select(sa.func.max(mb.c.sees_from)).where(mb.c.chat_id == job.chat_id, mb.c.sees_from <= its)
        return await connection.scalar(query) or 0

    async def _ancestors(self, connection: AsyncConnection, chat_id: str, message_id: str, most: int) -> Sequence[Any]:
        """A message and those that it continues. One that an older version stored continues the one before it."""
        m = t.messages
        line = (
            sa.select(m.c.id, m.c.seq, m.c.parent_id, sa.literal(1).label("depth"))
            .where(m.c.chat_id == chat_id, m.c.id == message_id)
            .cte("line", recursive=True)
        )
        n, older = m.alias("n"), m.alias("older")
        before = (
            sa.select(older.c.id)
            .where(older.c.chat_id == chat_id, older.c.seq < line.c.seq, older.c.kind != "system")
            .order_by(older.c.seq.desc())
            .limit(1)
            .correlate(line)
            .scalar_subquery()
        )
        parent = sa.and_(n.c.chat_id == chat_id, n.c.id == sa.func.coalesce(line.c.parent_id, before))
        step = sa.select(n.c.id, n.c.seq, n.c.parent_id, line.c.depth + 1).select_from(line.join(n, parent))
        line = line.union_all(step.where(line.c.depth < most, n.c.seq < line.c.seq))
        oldest_last = sa.select(line.c.id, line.c.parent_id).order_by(line.c.depth)
        return (await connection.execute(oldest_last)).all()

    async def _all_read(self, connection: AsyncConnection, chat_id: str, source_id: str) -> bool:
        """Whether all people of a chat are in the one that it was forked from: who isn't must not hear of it by an answer."""
        mine, theirs = t.members.alias(), t.members.alias()
        there = sa.select(1).where(theirs.c.chat_id == source_id, theirs.c.user_id == mine.c.user_id).exists()
        outside = (
            sa.select(1)
            .select_from(mine.join(t.users, t.users.c.id == mine.c.user_id))
            .where(mine.c.chat_id == chat_id, t.users.c.kind == "human", ~there)
        )
        return await connection.scalar(outside.limit(1)) is None

    async def stuck(self, no_progress_s: float) -> list[Job]:
        async with self._database.read() as connection:
            old = await self._database.now(connection) - timedelta(seconds=no_progress_s)
            # Where an older version ended the one before it, its turn may have come without a word: it is claimed first.
            unclaimed = sa.and_(_m.c.queue.is_not(None), _r.c.attempt == 0)
            still = sa.select(_r).join(_m, _is_its_message).where(~_r.c.finished, _r.c.progress_at < old, ~unclaimed)
            found = await connection.execute(still.limit(100))
            return [_job(row, row.attempt) for row in found]


def _spoken(oldest: bool = False) -> sa.Select[Any]:
    """What people and assistants said, newest or oldest first: nothing that is deleted, not done, or without a word."""
    m = t.messages
    said = sa.and_(m.c.deleted_at.is_(None), m.c.status != "pending", m.c.kind != "system", m.c.body != "")
    names = (t.users.c.display_name, t.users.c.username)
    columns = (m.c.chat_id, m.c.seq, m.c.id, m.c.kind, m.c.sender_id, m.c.status, m.c.body, m.c.reply_to, *names)
    spoken = sa.select(*columns).select_from(m.join(t.users, t.users.c.id == m.c.sender_id))
    return spoken.where(said).order_by(m.c.seq if oldest else m.c.seq.desc())


def _turns(
    found: Any, job: Job, remarks: Mapping[str, list[str]], thread: Collection[str], named: bool
) -> Sequence[Turn]:
    """What this assistant said, and what all others did, with the remarks to it. In a group each one's words carry their name,
    since the model sees one `user`."""
    turns = []
    for row in found:
        places = ((row.seq, row.id, row.chat_id if row.chat_id != job.chat_id else ""),)
        if row.kind == "assistant" and (row.sender_id == job.assistant_id or not named):
            turns.append(Turn("assistant", row.body, places, row.id in thread))
            continue
        body = "\n\n".join((row.body, *remarks.get(row.id, ())))
        text = spoken_by(row.display_name, row.username, body) if named else body
        turns.append(Turn("user", text, places, row.id in thread))
    return turns


def _summary_of(row: Any) -> Summary:
    return Summary(row.message_id, row.from_seq, row.to_seq, row.body)


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
