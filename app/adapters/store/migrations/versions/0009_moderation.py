"""Reports of messages, bans that end, and what could not be read or decided, kept for a week."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bans", sa.Column("until", t.Time()))
    op.create_table(
        "reports",
        sa.Column("id", t.Id, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("message_id", t.Id, nullable=False),
        sa.Column("reporter_id", t.Id, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("closed_at", t.Time()),
        sa.Column("closed_by", t.Id),
        sa.Column("note", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.UniqueConstraint(
            "chat_id", "message_id", "reporter_id", name=op.f("uq_reports_chat_id_message_id_reporter_id")
        ),
    )
    op.create_table(
        "dead_letters",
        sa.Column("id", t.Id, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_index(op.f("ix_dead_letters_at"), "dead_letters", ["at"])


def downgrade() -> None:
    op.drop_table("dead_letters")
    op.drop_table("reports")
    op.drop_column("bans", "until")
