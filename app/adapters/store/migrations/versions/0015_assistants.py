"""Several assistants with their versions, who writes each reply, how assistants take part in groups, and prompts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assistant_versions",
        sa.Column("assistant_id", t.Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("display_name", sa.String(100), nullable=False),
        sa.Column("description", sa.Text(), nullable=False, server_default=""),
        sa.Column("model", sa.String(200)),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("parameters", t.Json, nullable=False),
        sa.Column("instructions", sa.Text()),
        sa.Column("asked_by", sa.String(16), nullable=False),
        sa.Column("listed", t.Names, nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.Column("created_by", t.Id),
        sa.PrimaryKeyConstraint("assistant_id", "version", name=op.f("pk_assistant_versions")),
    )
    op.create_table(
        "prompts",
        sa.Column("id", t.Id, nullable=False),
        sa.Column("owner_id", t.Id, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompts")),
    )
    op.create_index("ix_prompts_owner_id", "prompts", ["owner_id"])
    shared = sa.text("shared")
    op.create_index("ix_prompts_shared", "prompts", ["id"], sqlite_where=shared, postgresql_where=shared)
    op.add_column("members", sa.Column("attention", sa.String(16), nullable=False, server_default="addressed"))
    op.add_column("members", sa.Column("budget_per_hour", sa.Integer()))
    op.add_column("replies", sa.Column("assistant_id", t.Id))
    op.add_column("replies", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("replies", sa.Column("provider", sa.String(64), nullable=False, server_default=""))
    op.add_column("replies", sa.Column("by_itself", sa.Boolean(), nullable=False, server_default=sa.false()))
    if op.get_bind().dialect.name == "sqlite":  # on PostgreSQL beside the traffic: CONCURRENT_INDEXES
        ambient = sa.text("attention = 'ambient'")
        op.create_index("ix_members_ambient", "members", ["chat_id"], sqlite_where=ambient)
        op.create_index("ix_replies_spoken", "replies", ["chat_id", "assistant_id", "asked_at"])
    op.add_column("attempts", sa.Column("cost", sa.Float()))


def downgrade() -> None:
    op.drop_column("attempts", "cost")
    op.execute("drop index if exists ix_replies_spoken")
    for column in ("by_itself", "provider", "version", "assistant_id"):
        op.drop_column("replies", column)
    op.execute("drop index if exists ix_members_ambient")
    for column in ("budget_per_hour", "attention"):
        op.drop_column("members", column)
    op.drop_table("prompts")
    op.drop_table("assistant_versions")
