"""Names as they are compared, filled beside the service (`Accounts.fold_names`); and who hides a chat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("folded_name", sa.Text()))
    if op.get_bind().dialect.name == "sqlite":  # on PostgreSQL beside the traffic: CONCURRENT_INDEXES in migrate.py
        op.create_index("ix_users_folded_name", "users", ["folded_name"])
        op.create_index("ix_users_username_pattern", "users", ["username"])
    op.create_table(
        "hidden_chats",
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("seq", t.BigInt, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "chat_id", name=op.f("pk_hidden_chats")),
    )


def downgrade() -> None:
    op.drop_table("hidden_chats")
    op.execute("drop index if exists ix_users_username_pattern")
    op.execute("drop index if exists ix_users_folded_name")
    op.drop_column("users", "folded_name")
