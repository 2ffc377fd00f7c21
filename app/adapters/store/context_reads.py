"""What a model is told of a chat: turns, as all see them who will read its answer, and what long ones were summed up to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.application.ports.jobs import Job, Part, Summary
from app.application.ports.model import Turn
from app.domain.text import set_in, spoken_by
from app.domain.values import Terms

FORKS_MAX = 10
"""So many chats, each forked from the next, one line of turns goes through."""
THREAD_MAX = 10
"""So far up goes what a question replies to."""
PART_MAX = 200
"""So many turns are summed up at once."""
PART_FROM = 2_000
"""A first summary goes so many events up: what stands above is left out."""
SUMMARIES_MAX = 50
"""So many are looked through: other branches have theirs."""
_LINE = 4
"""So many messages are walked for each that is sent: some were deleted, failed or are of the service."""


@dataclass(slots=True)
class Told:
    """turns: oldest first, none where the question is gone. terms: of the chat, and of those that its line comes from. summary:
    what stands above the turns, among them as the first. answered: there is an answer in it."""

    turns: Sequence[Turn] = ()
    terms: list[Terms] = field(default_factory=list)
    summary: Summary | None = None
    answered: bool = False


class ContextReads:
    """All on one connection, so of one moment. summaries: whether there are any."""

    def __init__(self, connection: AsyncConnection, chat: Any, job: Job, summaries: bool) -> None:
        self._connection, self._chat, self._job, self._summaries = connection, chat, job, summaries
        self._has_line = chat.kind == "assistant"
        self._known_floor: int | None = None

    async def told(self, turns_max: int) -> Told:
        found = Told(terms=[rows.chat_of(self._chat).terms])
        summary = await self._summary()
        read = await self._line(turns_max, found.terms, summary.to_seq if summary else 0)
        if all(row.id != self._job.question_id for row in read):  # deleted meanwhile: nothing is asked any more
            return found
        thread = await self._thread(read)
        elsewhere = [row for row in reversed(read) if row.chat_id != self._job.chat_id]
        here = sorted((row for row in read if row.chat_id == self._job.chat_id), key=lambda row: row.seq)
        turns = await self._turns((*elsewhere, *here), thread)
        if summary is not None:
            gap = len(read) - len(thread) >= turns_max
            words = "What was said before, summed up" + ("; some of what came between is left out" if gap else "")
            turns = [Turn("user", f"({words}:)\n{set_in(summary.body)}", (), True), *turns]
        found.turns, found.summary = turns, summary
        found.answered = summary is not None or any(
            row.kind == "assistant" and row.status == "complete" for row in read
        )
        return found

    async def part(self) -> Part | None:
        """What no summary covers, up to the first answer that is still written."""
        terms = rows.chat_of(self._chat).terms
        if not self._summaries or terms.forked_from is not None:
            return None
        before = await self._summary()
        read = await self._line(PART_MAX, [terms], before.to_seq if before else 0, from_oldest=True)
        agreed = self._chat.kind != "group" or terms.consent is not None
        turns = tuple(await self._turns(read, ()))
        return Part(turns, before, terms.local_only, agreed, self._has_line, len(turns) == PART_MAX)

    async def _summary(self) -> Summary | None:
        """The one that reaches furthest towards the question, of what all see who will read the answer; in an assistant's chat
        of the question's own line. One whose messages changed is gone: a trigger of the database takes it."""
        if not self._summaries:
            return None
        s, m, job = t.summaries, t.messages, self._job
        asked = sa.select(m.c.seq).where(m.c.chat_id == job.chat_id, m.c.id == job.question_id).scalar_subquery()
        places = sa.select(s.c.id, s.c.message_id).where(
            s.c.chat_id == job.chat_id, s.c.to_seq < asked, s.c.from_seq >= await self._floor()
        )
        found = (await self._connection.execute(places.order_by(s.c.to_seq.desc()).limit(SUMMARIES_MAX))).all()
        if found and self._has_line:
            walked = await self._ancestors(job.chat_id, job.question_id, PART_MAX * _LINE)
            line = {row.id for row in walked}
            found = [row for row in found if row.message_id in line]
        if not found:
            return None
        mine = sa.select(s).where(s.c.chat_id == job.chat_id, s.c.id == found[0].id)
        return summary_of((await self._connection.execute(mine)).one())

    async def _line(self, most: int, held: list[Terms], after_seq: int, from_oldest: bool = False) -> list[Any]:
        """What may be sent, newest first: in a chat with an assistant of its own the question and its ancestors, elsewhere what
        was said up to it. held: told the terms of each other chat that it comes from. after_seq: of this chat nothing up to
        that. from_oldest: oldest first, and the oldest where there is more."""
        m, job = t.messages, self._job
        spoken = _spoken(from_oldest).limit(most)
        if from_oldest:
            spoken = spoken.where(m.c.seq < await self._first_open())
        if not self._has_line:
            asked = sa.select(m.c.seq).where(m.c.chat_id == job.chat_id, m.c.id == job.question_id).scalar_subquery()
            floor = max(await self._floor(), after_seq + 1)
            within = [m.c.chat_id == job.chat_id, m.c.seq <= asked, m.c.seq >= floor]
            if from_oldest and not after_seq:
                within.append(m.c.seq > asked - PART_FROM)
            return list(await self._connection.execute(spoken.where(*within)))
        found: list[Any] = []
        chat_id, last_id = job.chat_id, job.question_id
        for _ in range(FORKS_MAX):
            line = await self._ancestors(chat_id, last_id, most * _LINE)
            at = spoken.where(m.c.chat_id == chat_id, m.c.id.in_([row.id for row in line]), m.c.seq > after_seq)
            found += list(await self._connection.execute(at))
            fork = held[-1].forked_from
            begins = bool(line) and line[-1].parent_id == chat_id  # neither anew, nor cut off by the length of the walk
            if after_seq or fork is None or not begins or len(found) >= most:
                break
            if not await self._all_read(fork.chat_id):
                break
            mine = sa.select(t.chats).where(t.chats.c.id == fork.chat_id)
            source = (await self._connection.execute(mine)).one_or_none()
            where = sa.and_(m.c.chat_id == fork.chat_id, m.c.seq == fork.seq)
            chat_id = fork.chat_id
            last_id = await self._connection.scalar(sa.select(m.c.id).where(where)) or ""
            if source is None or not last_id:
                break
            held.append(rows.chat_of(source).terms)
        return found[:most]

    async def _first_open(self) -> Any:
        """The seq of the chat's first answer that isn't done: a summary doesn't pass it by."""
        r, its = t.replies, t.messages.alias("its")
        mine = sa.and_(its.c.chat_id == r.c.chat_id, its.c.id == r.c.message_id)
        query = sa.select(sa.func.min(its.c.seq)).select_from(r.join(its, mine))
        return await self._connection.scalar(query.where(r.c.chat_id == self._job.chat_id, ~r.c.finished)) or 2**62

    async def _thread(self, found: list[Any]) -> set[str]:
        """Ids of what the question replies to, of what that one does, and so on. What isn't found yet is found too, where all
        who will read the answer see it."""
        m, job = t.messages, self._job
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
        thread = set((await self._connection.execute(sa.select(line.union_all(step).c.id))).scalars())
        if missing := thread - {row.id for row in found}:
            there = (m.c.chat_id == job.chat_id, m.c.id.in_(missing), m.c.seq >= await self._floor())
            found += await self._connection.execute(_spoken().where(*there))
        return thread

    async def _turns(self, found: Sequence[Any], thread: Collection[str]) -> list[Turn]:
        """What this assistant said, and what all others did, with the remarks to it. In a group each one's words carry their
        name, since the model sees one `user`."""
        turns, job, named = [], self._job, self._chat.kind == "group"
        remarks = await self._remarks([row for row in found if row.kind == "assistant"])
        for row in found:
            places = ((row.seq, row.id, row.chat_id if row.chat_id != job.chat_id else ""),)
            if row.kind == "assistant" and (row.sender_id == job.assistant_id or not named):
                turns.append(Turn("assistant", row.body, places, row.id in thread))
                continue
            body = "\n\n".join((row.body, *remarks.get(row.id, ())))
            text = spoken_by(row.display_name, row.username, body) if named else body
            turns.append(Turn("user", text, places, row.id in thread))
        return turns

    async def _remarks(self, answers: Sequence[Any]) -> Mapping[str, list[str]]:
        """By question: what was added to it while its answer waited, oldest first."""
        job = self._job
        questions = {row.id: row.reply_to for row in answers} | {job.message_id: job.question_id}
        found: dict[str, list[str]] = {}
        for message_id, remarks in (await remarks_of(self._connection, job.chat_id, list(questions))).items():
            found.setdefault(questions[message_id], []).extend(remarks)
        return found

    async def _floor(self) -> int:
        """From where on all who will read the answer see the chat: who came behind its place doesn't see it."""
        if self._known_floor is None:
            mb, m, job = t.members, t.messages, self._job
            its = sa.select(m.c.seq).where(m.c.chat_id == job.chat_id, m.c.id == job.message_id).scalar_subquery()
            query = sa.select(sa.func.max(mb.c.sees_from)).where(mb.c.chat_id == job.chat_id, mb.c.sees_from <= its)
            self._known_floor = await self._connection.scalar(query) or 0
        return self._known_floor

    async def _ancestors(self, chat_id: str, message_id: str, most: int) -> Sequence[Any]:
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
        return (await self._connection.execute(oldest_last)).all()

    async def _all_read(self, source_id: str) -> bool:
        """Whether all people of this chat are in the one that it was forked from: who isn't must not hear of it by an answer."""
        mine, theirs = t.members.alias(), t.members.alias()
        there = sa.select(1).where(theirs.c.chat_id == source_id, theirs.c.user_id == mine.c.user_id).exists()
        outside = (
            sa.select(1)
            .select_from(mine.join(t.users, t.users.c.id == mine.c.user_id))
            .where(mine.c.chat_id == self._job.chat_id, t.users.c.kind == "human", ~there)
        )
        return await self._connection.scalar(outside.limit(1)) is None


