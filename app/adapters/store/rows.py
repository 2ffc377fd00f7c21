"""Table rows to domain values and back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
import uuid_utils.compat as uuid
from sqlalchemy.ext.asyncio import AsyncConnection

from app.adapters.store import tables as t
from app.adapters.store.database import Database, from_json, to_time, to_time_or_none
from app.domain.chats import ChatCreated
from app.domain.decide import EVENTS, kind_of
from app.domain.events import Event, Opaque
from app.domain.reactions import ReactionChange
from app.domain.state import Pair
from app.domain.text import emoji_of
from app.domain.values import (
    NO_TERMS,
    REACTION_USERS_SHOWN,
    AssistantSettings,
    Attributes,
    Chat,
    ChatKind,
    Failure,
    Member,
    Message,
    Person,
    Reaction,
    Terms,
    Usage,
    Via,
)


def chat_of(row: Any) -> Chat:
    assistant = None
    if row.assistant_id is not None:
        assistant = AssistantSettings(str(row.assistant_id), row.assistant_model, row.assistant_instructions)
    return Chat(
        id=str(row.id),
        kind=row.kind,
        title=row.title if row.kind != ChatKind.DIRECT else None,  # an older version let them have one
        archived=bool(row.archived),
        created_at=to_time(row.created_at),
        created_by=str(row.created_by),
        head=row.head,
        members_count=row.members_count,
        last_at=to_time(row.last_at),
        assistant=assistant,
        terms=_shape(row.terms, Terms) or NO_TERMS,
    )


def chat_values(chat: Chat) -> dict[str, Any]:
    assistant = chat.assistant
    return {
        "id": chat.id,
        "kind": chat.kind,
        "title": chat.title,
        "archived": chat.archived,
        "created_at": chat.created_at,
        "created_by": chat.created_by,
        "head": chat.head,
        "members_count": chat.members_count,
        "last_at": chat.last_at,
        "assistant_id": assistant.user_id if assistant else None,
        "assistant_model": assistant.model if assistant else None,
        "assistant_instructions": assistant.instructions if assistant else None,
        "terms": msgspec.to_builtins(chat.terms) if chat.terms != NO_TERMS else None,
    }


def attributes_of(kept: Any) -> Attributes:
    """What rules may look at of them: plain values, by name."""
    if not kept:
        return ()
    said = from_json(kept) or {}
    return tuple(sorted((name, one) for name, one in said.items() if isinstance(one, (bool, int, str))))


def member_of(row: Any) -> Member:
    """Of a row of members joined with users."""
    return Member(
        chat_id=str(row.chat_id),
        user=Person(str(row.user_id), row.username, row.display_name, row.user_kind, attributes_of(row.attributes)),
        role=row.role,
        muted_until=to_time_or_none(row.muted_until),
        joined_at=to_time(row.joined_at),
        joined_seq=row.joined_seq,
        attention=row.attention,
        budget_per_hour=row.budget_per_hour,
        sees_from=row.sees_from,
    )


MEMBER_COLUMNS = [
    *t.members.c,
    t.users.c.username,
    t.users.c.display_name,
    t.users.c.attributes,
    t.users.c.kind.label("user_kind"),
]
MEMBERS_WITH_USERS = t.members.join(t.users, t.users.c.id == t.members.c.user_id)


S = TypeVar("S")


def text_or_none(value: Any) -> str | None:
    return str(value) if value is not None else None


def message_of(row: Any, reactions: tuple[Reaction, ...] = ()) -> Message:
    return Message(
        chat_id=str(row.chat_id),
        seq=row.seq,
        id=str(row.id),
        sender_id=str(row.sender_id),
        kind=row.kind,
        client_message_id=text_or_none(row.client_message_id),
        body=row.body,
        reply_to=text_or_none(row.reply_to),
        status=row.status,
        created_at=to_time(row.created_at),
        edited_at=to_time_or_none(row.edited_at),
        deleted_at=to_time_or_none(row.deleted_at),
        attempt=row.attempt,
        regenerates=text_or_none(row.regenerates),
        failure=_shape(row.failure, Failure),
        usage=_shape(row.usage, Usage),
        queue=row.queue,
        parent_id=_parent_of(row),
        via=_shape(row.via, Via),
        reactions=reactions,
    )


def _parent_of(row: Any) -> str | None:
    """One that begins a line has its chat's id or its own there; nothing is of another kind of chat, or of an older version:
    then the one before is meant."""
    return str(row.parent_id) if row.parent_id is not None and row.parent_id not in (row.chat_id, row.id) else None


def _shape(value: Any, shape: type[S]) -> S | None:
    """What a newer version added to it is passed by; of a form that we don't know it is nothing."""
    if not value:
        return None
    with suppress(msgspec.ValidationError):
        return msgspec.convert(from_json(value), shape)
    return None


def is_of_message(event_type: str) -> bool:
    """Whether such an event's payload is a message: then it is read as it is now, and not from the event's row."""
    kind = EVENTS.get(event_type)
    return kind is not None and kind.payload is Message


def payload_data(payload: Any) -> Any:
    """The part of an event that its row keeps; of messages nothing, so that an erased body is nowhere."""
    return None if isinstance(payload, Message) else msgspec.to_builtins(payload)


