"""Pinned messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pins",
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("message_id", t.Id, nullable=False),
        sa.Column("seq", t.BigInt, nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_pins_seq")),
        sa.PrimaryKeyConstraint("chat_id", "message_id", name=op.f("pk_pins")),
    )


def downgrade() -> None:
    op.drop_table("pins")
