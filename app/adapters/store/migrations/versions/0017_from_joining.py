"""From where on each member sees a chat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("members", sa.Column("sees_from", t.BigInt, nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("members", "sees_from")