def event_of_change(row: Any, message: Message | None) -> Event:
    """message: the one that the event is about, where it was looked up. Of a type that we don't know,
    or of a form that we don't know of its type: its place alone."""
    kind = EVENTS.get(row.type)
    payload: Any = Opaque()
    if kind is not None and kind.payload is Message:
        payload = message or payload
    elif kind is not None:
        with suppress(msgspec.ValidationError):
            payload = msgspec.convert(from_json(row.data), kind.payload)
    if isinstance(payload, ReactionChange):
        payload = replace(payload, emoji=emoji_of(payload.emoji) or payload.emoji)  # of older versions: in any form
    return Event(
        row.type,
        str(row.chat_id),
        row.seq,
        to_time(row.at),
        str(row.actor_id),
        payload,
        text_or_none(row.command_id),
    )


async def leavings(connection: AsyncConnection, chat_id: str, user_id: str, after: int = 0) -> list[Event]:
    """The events behind `after` by which this user left the chat, or was taken out, newest first. Their types stand in the
    statement itself, as they do in the index of those who left."""
    x = t.changes
    is_leaving = sa.or_(
        *(x.c.type == sa.literal_column(f"'{kind.type}'") for kind in EVENTS.values() if kind.takes_out)
    )
    query = (
        sa.select(x)
        .where(x.c.chat_id == chat_id, x.c.seq > after, is_leaving)
        .where(sa.cast(x.c.data, sa.Text).contains(user_id))
        .order_by(x.c.seq.desc())
    )
    events = [event_of_change(row, None) for row in await connection.execute(query)]
    return [event for event in events if user_id in kind_of(event).goes(event.payload)]


async def as_named_now(connection: AsyncConnection, events: Sequence[Event]) -> list[Event]:
    """These events with people called as they are now: their rows keep the names of then."""
    ids = {member.user.id for event in events for member in _members_in(event.payload)}
    if not ids:
        return list(events)
    u = t.users.c
    found = await connection.execute(sa.select(u.id, u.username, u.display_name, u.kind).where(u.id.in_(ids)))
    people = {person.id: person for person in (Person(str(row.id), *row[1:]) for row in found)}

    def named(member: Member) -> Member:
        return replace(member, user=people.get(member.user.id, member.user))

    made = []
    for event in events:
        payload = event.payload
        if isinstance(payload, Member):
            payload = named(payload)
        elif isinstance(payload, ChatCreated):
            payload = replace(payload, members=tuple(map(named, payload.members)))
        made.append(event if payload is event.payload else replace(event, payload=payload))
    return made


def _members_in(payload: Any) -> tuple[Member, ...]:
    if isinstance(payload, Member):
        return (payload,)
    return payload.members if isinstance(payload, ChatCreated) else ()


_EACH_EMOJI = "over (partition by r.chat_id, r.message_id, r.emoji"
_REACTIONS_ON = (
    "select * from (select r.chat_id, r.message_id, r.emoji, r.user_id,"
    f" row_number() {_EACH_EMOJI} order by r.seq, r.user_id) as place, count(*) {_EACH_EMOJI}) as whole,"
    f" min(r.seq) {_EACH_EMOJI}) as first from {{source}}"
    " join reactions r on r.chat_id = v.chat_id and r.message_id = v.message_id) ranked"
    " where place <= :shown order by chat_id, message_id, first, place"
)


async def whole_messages(database: Database, connection: AsyncConnection, found: Sequence[Any]) -> list[Message]:
    """Messages of these rows with the reactions on them, as the public resource shows them: count, and the first people."""
    messages = [message_of(row) for row in found]
    if not messages:
        return []
    pairs = list(dict.fromkeys((message.chat_id, message.id) for message in messages))
    source, params = database.values("v", {"chat_id": "uuid", "message_id": "uuid"}, pairs)
    statement = sa.text(_REACTIONS_ON.format(source=source))
    on: dict[Pair, dict[str, tuple[int, list[str]]]] = {}
    for row in await connection.execute(statement, params | {"shown": REACTION_USERS_SHOWN}):
        per_emoji = on.setdefault((str(row.chat_id), str(row.message_id)), {})
        per_emoji.setdefault(row.emoji, (row.whole, []))[1].append(str(row.user_id))
    reactions = {
        key: tuple(Reaction(emoji, count, tuple(users)) for emoji, (count, users) in per_emoji.items())
        for key, per_emoji in on.items()
    }
    return [
        replace(message, reactions=shown) if (shown := reactions.get((message.chat_id, message.id))) else message
        for message in messages
    ]


def moved_marks(database: Database, read: dict[Pair, int]) -> tuple[str, dict[str, Any]]:
    """The statement, with its parameters, that notes how far people have read, (chat, user) each; never back."""
    source, params = database.values(
        "r",
        {"user_id": "uuid", "chat_id": "uuid", "seq": "int8"},
        sorted((user_id, chat_id, seq) for (chat_id, user_id), seq in read.items()),
    )
    sql = (
        f"insert into reads (user_id, chat_id, seq) select r.user_id, r.chat_id, r.seq from {source} where true"
        " on conflict (user_id, chat_id) do update set seq = excluded.seq where reads.seq < excluded.seq"
    )
    return sql, params


async def write_down(
    connection: AsyncConnection, at: datetime, actor_id: str | None, act: str, target_id: str, details: dict[str, Any]
) -> None:
    """What an operator did, in the transaction that does it."""
    row = {"actor_id": actor_id, "act": act, "target_id": target_id, "details": details}
    await connection.execute(sa.insert(t.audit).values(id=str(uuid.uuid7()), at=at, **row))
