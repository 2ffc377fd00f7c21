"""The one writer path's store: lock the shards, read the facts, write what was decided, in one transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import timedelta
from time import monotonic
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import (
    AttributeRecord,
    Database,
    driver_connection,
    from_json,
    positional,
    to_time_or_none,
)
from app.application.clock import utc_now
from app.application.ports import LogTransaction, Transient
from app.domain import commands as c
from app.domain.chat import Member, Person
from app.domain.commands import Command
from app.domain.errors import Code
from app.domain.events import ChatCreated, Event, MemberRemoved
from app.domain.ids import ASSISTANT_ID
from app.domain.message import Message, Reply
from app.domain.state import Decided, Outcome, Pair, State

_KEEP_S = 24 * 3600
_KEEP_BATCHES_S = 600

_SHOW_MEMBERS = "m.chat_id, m.user_id, m.role, m.muted_until, m.joined_at, m.joined_seq"


class SqlCommandLog:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._horizons: deque[tuple[float, int]] = deque()

    @asynccontextmanager
    async def transaction(self, shards: Sequence[int]) -> AsyncIterator[LogTransaction]:
        async with self._database.write() as connection:
            if self._database.postgresql:
                # A statement of its own: what it waits for must be visible to the reads that follow.
                ids = ",".join(str(int(shard)) for shard in sorted(shards))
                locked = await connection.execute(
                    sa.text(f"select id from shards where id in ({ids}) order by id for update")
                )
                if len(locked.all()) != len(set(shards)):
                    raise RuntimeError("a shard has no row: the number of shards changed under this process")
            yield _Transaction(self._database, connection)

    async def note_try(self, command: Command) -> int:
        key = {"chat_id": command.chat_id, "actor_id": command.actor_id, "id": command.id}
        async with self._database.write() as connection:
            tries = await connection.scalar(
                sa.text(
                    "insert into suspects (chat_id, actor_id, id, tries, at)"
                    " values (:chat_id, :actor_id, :id, 1, :at)"
                    " on conflict (chat_id, actor_id, id) do update set tries = suspects.tries + 1 returning tries"
                ).bindparams(sa.bindparam("at", type_=t.Time())),
                key | {"at": utc_now()},
            )
        return int(tries or 1) - 1

    async def answers(self) -> bool:
        try:
            async with self._database.read() as connection:
                await connection.execute(sa.text("select 1"))
        except Transient:
            return False
        return True

    async def prune(self) -> None:
        old = utc_now() - timedelta(seconds=_KEEP_S)
        if self._database.postgresql:
            async with self._database.write() as connection:
                await self._prune_batches(connection)
        async with self._database.write() as connection:
            await connection.execute(
                sa.delete(t.outcomes).where(
                    t.outcomes.c.at < old, sa.or_(t.outcomes.c.code.is_not(None), t.outcomes.c.seq.is_(None))
                )
            )
            await connection.execute(sa.delete(t.suspects).where(t.suspects.c.at < old))

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
    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        self._db = database
        self._connection = connection

    async def _rows(self, sql: str, params: dict[str, Any]) -> Sequence[Any]:
        if self._db.postgresql:
            driver = await driver_connection(self._connection)
            found: Sequence[Any] = await driver.fetch(*positional(sql, params), record_class=AttributeRecord)
            return found
        return (await self._connection.execute(sa.text(sql), params)).all()

    # Reading the facts

    async def read(self, commands: Sequence[Command]) -> State:
        needs = _Needs(commands)
        state = State(now=await self._now())
        await self._read_chats(state, needs.chats)
        await self._read_known(state, commands)
        if needs.replies:
            await self._read_replies(state, needs)
        if needs.messages:
            await self._read_messages(state, needs.messages)
        await self._read_members(state, needs.pairs)
        if needs.people:
            await self._read_people(state, needs.people)
        if needs.banned:
            await self._read_bans(state, needs.banned)
        if needs.owners:
            await self._read_owners(state, needs.owners)
        return state

    async def _now(self) -> Any:
        if not self._db.postgresql:
            return utc_now()
        return rows.as_utc_ms((await self._rows("select now() as now", {}))[0].now)

    async def _read_chats(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        for row in await self._rows(f"select c.* from {source} join chats c on c.id = v.id", params):
            chat = rows.chat_of(row)
            state.chats[chat.id] = chat

    async def _read_known(self, state: State, commands: Sequence[Command]) -> None:
        keys = list(dict.fromkeys(command.key for command in commands))
        source, params = self._db.values("v", {"chat_id": "uuid", "actor_id": "uuid", "id": "uuid"}, keys)
        found = await self._rows(
            "select v.o as o, 'message.send' as type, m.seq as seq, null as code, '' as reason, null as policies"
            f" from {source} join messages m"
            " on m.chat_id = v.chat_id and m.sender_id = v.actor_id and m.client_message_id = v.id"
            " union all"
            " select v.o, x.type, x.seq, x.code, x.reason, "
            + ("array_to_json(x.policies)::text" if self._db.postgresql else "x.policies")
            + f" from {source} join outcomes x"
            " on x.chat_id = v.chat_id and x.actor_id = v.actor_id and x.id = v.id",
            params,
        )
        first = 1 if self._db.postgresql else 0
        for row in found:
            code = Code(row.code) if row.code else None
            state.known[keys[row.o - first]] = Outcome(
                row.type, row.seq, code, row.reason, tuple(from_json(row.policies) or ())
            )

    async def _read_members(self, state: State, pairs: Iterable[Pair]) -> None:
        source, params = self._db.values("v", {"chat_id": "uuid", "user_id": "uuid"}, list(pairs))
        found = await self._rows(
            f"select {_SHOW_MEMBERS}, u.username, u.display_name, u.kind as user_kind from {source}"
            " join members m on m.chat_id = v.chat_id and m.user_id = v.user_id join users u on u.id = m.user_id",
            params,
        )
        for row in found:
            member = rows.member_of(row)
            state.members[(member.chat_id, member.user.id)] = member

    async def _read_people(self, state: State, user_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(user_id,) for user_id in user_ids])
        found = await self._rows(
            f"select u.id, u.username, u.display_name, u.kind from {source}"
            " join users u on u.id = v.id where not u.disabled",
            params,
        )
        for row in found:
            state.people[str(row.id)] = Person(str(row.id), row.username, row.display_name, row.kind)

    async def _read_bans(self, state: State, pairs: Iterable[Pair]) -> None:
        source, params = self._db.values("v", {"chat_id": "uuid", "user_id": "uuid"}, list(pairs))
        found = await self._rows(
            f"select b.chat_id, b.user_id from {source} join bans b on b.chat_id = v.chat_id and b.user_id = v.user_id",
            params,
        )
        state.bans.update((str(row.chat_id), str(row.user_id)) for row in found)

    async def _read_owners(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        found = await self._rows(
            f"select m.chat_id, count(*) as owners from {source}"
            " join members m on m.chat_id = v.id where m.role = 'owner' group by m.chat_id",
            params,
        )
        state.owners.update({str(row.chat_id): row.owners for row in found})

    async def _read_replies(self, state: State, needs: _Needs) -> None:
        """Locked, since workers claim and renew them outside the shard's lock."""
        source, params = self._db.values("v", {"chat_id": "uuid", "id": "uuid"}, list(needs.replies))
        lock = " for update of r" if self._db.postgresql else ""
        found = await self._rows(
            f"select r.* from {source} join replies r on r.chat_id = v.chat_id"
            f" and (r.message_id = v.id or r.question_id = v.id){lock}",
            params,
        )
        for row in found:
            lease = to_time_or_none(row.lease_until)
            reply = Reply(
                chat_id=str(row.chat_id),
                message_id=str(row.message_id),
                question_id=str(row.question_id),
                attempt=row.attempt,
                held=lease is not None and lease > state.now and not row.finished,
                finished=bool(row.finished),
                stop_requested=bool(row.stop_requested),
            )
            state.replies[(reply.chat_id, reply.message_id)] = reply
            needs.messages.update(((reply.chat_id, reply.message_id), (reply.chat_id, reply.question_id)))

    async def _read_messages(self, state: State, keys: Iterable[Pair]) -> None:
        columns = {"chat_id": "uuid", "id": "uuid"}
        source, params = self._db.values("v", columns, list(keys))
        for row in await self._rows(
            f"select m.* from {source} join messages m on m.chat_id = v.chat_id and m.id = v.id", params
        ):
            message = rows.message_of(row)
            state.messages[(message.chat_id, message.id)] = message
        for row in await self._rows(
            f"select r.* from {source} join reactions r on r.chat_id = v.chat_id and r.message_id = v.id"
            " order by r.seq",
            params,
        ):
            key = (str(row.chat_id), str(row.message_id))
            state.reactions.setdefault(key, {}).setdefault(row.emoji, {})[str(row.user_id)] = row.seq

    # Writing what was decided

    async def write(self, decided: Decided) -> None:
        state, changes = decided.state, decided.state.changes
        command_ids = {(e.chat_id, e.seq): e.command_id for e in decided.events if e.type == "message.created"}
        await self._insert_messages([state.messages[key] for key in changes.new_messages], command_ids)
        new = set(changes.new_messages)
        await self._update_messages([state.messages[key] for key in sorted(changes.messages - new)])
        await self._write_chats(decided)
        await self._insert_changes([e for e in decided.events if e.type != "message.created"])
        if changes.members:
            await self._write_members(state)
        if changes.bans:
            await self._write_bans(state)
        if changes.reactions:
            await self._write_reactions(state)
        if changes.new_replies or changes.replies:
            await self._write_replies(state)
        await self._move_read_marks(changes.sent)
        await self._insert_outcomes(decided)
        if self._db.postgresql:
            await self._note_batch(decided)

    async def _run(self, sql: str, params: dict[str, Any], expected: int | None = None) -> None:
        if self._db.postgresql:
            driver = await driver_connection(self._connection)
            status = await driver.execute(*positional(sql, params))
            count = int(status.rpartition(" ")[2])
        else:
            count = (await self._connection.execute(sa.text(sql), params)).rowcount
        if expected is not None and count != expected:
            raise RuntimeError(f"{count} rows instead of {expected}")

    async def _insert_messages(self, messages: list[Message], command_ids: dict[tuple[str, int], str | None]) -> None:
        if not messages:
            return
        columns = {
            "chat_id": "uuid", "seq": "int8", "id": "uuid", "sender_id": "uuid", "kind": "text",
            "client_message_id": "uuid", "body": "text", "reply_to": "uuid", "status": "text",
            "created_at": "timestamptz", "edited_at": "timestamptz", "deleted_at": "timestamptz",
            "attempt": "int4", "regenerates": "uuid", "command_id": "uuid",
        }  # fmt: skip
        source, params = self._db.values(
            "v",
            columns,
            [
                (
                    m.chat_id, m.seq, m.id, m.sender_id, m.kind, m.client_message_id, m.body, m.reply_to, m.status,
                    m.created_at, m.edited_at, m.deleted_at, m.attempt, m.regenerates,
                    command_ids.get((m.chat_id, m.seq)),
                )
                for m in messages
            ],
        )  # fmt: skip
        names = ", ".join(columns)
        await self._run(f"insert into messages ({names}) select {names} from {source}", params, len(messages))
        for message in messages:
            if message.failure is not None:
                await self._update_messages([message])

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
                )
            )

    async def _write_chats(self, decided: Decided) -> None:
        state, changes = decided.state, decided.state.changes
        if changes.new_chats:
            await self._connection.execute(
                sa.insert(t.chats), [rows.chat_values(state.chats[chat_id]) for chat_id in sorted(changes.new_chats)]
            )
        moved = changes.chats - changes.new_chats
        whole = {e.chat_id for e in decided.events if e.type.startswith(("chat.", "member."))} & moved
        for chat_id in sorted(whole):
            values = rows.chat_values(state.chats[chat_id])
            await self._connection.execute(sa.update(t.chats).where(t.chats.c.id == chat_id).values(values))
        heads = [state.chats[chat_id] for chat_id in sorted(moved - whole)]
        if heads:
            source, params = self._db.values(
                "v",
                {"id": "uuid", "head": "int8", "last_at": "timestamptz"},
                [(chat.id, chat.head, chat.last_at) for chat in heads],
            )
            await self._run(
                f"update chats set head = v.head, last_at = v.last_at from {source}"
                " where chats.id = v.id and chats.head < v.head",
                params,
                len(heads),
            )

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
                    "message_id": e.payload.id if isinstance(e.payload, Message) else None,
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
                    }
                    for m in kept
                ],
            )

    async def _write_bans(self, state: State) -> None:
        for (chat_id, user_id), actor_id in sorted(state.changes.bans.items()):
            where = sa.and_(t.bans.c.chat_id == chat_id, t.bans.c.user_id == user_id)
            await self._connection.execute(sa.delete(t.bans).where(where))
            if (chat_id, user_id) in state.bans:
                await self._connection.execute(
                    sa.insert(t.bans).values(chat_id=chat_id, user_id=user_id, banned_at=state.now, banned_by=actor_id)
                )

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
                .values(finished=r.finished, attempt=r.attempt, stop_requested=r.stop_requested)
            )

    async def _move_read_marks(self, sent: dict[Pair, int]) -> None:
        """What one wrote, one has read."""
        if not sent:
            return
        source, params = self._db.values(
            "v",
            {"user_id": "uuid", "chat_id": "uuid", "seq": "int8"},
            sorted((user_id, chat_id, seq) for (chat_id, user_id), seq in sent.items()),
        )
        await self._run(
            f"insert into reads (user_id, chat_id, seq) select v.user_id, v.chat_id, v.seq from {source} where true"
            " on conflict (user_id, chat_id) do update set seq = excluded.seq where reads.seq < excluded.seq",
            params,
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

    async def _note_batch(self, decided: Decided) -> None:
        """For the gateways' poll: what a lost publish would not have told."""
        heads = {chat_id: decided.state.chats[chat_id].head for chat_id in decided.state.changes.chats}
        users = sorted({user_id for event in decided.events for user_id in _whose_chats_change(event)})
        refused = [
            [r.command.chat_id, r.command.actor_id, r.command.id, o.type, o.code, o.reason, list(o.policies)]
            for r in decided.results
            if not r.repeat and (o := r.outcome).code is not None
        ]
        if not heads and not refused:
            return
        await self._run(
            "insert into batches (heads, users, refused, revoked) values"
            " (cast(:heads as jsonb), cast(:users as jsonb), cast(:refused as jsonb), '[]')",
            {"heads": self._db.json(heads), "users": self._db.json(users), "refused": self._db.json(refused)},
        )


def _whose_chats_change(event: Event) -> list[str]:
    match event.payload:
        case ChatCreated(_, members):
            return [member.user.id for member in members]
        case Member() if event.type == "member.added":
            return [event.payload.user.id]
        case MemberRemoved(user_id, _):
            return [user_id]
    return []


class _Needs:
    """Which facts these commands can ask for."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.chats = list(dict.fromkeys(command.chat_id for command in commands))
        self.pairs: dict[Pair, None] = {}
        self.people: dict[str, None] = {}
        self.banned: dict[Pair, None] = {}
        self.owners: dict[str, None] = {}
        self.messages: set[Pair] = set()
        self.replies: set[Pair] = set()
        for command in commands:
            self._add(command)

    def _add(self, command: Command) -> None:
        chat_id = command.chat_id
        self.pairs[(chat_id, command.actor_id)] = None
        match command.action:
            case c.SendMessage(_, reply_to):
                if reply_to is not None:
                    self.messages.add((chat_id, reply_to))
            case c.CreateChat() as create:
                self.people.update(dict.fromkeys((command.actor_id, ASSISTANT_ID, *create.member_ids)))
            case c.AddMember(user_id, _) | c.BanMember(user_id) | c.UnbanMember(user_id) | c.RemoveMember(user_id):
                self._add_person(chat_id, user_id)
            case c.UpdateMember() as update:
                self._add_person(chat_id, update.user_id)
            case c.EditMessage() | c.AddReaction() | c.RemoveReaction() as on_message:
                self.messages.add((chat_id, on_message.message_id))
            case c.UpdateChat():
                pass
            case on_reply:
                self.messages.add((chat_id, on_reply.message_id))
                self.replies.add((chat_id, on_reply.message_id))

    def _add_person(self, chat_id: str, user_id: str) -> None:
        self.pairs[(chat_id, user_id)] = None
        self.people[user_id] = None
        self.banned[(chat_id, user_id)] = None
        self.owners[chat_id] = None
