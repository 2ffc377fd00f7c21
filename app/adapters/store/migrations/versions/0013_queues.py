"""Questions in a row: the place of an answer whose turn hasn't come, and the open answers of one chat."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_OPEN = sa.text("not finished")


def upgrade() -> None:
    op.add_column("messages", sa.Column("queue", sa.Integer()))
    op.create_index("ix_replies_open_in", "replies", ["chat_id"], sqlite_where=_OPEN, postgresql_where=_OPEN)


def downgrade() -> None:
    op.drop_index("ix_replies_open_in", "replies")
    op.drop_column("messages", "queue")
