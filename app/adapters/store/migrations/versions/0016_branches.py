"""What a message continues, what members agreed on for a chat, and a person's own quotas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("parent_id", t.Id))
    op.add_column("chats", sa.Column("terms", t.Json))
    op.add_column("users", sa.Column("quotas", t.Json))
    op.add_column("replies", sa.Column("reserved_tokens", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("replies", sa.Column("remarks", sa.Integer(), nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "sqlite":  # on PostgreSQL beside the traffic: CONCURRENT_INDEXES
        steered = sa.text("type = 'reply.steered'")
        op.create_index("ix_changes_remarks", "changes", ["chat_id", "message_id"], sqlite_where=steered)


def downgrade() -> None:
    op.execute("drop index if exists ix_changes_remarks")
    op.drop_column("replies", "remarks")
    op.drop_column("replies", "reserved_tokens")
    op.drop_column("users", "quotas")
    op.drop_column("chats", "terms")
    op.drop_column("messages", "parent_id")
