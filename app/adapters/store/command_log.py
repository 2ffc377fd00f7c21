"""The one writer path's store: lock the shards, read the facts, write what was decided, in one transaction."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import Database, driver_connection, positional, to_time
from app.adapters.store.read_facts import Facts, Key
from app.application.clock import cut
from app.application.ports.bus import DeadLetter
from app.application.ports.errors import Transient
from app.application.ports.store import LogTransaction
from app.domain.command import Command
from app.domain.decide import TRACES_KEPT_S, needs_of, whose_chats_change
from app.domain.events import Event
from app.domain.ids import derived_id
from app.domain.replies import ReplySteered
from app.domain.state import Decided, State
from app.domain.text import emoji_of
from app.domain.values import ChatKind, Message

_ANSWERS_S = 2.0
_KEEP_BATCHES_S = 600
_KEY = {"chat_id": "uuid", "actor_id": "uuid", "id": "uuid"}


_APPEND = f"select done, at from append_new_messages({', '.join(f'${n}' for n in range(1, 18))})"
_NO_SHARD = "a shard has no row: the number of shards changed under this process"
_FORMED_AT_ONCE = 1_000
_LETTERS_KEPT = timedelta(days=7)
_LETTER_BYTES_MAX = 64 * 1024
_REASON_MAX = 1_000


class SqlCommandLog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._horizons: deque[tuple[float, int]] = deque()

    @asynccontextmanager
    async def transaction(self, shards: Sequence[int]) -> AsyncIterator[LogTransaction]:
        async with self._database.write() as connection:
            if not self._database.postgresql:
                yield _Transaction(self._database, connection, await self._database.now(connection))
                return
            # A statement of its own: what it waits for must be visible to the reads that follow.
            ids = ",".join(str(int(shard)) for shard in sorted(shards))
            locked = (
                await connection.execute(
                    sa.text(f"select id, now() as at from shards where id in ({ids}) order by id for update")
                )
            ).all()
            if len(locked) != len(set(shards)):
                raise RuntimeError(_NO_SHARD)
            self._database.note_time(locked[0].at)
            yield _Transaction(self._database, connection, cut(locked[0].at))

    def now(self) -> datetime:
        return self._database.heard_now()

    async def append(self, shards: Sequence[int], decided: Decided, heads: Mapping[str, int]) -> bool:
        if not self._database.postgresql:
            return await self._append_sqlite(decided, heads)
        state, changes = decided.state, decided.state.changes
        messages = [state.messages[key] for key in changes.new_messages]
        chats = [state.chats[chat_id] for chat_id in sorted(changes.chats)]
        marks = sorted((user_id, chat_id, seq) for (chat_id, user_id), seq in changes.read.items())
        async with self._database.write_at_once() as driver:
            asked_at = monotonic()
            done, at = await driver.fetchrow(  # type: ignore[misc]
                _APPEND,
                state.now,
                sorted(shards),
                *_columns(
                    [(m.chat_id, m.seq, m.id, m.sender_id, m.client_message_id, m.body, m.created_at) for m in messages]
                ),
                *_columns([(chat.id, heads[chat.id], chat.head, chat.last_at) for chat in chats]),
                *_columns(marks),
                self._database.json({chat.id: chat.head for chat in chats}),
            )
        self._database.note_time(at, asked_at)
        if done == "shards":
            raise RuntimeError(_NO_SHARD)
        return bool(done == "ok")

    async def _append_sqlite(self, decided: Decided, heads: Mapping[str, int]) -> bool:
        async with self._database.write() as connection:
            keys = [result.command.key for result in decided.results]
            if await Facts(self._database, connection).known(keys):
                return False
            source, params = self._database.values("v", {"id": "uuid", "head": "int8"}, list(heads.items()))
            same = f"select count(*) from {source} join chats c on c.id = v.id and c.head = v.head"
            if await connection.scalar(sa.text(same), params) != len(heads):
                return False
            await _Transaction(self._database, connection, decided.state.now).write(decided)
        return True

    async def tries(self, commands: Sequence[Command]) -> list[int]:
        source, params = self._database.values("v", _KEY, [command.key for command in commands])
        async with self._database.read() as connection:
            found = await connection.execute(
                sa.text(
                    f"select coalesce(s.tries, 0) as tries from {source} left join suspects s"
                    " on s.chat_id = v.chat_id and s.actor_id = v.actor_id and s.id = v.id order by v.o"
                ),
                params,
            )
            return [int(row.tries) for row in found]

    async def note_try(self, commands: Sequence[Command]) -> None:
        async with self._database.write() as connection:
            await self._suspect(connection, commands, 1)

    async def unknown_for_s(self, commands: Sequence[Command]) -> list[float]:
        keys = [command.key for command in commands]
        async with self._database.write() as connection:
            known = await Facts(self._database, connection).known(keys)
            now, since = await self._suspect(connection, commands, 0)
        return [math.inf if key in known else (now - since[key]).total_seconds() for key in keys]

    async def _suspect(
        self, connection: AsyncConnection, commands: Sequence[Command], tries: int
    ) -> tuple[datetime, dict[Key, datetime]]:
        """Note so many tries more of each. (now, since when each is noted)"""
        now = await self._database.now(connection)
        rows_ = [(*key, tries, now) for key in sorted({command.key for command in commands})]
        columns = _KEY | {"tries": "int4", "at": "timestamptz"}
        source, params = self._database.values("v", columns, rows_)
        names = "chat_id, actor_id, id, tries, at"
        noted = await connection.execute(
            sa.text(
                f"insert into suspects ({names}) select {names} from {source} where true on conflict (chat_id, actor_id, id)"
                f" do update set tries = suspects.tries + excluded.tries returning {names}"
            ),
            params,
        )
        return now, {(str(row.chat_id), str(row.actor_id), str(row.id)): to_time(row.at) for row in noted}

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        d = t.dead_letters
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            made = {derived_id("dead letter", letter.body.hex()): letter for letter in letters}
            insert = (postgresql if self._database.postgresql else sqlite).insert(d).on_conflict_do_nothing()
            for id_, letter in made.items():
                reason = letter.reason[:_REASON_MAX].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
                values = {"id": id_, "at": now, "reason": reason, "body": letter.body[:_LETTER_BYTES_MAX]}
                await connection.execute(insert.values(values))

    async def answers(self) -> bool:
        try:
            async with asyncio.timeout(_ANSWERS_S), self._database.read() as connection:
                await connection.execute(sa.text("select 1"))
        except (Transient, TimeoutError):
            return False
        return True

    async def one_form_of_emoji(self) -> None:
        r = t.reactions
        key = sa.tuple_(r.c.chat_id, r.c.message_id, r.c.emoji, r.c.user_id)
        last: tuple[str, ...] | None = None
        while True:
            page = sa.select(r).order_by(r.c.chat_id, r.c.message_id, r.c.emoji, r.c.user_id).limit(_FORMED_AT_ONCE)
            if last is not None:
                types = (t.Id, t.Id, sa.Text(), t.Id)
                page = page.where(key > sa.tuple_(*map(sa.literal, last, types)))
            async with self._database.write() as connection:
                found = (await connection.execute(page)).all()
                for row in found:
                    form = emoji_of(row.emoji)
                    if form is None or form == row.emoji:
                        continue
                    names = {"chat_id": row.chat_id, "message_id": row.message_id, "user_id": row.user_id}
                    values = [(*names.values(), form, row.seq)]
                    columns = {
                        "chat_id": "uuid",
                        "message_id": "uuid",
                        "user_id": "uuid",
                        "emoji": "text",
                        "seq": "int8",
                    }
                    source, params = self._database.values("v", columns, values)
                    await self._database.run(
                        connection,
                        f"insert into reactions ({', '.join(columns)}) select {', '.join(columns)} from {source}"
                        " where true on conflict do nothing",
                        params,
                    )
                    this = [r.c[name] == value for name, value in (names | {"emoji": row.emoji}).items()]
                    await connection.execute(sa.delete(r).where(*this))
            if len(found) < _FORMED_AT_ONCE:
                return
            last = (found[-1].chat_id, found[-1].message_id, found[-1].emoji, found[-1].user_id)

    async def prune(self) -> None:
        if self._database.postgresql:
            async with self._database.write() as connection:
                await self._prune_batches(connection)
        async with self._database.write() as connection:
            now = await self._database.now(connection)
            old = now - timedelta(seconds=TRACES_KEPT_S)
            await connection.execute(
                sa.delete(t.outcomes).where(
                    t.outcomes.c.at < old, sa.or_(t.outcomes.c.code.is_not(None), t.outcomes.c.seq.is_(None))
                )
            )
            await connection.execute(sa.delete(t.suspects).where(t.suspects.c.at < old))
            await connection.execute(sa.delete(t.stranger_adds).where(t.stranger_adds.c.at < old))
            letters = t.dead_letters
            await connection.execute(sa.delete(letters).where(letters.c.at < now - _LETTERS_KEPT))

    async def _prune_batches(self, connection: AsyncConnection) -> None:
        """By transaction id, which is the key, not by time: ids noted ten minutes ago are old enough."""
        xmin = await connection.scalar(sa.text("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))
        self._horizons.append((monotonic(), int(xmin or 0)))
        horizon = None
        while self._horizons and self._horizons[0][0] < monotonic() - _KEEP_BATCHES_S:
            horizon = self._horizons.popleft()[1]
        if horizon is not None:
            await connection.execute(
                sa.text("delete from batches where xid < cast(cast(:xid as text) as xid8)"), {"xid": str(horizon)}
            )


class _Transaction:
    """now: of the transaction, by the database's clock."""

    def __init__(self, database: Database, connection: AsyncConnection, now: datetime) -> None:
        self._db = database
        self._connection = connection
        self._now = now
        self._together: list[tuple[str, dict[str, Any], int | None]] = []
        """Statements that go out as one, since none of them sees what another does: each with its own names of parameters."""

    async def read(self, commands: Sequence[Command]) -> State:
        keys = [command.key for command in commands]
        return await Facts(self._db, self._connection).read(needs_of(commands), keys, self._now)

    # Writing what was decided

    async def write(self, decided: Decided) -> None:
        state, changes = decided.state, decided.state.changes
        command_ids = {(e.chat_id, e.seq): e.command_id for e in decided.events if _is_new_message(e)}
        own = {key[0] for key in changes.new_messages if state.chats[key[0]].kind == ChatKind.ASSISTANT}
        parents = {
            m.id: m.parent_id or (m.id if m.id in changes.begins else m.chat_id)
            for m in (state.messages[key] for key in changes.new_messages if key[0] in own)
        }
        await self._insert_messages([state.messages[key] for key in changes.new_messages], command_ids, parents)
        new = set(changes.new_messages)
        await self._update_messages([state.messages[key] for key in sorted(changes.messages - new)])
        await self._write_chats(decided)
        await self._insert_changes([e for e in decided.events if not _is_new_message(e)])
        if changes.members:
            await self._write_members(state)
        if changes.bans:
            await self._write_bans(state)
        if changes.stranger_adds:
            added = changes.stranger_adds.items()
            await self._connection.execute(
                sa.insert(t.stranger_adds),
                [{"chat_id": key[0], "user_id": key[1], "seq": seq, "at": state.now} for key, seq in added],
            )
        for one in changes.audit:
            await rows.write_down(self._connection, state.now, one.actor_id, one.act, one.target_id, one.details)
        if changes.reactions:
            await self._write_reactions(state)
        if changes.pins:
            await self._write_pins(state)
        if changes.new_replies or changes.replies:
            await self._write_replies(state)
        if changes.queued:
            await self._move_in_queues(state)
        for chat_id, message_id in sorted(changes.unsaid):
            x = t.changes
            remarks = sa.and_(x.c.chat_id == chat_id, x.c.message_id == message_id, x.c.type == "reply.steered")
            unsaid = rows.payload_data(ReplySteered(message_id, ""))
            await self._connection.execute(sa.update(x).where(remarks).values(data=unsaid))
        if changes.read:
            self._together.append((*rows.moved_marks(self._db, changes.read), None))
        await self._insert_outcomes(decided)
        if self._db.postgresql:
            self._note_batch(decided)
        await self._run_together()

    async def _run_together(self) -> None:
        together, self._together = self._together, []
        if not self._db.postgresql:
            for sql, params, expected in together:
                await self._run(sql, params, expected)
        elif together:
            parts = ", ".join(f"w{n} as ({sql} returning 1)" for n, (sql, _, _) in enumerate(together))
            counts = ", ".join(f"(select count(*) from w{n})" for n in range(len(together)))
            params = {name: value for _, given, _ in together for name, value in given.items()}
            driver = await driver_connection(self._connection)
            found = await driver.fetchrow(*positional(f"with {parts} select {counts}", params))
            for count, (sql, _, expected) in zip(found or (), together, strict=True):
                if expected is not None and count != expected:
                    raise RuntimeError(f"{count} rows instead of {expected}: {sql[:40]}")

    async def _run(self, sql: str, params: dict[str, Any], expected: int | None = None) -> None:
        await self._db.run(self._connection, sql, params, expected)

    async def _insert_messages(
        self, messages: list[Message], command_ids: dict[tuple[str, int], str | None], parents: dict[str, str]
    ) -> None:
        """parents: of those in chats with an assistant of their own: what they continue; the chat itself for one that begins its
        line, and goes on from where the chat was forked; its own id for one that begins anew."""
        if not messages:
            return
        columns = {
            "chat_id": "uuid", "seq": "int8", "id": "uuid", "sender_id": "uuid", "kind": "text",
            "client_message_id": "uuid", "body": "text", "reply_to": "uuid", "status": "text",
            "created_at": "timestamptz", "edited_at": "timestamptz", "deleted_at": "timestamptz",
            "attempt": "int4", "regenerates": "uuid", "queue": "int4", "command_id": "uuid",
            "parent_id": "uuid",
        }  # fmt: skip
        source, params = self._db.values(
            "m",
            columns,
            [
                (
                    m.chat_id, m.seq, m.id, m.sender_id, m.kind, m.client_message_id, m.body, m.reply_to, m.status,
                    m.created_at, m.edited_at, m.deleted_at, m.attempt, m.regenerates, m.queue,
                    command_ids.get((m.chat_id, m.seq)), parents.get(m.id),
                )
                for m in messages
            ],
        )  # fmt: skip
        names = ", ".join(columns)
        self._together.append((f"insert into messages ({names}) select {names} from {source}", params, len(messages)))
        failed = [message for message in messages if message.failure is not None or message.via is not None]
        if failed:
            await self._run_together()
            await self._update_messages(failed)

    async def _update_messages(self, messages: list[Message]) -> None:
        for m in messages:
            await self._connection.execute(
                sa.update(t.messages)
                .where(t.messages.c.chat_id == m.chat_id, t.messages.c.id == m.id)
                .values(
                    body=m.body,
                    status=m.status,
                    edited_at=m.edited_at,
                    deleted_at=m.deleted_at,
                    attempt=m.attempt,
                    failure=asdict(m.failure) if m.failure else sa.null(),
                    usage=asdict(m.usage) if m.usage else sa.null(),
                    queue=m.queue,
                    via=asdict(m.via) if m.via else sa.null(),
                )
            )

    async def _write_chats(self, decided: Decided) -> None:
        state, changes = decided.state, decided.state.changes
        if changes.new_chats:
            await self._connection.execute(
                sa.insert(t.chats), [rows.chat_values(state.chats[chat_id]) for chat_id in sorted(changes.new_chats)]
            )
        moved = changes.chats - changes.new_chats
        whole = changes.whole_chats & moved
        for chat_id in sorted(whole):
            values = rows.chat_values(state.chats[chat_id])
            await self._connection.execute(sa.update(t.chats).where(t.chats.c.id == chat_id).values(values))
        heads = [state.chats[chat_id] for chat_id in sorted(moved - whole)]
        if heads:
            source, params = self._db.values(
                "h",
                {"id": "uuid", "head": "int8", "last_at": "timestamptz"},
                [(chat.id, chat.head, chat.last_at) for chat in heads],
            )
            sql = (
                f"update chats set head = h.head, last_at = h.last_at from {source}"
                " where chats.id = h.id and chats.head < h.head"
            )
            self._together.append((sql, params, len(heads)))

    async def _insert_changes(self, events: list[Event]) -> None:
        if not events:
            return
        await self._connection.execute(
            sa.insert(t.changes),
            [
                {
                    "chat_id": e.chat_id,
                    "seq": e.seq,
                    "type": e.type,
                    "at": e.at,
                    "actor_id": e.actor_id,
                    "command_id": e.command_id,
                    "message_id": _about(e.payload),
                    "data": rows.payload_data(e.payload),
                }
                for e in events
            ],
        )

    async def _write_members(self, state: State) -> None:
        keys = sorted(state.changes.members)
        source, params = self._db.values("v", {"chat_id": "uuid", "user_id": "uuid"}, keys)
        where = f"where (chat_id, user_id) in (select v.chat_id, v.user_id from {source})"
        await self._run(f"delete from members {where}", params)
        # What one had read counts from the start for who comes anew.
        kept = [state.members[key] for key in keys if key in state.members]
        if kept:
            await self._connection.execute(
                sa.insert(t.members),
                [
                    {
                        "chat_id": m.chat_id,
                        "user_id": m.user.id,
                        "role": m.role,
                        "muted_until": m.muted_until,
                        "joined_at": m.joined_at,
                        "joined_seq": m.joined_seq,
                        "attention": m.attention,
                        "budget_per_hour": m.budget_per_hour,
                        "sees_from": m.sees_from,
                    }
                    for m in kept
                ],
            )

    async def _write_bans(self, state: State) -> None:
        for (chat_id, user_id), actor_id in sorted(state.changes.bans.items()):
            where = sa.and_(t.bans.c.chat_id == chat_id, t.bans.c.user_id == user_id)
            await self._connection.execute(sa.delete(t.bans).where(where))
            if (chat_id, user_id) in state.bans:
                until = state.ban_ends.get((chat_id, user_id))
                values = {"banned_at": state.now, "banned_by": actor_id, "until": until}
                await self._connection.execute(sa.insert(t.bans).values(chat_id=chat_id, user_id=user_id, **values))

    async def _write_reactions(self, state: State) -> None:
        keys = sorted(state.changes.reactions)
        columns = {"chat_id": "uuid", "message_id": "uuid", "emoji": "text", "user_id": "uuid"}
        source, params = self._db.values("v", columns, keys)
        await self._run(
            "delete from reactions where (chat_id, message_id, emoji, user_id) in"
            f" (select v.chat_id, v.message_id, v.emoji, v.user_id from {source})",
            params,
        )
        kept = [
            (*key, seq)
            for key in keys
            if (seq := state.reactions.get(key[:2], {}).get(key[2], {}).get(key[3])) is not None
        ]
        if kept:
            source, params = self._db.values("v", columns | {"seq": "int8"}, kept)
            names = "chat_id, message_id, emoji, user_id, seq"
            await self._run(f"insert into reactions ({names}) select {names} from {source}", params, len(kept))

    async def _write_pins(self, state: State) -> None:
        keys = sorted(state.changes.pins)
        columns = {"chat_id": "uuid", "message_id": "uuid"}
        source, params = self._db.values("v", columns, keys)
        await self._run(
            f"delete from pins where (chat_id, message_id) in (select v.chat_id, v.message_id from {source})", params
        )
        kept = [(*key, seq) for key in keys if (seq := state.pins.get(key[0], {}).get(key[1])) is not None]
        if kept:
            source, params = self._db.values("v", columns | {"seq": "int8"}, kept)
            names = "chat_id, message_id, seq"
            await self._run(f"insert into pins ({names}) select {names} from {source}", params, len(kept))

    async def _write_replies(self, state: State) -> None:
        new = set(state.changes.new_replies)
        if new:
            replies = [state.replies[key] for key in state.changes.new_replies]
            await self._connection.execute(
                sa.insert(t.replies),
                [
                    {
                        "chat_id": r.chat_id,
                        "message_id": r.message_id,
                        "question_id": r.question_id,
                        "finished": r.finished,
                        "attempt": r.attempt,
                        "stop_requested": r.stop_requested,
                        "trace": r.trace,
                        "asker_id": r.asker_id,
                        "policies": list(r.policies),
                        "assistant_id": r.assistant_id,
                        "version": r.version,
                        "provider": r.provider,
                        "reserved_tokens": r.reserved_tokens,
                        "by_itself": r.by_itself,
                        "asked_at": state.now,
                        "progress_at": state.now,
                    }
                    for r in replies
                ],
            )
        for key in sorted(state.changes.replies - new):
            r = state.replies[key]
            await self._connection.execute(
                sa.update(t.replies)
                .where(t.replies.c.chat_id == r.chat_id, t.replies.c.message_id == r.message_id)
                .values(finished=r.finished, attempt=r.attempt, stop_requested=r.stop_requested, remarks=r.remarks)
            )

    async def _move_in_queues(self, state: State) -> None:
        """A turn that has come is progress."""
        moved = sorted(state.changes.queued.items())
        columns = {"chat_id": "uuid", "id": "uuid", "queue": "int4"}
        source, params = self._db.values("v", columns, [(*key, queue or None) for key, queue in moved])
        await self._run(
            f"update messages set queue = (select v.queue from {source} where v.chat_id = messages.chat_id"
            f" and v.id = messages.id) where (chat_id, id) in (select v.chat_id, v.id from {source})",
            params,
        )
        r = t.replies
        for (chat_id, message_id), queue in moved:
            if not queue:
                await self._connection.execute(
                    sa.update(r)
                    .where(r.c.chat_id == chat_id, r.c.message_id == message_id)
                    .values(progress_at=state.now)
                )

    async def _insert_outcomes(self, decided: Decided) -> None:
        traces = decided.state.changes.traces
        if not traces:
            return
        await self._connection.execute(
            sa.insert(t.outcomes),
            [
                {
                    "chat_id": result.command.chat_id,
                    "actor_id": result.command.actor_id,
                    "id": result.command.id,
                    "type": result.outcome.type,
                    "seq": result.outcome.seq,
                    "code": result.outcome.code,
                    "reason": result.outcome.reason,
                    "policies": list(result.outcome.policies),
                    "at": decided.state.now,
                }
                for result in traces
            ],
        )

    def _note_batch(self, decided: Decided) -> None:
        """For the gateways' poll: what a lost publish would not have told."""
        heads = {chat_id: decided.state.chats[chat_id].head for chat_id in decided.state.changes.chats}
        users = sorted({user_id for event in decided.events for user_id in whose_chats_change(event)})
        refused = [
            [r.command.chat_id, r.command.actor_id, r.command.id, o.type, o.code, o.reason, list(o.policies)]
            for r in decided.results
            if not r.repeat and (o := r.outcome).code is not None
        ]
        if not heads and not refused:
            return
        sql = (
            "insert into batches (heads, users, refused, revoked) values"
            " (cast(:heads as jsonb), cast(:users as jsonb), cast(:refused as jsonb), '[]')"
        )
        params = {"heads": self._db.json(heads), "users": self._db.json(users), "refused": self._db.json(refused)}
        self._together.append((sql, params, None))


def _columns(rows_: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The same as arrays, one a column. rows_: one at least."""
    return list(zip(*rows_, strict=True))


def _about(payload: Any) -> str | None:
    """The message that an event is found by."""
    if isinstance(payload, Message):
        return payload.id
    return payload.message_id if isinstance(payload, ReplySteered) else None


def _is_new_message(event: Event) -> bool:
    """Its row is the message's own."""
    return isinstance(event.payload, Message) and event.seq == event.payload.seq