def _spoken(from_oldest: bool = False) -> sa.Select[Any]:
    """What people and assistants said, newest or oldest first: nothing that is deleted, not done, or without a word."""
    m = t.messages
    said = sa.and_(m.c.deleted_at.is_(None), m.c.status != "pending", m.c.kind != "system", m.c.body != "")
    names = (t.users.c.display_name, t.users.c.username)
    columns = (m.c.chat_id, m.c.seq, m.c.id, m.c.kind, m.c.sender_id, m.c.status, m.c.body, m.c.reply_to, *names)
    spoken = sa.select(*columns).select_from(m.join(t.users, t.users.c.id == m.c.sender_id))
    return spoken.where(said).order_by(m.c.seq if from_oldest else m.c.seq.desc())


async def remarks_of(connection: AsyncConnection, chat_id: str, message_ids: Sequence[str]) -> dict[str, list[str]]:
    """By answer: what was added to its question while it waited, oldest first."""
    x = t.changes
    mine = sa.and_(x.c.chat_id == chat_id, x.c.message_id.in_(message_ids))
    steered = x.c.type == sa.literal_column("'reply.steered'")
    query = sa.select(x.c.message_id, x.c.data).where(mine, steered).order_by(x.c.seq)
    found: dict[str, list[str]] = {}
    for row in await connection.execute(query):
        if row.data["text"]:
            found.setdefault(row.message_id, []).append(row.data["text"])
    return found


def summary_of(row: Any) -> Summary:
    return Summary(row.id, row.from_seq, row.to_seq, row.body)
