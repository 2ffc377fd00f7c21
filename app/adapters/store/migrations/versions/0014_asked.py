"""What one person asked, by time: for quotas and usage."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_replies_asked_by", "replies", ["asker_id", "asked_at"])


def downgrade() -> None:
    op.drop_index("ix_replies_asked_by", "replies")
