"""Sessions that can be told apart, and a record of what operators do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("last_used_at", t.Time(), nullable=True))
    op.add_column("sessions", sa.Column("client", sa.String(200), server_default="", nullable=False))
    op.create_table(
        "audit",
        sa.Column("id", t.Id, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.Column("actor_id", t.Id, nullable=True),
        sa.Column("act", sa.String(64), nullable=False),
        sa.Column("target_id", t.Id, nullable=True),
        sa.Column("details", t.Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )


def downgrade() -> None:
    op.drop_table("audit")
    op.drop_column("sessions", "client")
    op.drop_column("sessions", "last_used_at")
