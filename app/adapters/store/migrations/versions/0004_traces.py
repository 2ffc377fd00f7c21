"""A reply's job knows the trace of the question, so that the answer shows in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("replies", sa.Column("trace", sa.String(64), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("replies", "trace")
