"""New messages by one call, as in 0010; but what is known is found by the key that it would double. On a table that was empty when
the plan was made the planner took another of three indexes for it, and kept it: each message read its whole chat, until
statistics came. PostgreSQL's alone; no table changes.
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

APPEND = """
create function append_new_messages(
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
        select 1 from outcomes o where o.chat_id = v.chat and o.actor_id = v.sender and o.id = v.client offset 0) x limit 1;
    if found then done := 'known'; return; end if;
    begin
        insert into messages (chat_id, seq, id, sender_id, kind, client_message_id, body, status, created_at)
            select v.chat, v.seq, v.id, v.sender, 'user', v.client, v.body, 'complete', v.at
            from unnest(m_chat, m_seq, m_id, m_sender, m_client, m_body, m_at) v(chat, seq, id, sender, client, body, at)
            on conflict (chat_id, sender_id, client_message_id) do nothing;
        get diagnostics n = row_count;
        if n <> cardinality(m_chat) then raise sqlstate 'PR001'; end if;
    exception when sqlstate 'PR001' then done := 'known'; return; -- and none of them is there
    end;
    update chats set head = v.head, last_at = v.last from unnest(c_id, c_head, c_last) v(id, head, last)
        where chats.id = v.id;
    insert into reads (user_id, chat_id, seq) select * from unnest(r_user, r_chat, r_seq)
        on conflict (user_id, chat_id) do update set seq = excluded.seq where reads.seq < excluded.seq;
    insert into batches (heads, users, refused, revoked) values (p_heads, '[]', '[]', '[]');
    done := 'ok';
end $$
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(APPEND)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop function append_new_messages")
