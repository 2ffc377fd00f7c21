"""How answers came about: each attempt, and which policies let the question be asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replies", sa.Column("policies", t.Names))
    op.create_table(
        "attempts",
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("message_id", t.Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", t.Time(), nullable=False),
        sa.Column("ended_at", t.Time()),
        sa.Column("end", sa.String(32)),
        sa.Column("said", sa.Text(), nullable=False, server_default=""),
        sa.Column("calls", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("first_token_ms", sa.Integer()),
        sa.Column("provider", sa.String(64), nullable=False, server_default=""),
        sa.Column("model", sa.String(200), nullable=False, server_default=""),
        sa.Column("parameters", t.Json),
        sa.Column("context", t.Json),
        sa.Column("prompt_tokens", t.BigInt),
        sa.Column("completion_tokens", t.BigInt),
        sa.PrimaryKeyConstraint("chat_id", "message_id", "attempt", name=op.f("pk_attempts")),
    )


def downgrade() -> None:
    op.drop_table("attempts")
    op.drop_column("replies", "policies")
