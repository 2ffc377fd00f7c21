"""New messages by one call that is its own transaction (`SqlCommandLog.append`), and where in a chat a time is, for search
(`found_words.py`). PostgreSQL's alone; no table changes.

A version that needs another form of it makes a function of another name: the version before still calls this one.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

APPEND = """
create function append_messages(
    p_now timestamptz, p_shards int[], m_chat uuid[], m_seq bigint[], m_id uuid[], m_sender uuid[], m_client uuid[],
    m_body text[], m_at timestamptz[], c_id uuid[], c_old bigint[], c_head bigint[], c_last timestamptz[],
    r_user uuid[], r_chat uuid[], r_seq bigint[], p_heads jsonb, out done text, out at timestamptz
) language plpgsql as $$
declare n int;
begin
    at := now();
    perform 1 from shards where id = any(p_shards) order by id for update;
    get diagnostics n = row_count;
    if n <> cardinality(p_shards) then done := 'shards'; return; end if;
    -- Statements behind the lock's: they see what it was waited for.
    select count(*) into n from unnest(c_id, c_old) v(id, old) join chats c on c.id = v.id and c.head = v.old;
    if n <> cardinality(c_id) or abs(extract(epoch from at - p_now)) > 1 then done := 'stale'; return; end if;
    perform 1 from unnest(m_chat, m_sender, m_client) v(chat, sender, client), lateral (
        select 1 from messages m
            where m.chat_id = v.chat and m.sender_id = v.sender and m.client_message_id = v.client
        union all
        select 1 from outcomes o where o.chat_id = v.chat and o.actor_id = v.sender and o.id = v.client
        offset 0) x limit 1;
    if found then done := 'known'; return; end if;
    insert into messages (chat_id, seq, id, sender_id, kind, client_message_id, body, status, created_at)
        select v.chat, v.seq, v.id, v.sender, 'user', v.client, v.body, 'complete', v.at
        from unnest(m_chat, m_seq, m_id, m_sender, m_client, m_body, m_at) v(chat, seq, id, sender, client, body, at);
    update chats set head = v.head, last_at = v.last from unnest(c_id, c_head, c_last) v(id, head, last)
        where chats.id = v.id;
    insert into reads (user_id, chat_id, seq) select * from unnest(r_user, r_chat, r_seq)
        on conflict (user_id, chat_id) do update set seq = excluded.seq where reads.seq < excluded.seq;
    insert into batches (heads, users, refused, revoked) values (p_heads, '[]', '[]', '[]');
    done := 'ok';
end $$
"""


# The greatest seq at or below p_head of which no message at or below it is newer than p_at: within a chat, time goes with seq.
PLACE = """
create function message_place(p_chat uuid, p_head bigint, p_at timestamptz) returns bigint language plpgsql stable as $$
declare low bigint := 0; high bigint := p_head; middle bigint := p_head; found_seq bigint; found_at timestamptz;
begin
    while low < high loop
        select m.seq, m.created_at into found_seq, found_at from messages m
            where m.chat_id = p_chat and m.seq > low and m.seq <= middle order by m.seq desc limit 1;
        if not found or found_at <= p_at then low := middle; else high := found_seq - 1; end if;
        middle := (low + high + 1) / 2;
    end loop;
    return low;
end $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(APPEND)
        op.execute(PLACE)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop function append_messages")
        op.execute("drop function message_place")
