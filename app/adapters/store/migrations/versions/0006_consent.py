"""Who may add whom to a chat, and who asked for a reply."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chat_refusals",
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name=op.f("pk_chat_refusals")),
    )
    op.create_table(
        "stranger_adds",
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("seq", t.BigInt, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "user_id", "seq", name=op.f("pk_stranger_adds")),
    )
    op.create_index(op.f("ix_stranger_adds_at"), "stranger_adds", ["at"])
    op.create_index("ix_stranger_adds_user_id_at", "stranger_adds", ["user_id", "at"])
    op.add_column("replies", sa.Column("asker_id", t.Id))
    not_finished = sa.text("not finished")
    op.create_index(
        "ix_replies_open_of", "replies", ["asker_id"], sqlite_where=not_finished, postgresql_where=not_finished
    )
    if op.get_bind().dialect.name == "sqlite":  # on PostgreSQL beside the traffic: CONCURRENT_INDEXES in migrate.py
        op.create_index(
            "ix_changes_leaving", "changes", ["chat_id", "seq"], sqlite_where=sa.text("type = 'member.removed'")
        )


def downgrade() -> None:
    op.execute("drop index if exists ix_changes_leaving")
    op.drop_index("ix_replies_open_of", "replies")
    op.drop_column("replies", "asker_id")
    op.drop_table("stranger_adds")
    op.drop_table("chat_refusals")
