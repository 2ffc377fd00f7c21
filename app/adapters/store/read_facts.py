"""What a batch may need to know, read after its shards are locked: each kind of fact by one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
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
from app.domain.assistants import is_bounded, quota_windows
from app.domain.ids import ASSISTANT_ID
from app.domain.messages import SendMessage
from app.domain.state import Consent, Needs, Outcome, Pair, Spent, Spoken, State
from app.domain.values import AddedBy, AskedBy, Assistant, ChatKind, MessageKind, Person, Reply

Key = tuple[str, str, str]
"""Of a command: chat, actor, id."""
_MEMBERS = "m.chat_id, m.user_id, m.role, m.muted_until, m.joined_at, m.joined_seq, m.attention, m.budget_per_hour, m.sees_from"


class Facts:
    def __init__(self, database: Database, connection: AsyncConnection) -> None:
        self._db = database
        self._connection = connection

    async def read(self, needs: Needs, keys: Sequence[Key], now: datetime) -> State:
        """keys: of the commands whose outcome may be known. now: of the transaction."""
        state = State(now=now)
        await self._read_chats(state, needs.chats)
        own = [chat.id for chat in state.chats.values() if chat.kind == ChatKind.ASSISTANT]
        if own:
            await self._read_queues(state, own)
            await self._read_newest(state, own)
        state.known = await self.known(list(dict.fromkeys(keys)))
        messages = dict(needs.messages)
        if needs.replies:
            messages |= await self._read_replies(state, needs.replies)
        if messages:
            await self._read_messages(state, messages)
        assistants = await self._read_assistants(state, needs)
        await self._read_members(state, needs.members | assistants)
        if needs.rosters:
            await self._read_rosters(state, needs.rosters)
        if needs.people:
            await self._read_people(state, needs.people)
        if needs.bans or assistants:
            await self._read_bans(state, needs.bans | assistants)
        await self._read_spoken(state, assistants)
        askers = needs.counted_askers(state.chats)
        if needs.consents:
            state.consents = await self._consents(list(needs.consents), state.now)
        strangers = [pair for pair, consent in state.consents.items() if not (consent.shares or consent.operator)]
        if self._db.postgresql and (strangers or askers):
            # What two batches count of one person they count one after the other.
            users = sorted(askers.union(added for _, added in strangers))
            source, params = self._db.values("v", {"id": "uuid"}, [(user_id,) for user_id in users])
            await self._rows(
                f"select 1 from users where id in (select v.id from {source}) order by id for no key update", params
            )
            if strangers:
                state.consents |= await self._consents(strangers, state.now)
        if needs.refusals:
            await self._read_refusals(state, needs.refusals)
        if askers:
            await self._read_open_questions(state, askers)
        if needs.floors:
            await self._read_floors(state, needs.floors)
        if needs.owners:
            await self._read_owners(state, needs.owners)
        if needs.pins:
            await self._read_pins(state, needs.pins)
        operators = dict(needs.operators)
        if any(one.asked_by == AskedBy.OPERATORS for one in state.assistants.values()):
            operators |= {user_id: None for _, user_id in needs.askers}
        if operators:
            await self._read_operators(state, operators)
        return state

    async def _read_assistants(self, state: State, needs: Needs) -> dict[Pair, None]:
        """Those that are named, asked once more, or have a chat of their own here. (chat, assistant): where each may speak."""
        where = dict(needs.assistants)
        where |= {
            (chat.id, chat.assistant.user_id): None for chat in state.chats.values() if chat.assistant is not None
        }
        where |= {
            (key[0], state.messages[key].sender_id): None
            for key in needs.answerers
            if key in state.messages and state.messages[key].kind == MessageKind.ASSISTANT
        }
        in_groups = [key for key in needs.named if (c := state.chats.get(key[0])) and c.kind == ChatKind.GROUP]
        names = sorted({name for _, name in in_groups})
        if not where and not names:
            return {}
        by_id, params = self._db.values("v", {"id": "uuid"}, [(id_,) for id_ in sorted({id_ for _, id_ in where})])
        by_name, more = self._db.values("w", {"name": "text"}, [(name,) for name in names])
        pg = self._db.postgresql
        listed, parameters = (
            ("array_to_json(a.listed)::text", "a.parameters::text") if pg else ("a.listed", "a.parameters")
        )
        found = await self._rows(
            f"select u.id, u.username, u.disabled, a.version, a.provider, a.asked_by, {listed} as listed,"
            f" {parameters} as parameters from users u"
            " join assistant_versions a on a.assistant_id = u.id where u.kind = 'assistant'"
            f" and (u.id in (select v.id from {by_id}) or u.username in (select w.name from {by_name}))"
            " and a.version = (select max(l.version) from assistant_versions l where l.assistant_id = u.id)",
            params | more,
        )
        by_name_ = {row.username: str(row.id) for row in found}
        for row in found:
            id_ = str(row.id)
            state.assistants[id_] = Assistant(
                id_,
                row.username,
                row.version,
                row.provider,
                row.asked_by,
                frozenset(from_json(row.listed) or ()),
                bool(row.disabled),
                (from_json(row.parameters) or {}).get("max_output_tokens"),
            )
        return where | {(chat_id, by_name_[name]): None for chat_id, name in in_groups if name in by_name_}

    async def _read_spoken(self, state: State, pairs: Iterable[Pair]) -> None:
        """How much those said this hour of whom it counts."""
        bounded = [pair for pair in pairs if is_bounded(state.members.get(pair))]
        if not bounded:
            return
        hour, _ = quota_windows(state.now)
        source, params = self._db.values("v", {"chat_id": "uuid", "user_id": "uuid"}, bounded)
        cast = "cast(:hour as timestamptz)" if self._db.postgresql else ":hour"
        found = await self._rows(
            "select r.chat_id, r.assistant_id, count(*) as count, sum(case when r.by_itself then 1 else 0 end) as alone from"
            f"  {source} join replies r on r.chat_id = v.chat_id"
            f" and r.assistant_id = v.user_id and r.asked_at >= {cast} group by r.chat_id, r.assistant_id",
            params | {"hour": self._db.bind(hour)},
        )
        state.spoken.update(
            {(str(row.chat_id), str(row.assistant_id)): Spoken(row.count, int(row.alone)) for row in found}
        )

    async def _rows(self, sql: str, params: dict[str, Any]) -> Sequence[Any]:
        if self._db.postgresql:
            driver = await driver_connection(self._connection)
            found: Sequence[Any] = await driver.fetch(*positional(sql, params), record_class=AttributeRecord)
            return found
        return (await self._connection.execute(sa.text(sql), params)).all()

    async def _read_chats(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        for row in await self._rows(f"select c.* from {source} join chats c on c.id = v.id", params):
            chat = rows.chat_of(row)
            state.chats[chat.id] = chat

    async def known(self, keys: Sequence[Key]) -> dict[Key, Outcome]:
        """Outcomes of the commands that were decided before. keys: each once."""
        source, params = self._db.values("v", {"chat_id": "uuid", "actor_id": "uuid", "id": "uuid"}, keys)
        found = await self._rows(
            f"select v.o as o, '{SendMessage.type}' as type, m.seq as seq, null as code, '' as reason, null as policies"
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
        return {
            keys[row.o - first]: Outcome(row.type, row.seq, row.code, row.reason, tuple(from_json(row.policies) or ()))
            for row in found
        }

    async def _read_members(self, state: State, pairs: Iterable[Pair]) -> None:
        source, params = self._db.values("v", {"chat_id": "uuid", "user_id": "uuid"}, list(pairs))
        found = await self._rows(
            f"select {_MEMBERS}, u.username, u.display_name, u.attributes, u.kind as user_kind from {source}"
            " join members m on m.chat_id = v.chat_id and m.user_id = v.user_id join users u on u.id = m.user_id",
            params,
        )
        _keep_members(state, found)

    async def _read_rosters(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        found = await self._rows(
            f"select {_MEMBERS}, u.username, u.display_name, u.attributes, u.kind as user_kind from {source}"
            " join members m on m.chat_id = v.id join users u on u.id = m.user_id",
            params,
        )
        _keep_members(state, found)

    async def _read_people(self, state: State, user_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(user_id,) for user_id in user_ids])
        found = await self._rows(
            f"select u.id, u.username, u.display_name, u.kind, u.disabled, u.attributes from {source} join users u on u.id = v.id",
            params,
        )
        for row in found:
            state.people[str(row.id)] = Person(
                str(row.id), row.username, row.display_name, row.kind, rows.attributes_of(row.attributes)
            )
            if row.disabled:
                state.disabled.add(str(row.id))

    async def _read_bans(self, state: State, pairs: Iterable[Pair]) -> None:
        source, params = self._db.values("v", {"chat_id": "uuid", "user_id": "uuid"}, list(pairs))
        found = await self._rows(
            f"select b.chat_id, b.user_id, b.until from {source} join bans b on b.chat_id = v.chat_id and b.user_id = v.user_id"
            f" where b.until is null or b.until > {'cast(:now as timestamptz)' if self._db.postgresql else ':now'}",
            params | {"now": self._db.bind(state.now)},
        )
        for row in found:
            key = (str(row.chat_id), str(row.user_id))
            state.bans.add(key)
            if (until := to_time_or_none(row.until)) is not None:
                state.ban_ends[key] = until

    async def _consents(self, pairs: Sequence[Pair], now: datetime) -> dict[Pair, Consent]:
        """pairs: (who adds, who is added). Of people alone. Whether they share a chat is looked up from who adds, who has
        few where there is something to fear."""
        pg = self._db.postgresql
        choice = "u.preferences->>'added_by'" if pg else "json_extract(u.preferences, '$.added_by')"
        since = "cast(:since as timestamptz)" if pg else ":since"
        source, params = self._db.values("v", {"adder": "uuid", "added": "uuid"}, pairs)
        found = await self._rows(
            f"select v.adder, v.added, {choice} as added_by, coalesce(a.role, '') as role, exists (select 1 from members y"
            " cross join members x where y.user_id = v.adder and x.chat_id = y.chat_id and x.user_id = v.added) as shares,"
            f" (select count(*) from stranger_adds s where s.user_id = v.added and s.at > {since}) as strangers"
            f" from {source} join users u on u.id = v.added left join users a on a.id = v.adder where u.kind = 'human'",
            params | {"since": self._db.bind(now - timedelta(hours=1))},
        )
        return {
            (str(row.adder), str(row.added)): Consent(
                row.added_by if row.added_by in list(AddedBy) else "",
                bool(row.shares),
                row.role == "operator",
                row.strangers,
            )
            for row in found
        }

    async def _read_refusals(self, state: State, pairs: Iterable[Pair]) -> None:
        source, params = self._db.values("v", {"chat_id": "uuid", "user_id": "uuid"}, list(pairs))
        found = await self._rows(
            f"select r.chat_id, r.user_id from {source}"
            " join chat_refusals r on r.chat_id = v.chat_id and r.user_id = v.user_id",
            params,
        )
        state.refusals.update((str(row.chat_id), str(row.user_id)) for row in found)

    async def _read_open_questions(self, state: State, user_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(user_id,) for user_id in sorted(user_ids)])
        found = await self._rows(
            "select r.asker_id, count(*) as count from replies r"
            f" where not r.finished and r.asker_id in (select v.id from {source}) group by r.asker_id",
            params,
        )
        state.open_questions.update({str(row.asker_id): row.count for row in found})
        await self.read_asked(state, user_ids)

    async def read_asked(self, state: State, user_ids: Iterable[str]) -> None:
        """What these people asked for, and what they may."""
        source, params = self._db.values("v", {"id": "uuid"}, [(user_id,) for user_id in sorted(user_ids)])
        hour, day = quota_windows(state.now)
        cast = "cast({} as timestamptz)" if self._db.postgresql else "{}"
        await self._read_quotas(state, user_ids)
        took = "sum(coalesce(a.prompt_tokens, 0) + coalesce(a.completion_tokens, 0))"
        tokens = (
            f"sum(case when r.finished then (select coalesce({took}, 0) from attempts a where a.chat_id = r.chat_id"
            " and a.message_id = r.message_id) else r.reserved_tokens end) as tokens"
        )
        found = await self._rows(
            f"select r.asker_id, count(*) as today, {tokens}, sum(case when r.asked_at >= {cast.format(':hour')} then 1 else 0 end)"
            f" as this_hour from replies r where r.asked_at >= {cast.format(':day')}"
            f" and r.asker_id in (select v.id from {source}) group by r.asker_id",
            params | {"day": self._db.bind(day), "hour": self._db.bind(hour)},
        )
        state.asked.update({str(row.asker_id): Spent(row.this_hour, row.today, int(row.tokens)) for row in found})

    async def _read_quotas(self, state: State, user_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(user_id,) for user_id in sorted(user_ids)])
        quotas = "u.quotas::text" if self._db.postgresql else "u.quotas"
        found = await self._rows(
            f"select u.id, {quotas} as quotas from {source} join users u on u.id = v.id where u.quotas is not null",
            params,
        )
        state.quotas.update({str(row.id): from_json(row.quotas) or {} for row in found})

    async def _read_queues(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        for row in await self._rows(
            f"select r.chat_id, r.message_id from {source} join replies r on r.chat_id = v.id and not r.finished"
            " join messages m on m.chat_id = r.chat_id and m.id = r.message_id order by m.seq",
            params,
        ):
            state.queues.setdefault(str(row.chat_id), []).append(str(row.message_id))

    async def _read_newest(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        for row in await self._rows(
            "select m.chat_id, m.id from messages m where (m.chat_id, m.seq) in (select v.id, (select max(n.seq)"
            f" from messages n where n.chat_id = v.id and n.kind <> 'system') from {source})",
            params,
        ):
            state.newest[str(row.chat_id)] = str(row.id)

    async def _read_floors(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        found = await self._rows(
            f"select m.chat_id, max(m.sees_from) as floor from {source} join members m on m.chat_id = v.id"
            " where m.sees_from > 0 group by m.chat_id",
            params,
        )
        state.floors.update({str(row.chat_id): row.floor for row in found})

    async def _read_owners(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        found = await self._rows(
            f"select m.chat_id, count(*) as owners from {source}"
            " join members m on m.chat_id = v.id join users u on u.id = m.user_id"
            " where m.role = 'owner' and u.kind = 'human' group by m.chat_id",
            params,
        )
        state.owners.update({str(row.chat_id): row.owners for row in found})

    async def _read_operators(self, state: State, user_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(user_id,) for user_id in user_ids])
        found = await self._rows(
            f"select u.id from {source} join users u on u.id = v.id where u.role = 'operator' and not u.disabled",
            params,
        )
        state.operators.update(str(row.id) for row in found)

    async def _read_pins(self, state: State, chat_ids: Iterable[str]) -> None:
        source, params = self._db.values("v", {"id": "uuid"}, [(chat_id,) for chat_id in chat_ids])
        for row in await self._rows(
            f"select p.chat_id, p.message_id, p.seq from {source} join pins p on p.chat_id = v.id order by p.seq",
            params,
        ):
            state.pins.setdefault(str(row.chat_id), {})[str(row.message_id)] = row.seq

    async def _read_replies(self, state: State, keys: Iterable[Pair]) -> dict[Pair, None]:
        """Locked, since workers claim and renew them outside the shard's lock. The messages that they are about."""
        about: dict[Pair, None] = {}
        source, params = self._db.values("v", {"chat_id": "uuid", "id": "uuid"}, list(keys))
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
                asker_id=str(row.asker_id or ""),
                assistant_id=str(row.assistant_id or ASSISTANT_ID),
                version=row.version,
                provider=row.provider,
                reserved_tokens=row.reserved_tokens,
                remarks=row.remarks,
            )
            state.replies[(reply.chat_id, reply.message_id)] = reply
            about |= {(reply.chat_id, reply.message_id): None, (reply.chat_id, reply.question_id): None}
        return about

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


def _keep_members(state: State, found: Sequence[Any]) -> None:
    for row in found:
        member = rows.member_of(row)
        state.members[(member.chat_id, member.user.id)] = member
