"""What was said in long chats, summed up for assistants."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "summaries",
        sa.Column("chat_id", t.Id, primary_key=True),
        sa.Column("message_id", t.Id, primary_key=True),
        sa.Column("from_seq", t.BigInt, nullable=False),
        sa.Column("to_seq", t.BigInt, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("made_at", t.Time(), nullable=False),
    )
    op.add_column("attempts", sa.Column("summary_id", t.Id))


def downgrade() -> None:
    op.drop_column("attempts", "summary_id")
    op.drop_table("summaries")
