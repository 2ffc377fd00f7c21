"""One's chats, as PostgreSQL gives them in one statement: each with where one has read to, what is unread, and what was said last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.adapters.store import rows
from app.adapters.store import tables as t
from app.adapters.store.database import from_json
from app.application.ports.history import Membership
from app.domain.values import REACTION_USERS_SHOWN, Member, Message, Person, Reaction

_MESSAGE = [column.name for column in t.messages.c]
_LAST = ", ".join(f"p.{name} as last_{name}" for name in _MESSAGE)

REACTIONS = (
    "(select json_agg(json_build_array(e.emoji, e.whole, e.users) order by e.first) as shown from"
    " (select r.emoji, count(*) as whole, min(r.seq) as first,"
    f" (array_agg(r.user_id order by r.seq, r.user_id))[1:{REACTION_USERS_SHOWN}] as users"
    " from reactions r where r.chat_id = p.chat_id and r.message_id = p.id group by r.emoji) e)"
)
"""Those on a message `p`, as JSON; null where there are none."""

_MINE = (
    "select ch.*, me.user_id, me.role, me.muted_until, me.joined_at, me.joined_seq, me.sees_from,"
    " s.seq as said,"
    " greatest(coalesce(rd.seq, 0), me.joined_seq) as mark,"
    " greatest(coalesce(s.created_at, ch.created_at), me.joined_at) as moved_at,"
    " coalesce(hd.seq >= coalesce(s.seq, 0) and hd.seq >= me.joined_seq, false) as hidden"
    " from members me join chats ch on ch.id = me.chat_id"
    " left join reads rd on rd.user_id = me.user_id and rd.chat_id = ch.id"
    " left join hidden_chats hd on hd.user_id = me.user_id and hd.chat_id = ch.id"
    " left join lateral (select m.seq, m.created_at from messages m where m.chat_id = ch.id order by m.seq desc limit 1) s on true"
    " where me.user_id = v.id"
)
_UNREAD = (
    "(select count(*) as unread from (select 1 from messages k where k.chat_id = mine.id and k.seq > mine.mark"
    " and k.sender_id <> mine.user_id and k.deleted_at is null and k.kind <> 'system' limit :most) as found)"
)


def statement(
    user_ids: Sequence[str],
    *,
    limit: int,
    unread_max: int,
    archived: bool | None = None,
    hidden: bool | None = None,
    before: tuple[datetime, str] | None = None,
    chat_ids: Sequence[str] | None = None,
) -> tuple[str, dict[str, Any]]:
    """(text, parameters) of what `History.memberships` asks for, of each of these; its rows stand by user, in their order."""
    params: dict[str, Any] = {"user_ids": list(user_ids), "most": unread_max, "limit": limit}
    mine, of_mine = _MINE, ["true"]
    if chat_ids is not None:
        mine += " and me.chat_id = any(cast(:chat_ids as uuid[]))"
        params["chat_ids"] = list(chat_ids)
    if archived is not None:
        mine += f" and {'' if archived else 'not '}ch.archived"
    if hidden is not None:
        of_mine.append("hidden" if hidden else "not hidden")
    if before is not None:
        of_mine.append("(moved_at, id) < (cast(:at as timestamptz), cast(:id as uuid))")
        params |= {"at": before[0], "id": before[1]}
    text = (
        f"select mine.*, {_LAST}, x.shown, n.unread, u.username, u.display_name, u.kind as user_kind"
        " from unnest(cast(:user_ids as uuid[])) with ordinality as v(id, o) cross join lateral"
        f" (select * from ({mine}) all_mine where {' and '.join(of_mine)} order by moved_at desc, id desc limit :limit) mine"
        " join users u on u.id = mine.user_id left join messages p on p.chat_id = mine.id and p.seq = mine.said"
        f" left join lateral {REACTIONS} x on true left join lateral {_UNREAD} n on true"
        " order by v.o, mine.moved_at desc, mine.id desc"
    )
    return text, params


class _Last:
    """The columns of the last message, as those of a message's row."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __getattr__(self, name: str) -> Any:
        return self._row[f"last_{name}"]


def reactions_of(shown: str) -> tuple[Reaction, ...]:
    return tuple(Reaction(emoji, count, tuple(user_ids)) for emoji, count, user_ids in from_json(shown))


def seen_by(member: Member, message: Message | None) -> Message | None:
    return message if message is not None and member.sees(message) else None


def membership_of(row: Any) -> Membership:
    last = None
    if row.said is not None:
        reactions = reactions_of(row.shown) if row.shown is not None else ()
        last = rows.message_of(_Last(row), reactions)
    person = Person(str(row.user_id), row.username, row.display_name, row.user_kind)
    member = Member(
        str(row.id), person, row.role, row.muted_until, row.joined_at, row.joined_seq, sees_from=row.sees_from
    )
    return Membership(
        chat=rows.chat_of(row),
        member=member,
        read_seq=row.mark,
        unread=row.unread,
        last_message=seen_by(member, last),
        moved_at=row.moved_at,
        hidden=row.hidden,
    )
