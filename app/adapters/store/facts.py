"""What a batch may need to know, read after its shards are locked: each kind of fact by one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import rows
from app.adapters.store.database import (
    AttributeRecord,
    Database,
    driver_connection,
    from_json,
    positional,
    to_time_or_none,
)
from app.application.clock import utc_now
from app.domain import commands as c
from app.domain.chat import Person
from app.domain.commands import Command
from app.domain.errors import Code
from app.domain.ids import ASSISTANT_ID
from app.domain.message import Reply
from app.domain.state import Outcome, Pair, State

_MEMBERS = "m.chat_id, m.user_id, m.role, m.muted_until, m.joined_at, m.joined_seq"


class Facts:
    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        self._db = database
        self._connection = connection

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

    async def _rows(self, sql: str, params: dict[str, Any]) -> Sequence[Any]:
        if self._db.postgresql:
            driver = await driver_connection(self._connection)
            found: Sequence[Any] = await driver.fetch(*positional(sql, params), record_class=AttributeRecord)
            return found
        return (await self._connection.execute(sa.text(sql), params)).all()

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
            f"select {_MEMBERS}, u.username, u.display_name, u.kind as user_kind from {source}"
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
