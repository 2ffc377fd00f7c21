"""Who may add whom to a chat."""

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
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("adder_id", t.Id, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "adder_id", name=op.f("pk_stranger_adds")),
    )
    op.create_index(op.f("ix_stranger_adds_at"), "stranger_adds", ["at"])


def downgrade() -> None:
    op.drop_table("stranger_adds")
    op.drop_table("chat_refusals")
