"""What was said in long chats, summed up for assistants; gone when a message that is in it is edited or deleted, whoever does it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_CHANGED = "old.edited_at {differs} new.edited_at or old.deleted_at {differs} new.deleted_at"
_FORGET = "delete from summaries where chat_id = new.chat_id and from_seq <= new.seq and to_seq >= new.seq;"
_FUNCTION = f"""
create or replace function forget_summaries() returns trigger language plpgsql as $$ begin
  perform pg_advisory_xact_lock(hashtextextended(new.chat_id::text, 18));
  {_FORGET}
  return null;
end $$"""
_TRIGGER = "create trigger messages_forget_summaries after update of edited_at, deleted_at on messages"


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("id", t.Id, primary_key=True),
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("message_id", t.Id, nullable=False),
        sa.Column("from_seq", t.BigInt, nullable=False),
        sa.Column("to_seq", t.BigInt, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("made_at", t.Time(), nullable=False),
    )
    op.create_index("ix_summaries_chat", "summaries", ["chat_id", "to_seq"])
    op.add_column("attempts", sa.Column("summary_id", t.Id))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"{_TRIGGER} when {_CHANGED.format(differs='is not')} begin {_FORGET} end")
    else:
        op.execute(_FUNCTION)
        changed = _CHANGED.format(differs="is distinct from")
        op.execute(f"{_TRIGGER} for each row when ({changed}) execute function forget_summaries()")


def downgrade() -> None:
    on = "" if op.get_bind().dialect.name == "sqlite" else " on messages"
    op.execute(f"drop trigger messages_forget_summaries{on}")
    if on:
        op.execute("drop function forget_summaries()")
    op.drop_column("attempts", "summary_id")
    op.drop_table("summaries")
