"""Search on PostgreSQL: what it costs follows what is found, however common a word is and whatever the statistics say.

A word that few messages hold is looked up in the index. A common one isn't: the index would read where it stands in all chats
before it told of one message. There the searcher's own chats are walked, newest first, a bounded number of messages at a
time, and each is looked at; the next call goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from app.adapters.store.database import Database, from_json, positional
from app.application.ports.history import Place, Search

RARE_MAX = 5_000
"""Messages that hold all the words; beyond it they are walked to."""
INDEX_MS_MAX = 150
"""Where the estimate of them was wrong."""
LOOKED_AT_ONCE = 2_000
_OF_A_CHAT_MIN = 10

_MINE = (
    "select c.id, c.head from members j join chats c on c.id = j.chat_id where j.user_id = :user_id"
    " and (cast(:chat_id as uuid) is null or c.id = :chat_id)"
    " and (cast(:since as timestamptz) is null or c.last_at >= :since)"
)
_HOLDS = "w.words @> string_to_array(cast(:words as text), ' ')"
_FITS = (
    "m.deleted_at is null and (cast(:sender_id as uuid) is null or m.sender_id = :sender_id)"
    " and (cast(:since as timestamptz) is null or m.created_at >= :since)"
    " and (cast(:until as timestamptz) is null or m.created_at < :until)"
)
_OLDER = "(cast(:at as timestamptz) is null or (m.created_at, m.id) < (cast(:at as timestamptz), cast(:id as uuid)))"
_BY_INDEX = (
    f"with found as materialized (select w.chat_id, w.message_id from message_words w where {_HOLDS} limit {RARE_MAX + 1}),"
    f" mine as ({_MINE}), own as (select m.chat_id, m.id, m.created_at from found join mine on mine.id = found.chat_id"
    f" join messages m on m.chat_id = found.chat_id and m.id = found.message_id where {_FITS} and {_OLDER}"
    f" and (select count(*) from found) <= {RARE_MAX} order by m.created_at desc, m.id desc limit :limit)"
    f" select null as chat_id, null as id, null as created_at from found having count(*) > {RARE_MAX}"
    " union all (select * from own order by created_at desc, id desc)"
)
# Of each chat the newest few, and whatever is of the same moment as the last of them. What is older than that, in any chat
# that has more, isn't looked at yet. The words are compared in a way that no index serves.
_WALK = (
    f"with mine as materialized ({_MINE}),"
    f" few as (select greatest({_OF_A_CHAT_MIN}, {LOOKED_AT_ONCE} / greatest(1, count(*))) as count from mine),"
    " parts as materialized (select mine.id, s.place, k.count, k.low from mine, few,"
    " lateral (select case when cast(:from_ as timestamptz) is null then mine.head"
    " else message_place(mine.id, mine.head, :from_) end as place offset 0) s,"
    " lateral (select count(*) as count, min(m.created_at) as low from (select m.created_at from messages m"
    f" where m.chat_id = mine.id and m.seq <= s.place and {_OLDER} order by m.seq desc limit (select count from few)) m) k),"
    " edge as (select max(p.low) as low from parts p, few where p.count = few.count),"
    " newest as materialized (select m.* from parts p, edge, lateral (select case when edge.low is null then 0"
    " else message_place(p.id, p.place, edge.low - interval '1 millisecond') end as below offset 0) b,"
    " lateral (select m.* from messages m where m.chat_id = p.id and m.seq > b.below and m.seq <= p.place"
    f" and {_OLDER}) m where p.count > 0),"
    " found as (select m.chat_id, m.id, m.created_at from newest m"
    " join message_words w on w.chat_id = m.chat_id and w.message_id = m.id"
    f" where ({_HOLDS}) is true and {_FITS} order by m.created_at desc, m.id desc limit :limit)"
    " select null as chat_id, null as id, low as created_at from edge where low is not null union all"
    " (select * from found order by created_at desc, id desc)"
)
_FIRST_ID = "00000000-0000-0000-0000-000000000000"


async def find(
    database: Database, user_id: str, search: Search, limit: int
) -> tuple[list[tuple[str, str]], Place | None]:
    """(chat id, message id) of what is found, newest first; and where to go on, None where that was all. Raises Transient."""
    at, id_ = search.before or (None, None)
    from_ = min((time for time in (at, search.until) if time is not None), default=None)
    params: dict[str, Any] = {
        "user_id": user_id, "chat_id": search.chat_id, "sender_id": search.sender_id, "since": search.since,
        "until": search.until, "at": at, "id": id_, "from_": from_, "words": " ".join(search.terms), "limit": limit,
    }  # fmt: skip
    async with database.direct() as driver:
        found = await _by_index(driver, params) if await _is_rare(driver, search.terms) else None
        edge: Place | None = None
        if found is None:
            found = await driver.fetch(*positional(_WALK, params))
            if found and found[0]["chat_id"] is None:
                edge, found = (found[0]["created_at"], _FIRST_ID), found[1:]
            if edge is not None and search.since is not None and edge[0] <= search.since:
                edge = None  # nothing older is asked for
    if len(found) == limit:
        edge = found[-1]["created_at"], str(found[-1]["id"])
    return [(str(row["chat_id"]), str(row["id"])) for row in found], edge


async def _is_rare(driver: asyncpg.Connection[Any], terms: Sequence[str]) -> bool:
    """By the planner, which has to see the words: they hold letters, digits and marks alone."""
    words = " ".join(terms).replace("'", "''")
    [[plan]] = await driver.fetch(
        f"explain (format json) select 1 from message_words w where w.words @> string_to_array('{words}', ' ')"
    )
    return bool(from_json(plan)[0]["Plan"]["Plan Rows"] <= RARE_MAX)


async def _by_index(driver: asyncpg.Connection[Any], params: dict[str, Any]) -> list[Any] | None:
    """None where the word is common after all: there are too many, or it takes too long."""
    try:
        async with driver.transaction(readonly=True):
            await driver.execute(f"set local statement_timeout = {INDEX_MS_MAX}")
            found = await driver.fetch(*positional(_BY_INDEX, params))
    except asyncpg.QueryCanceledError:
        return None
    return list(found) if not found or found[0]["chat_id"] is not None else None
