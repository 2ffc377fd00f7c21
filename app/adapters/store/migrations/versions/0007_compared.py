"""What is compared is stored as it is compared: folded names, emoji in one form; when a chat was last spoken in, and who hides it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t
from app.domain.text import emoji_of

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("users", sa.Column("folded_name", sa.Text()))
    pattern = {"folded_name": "text_pattern_ops"} if op.get_bind().dialect.name == "postgresql" else {}
    op.create_index("ix_users_folded_name", "users", ["folded_name"], postgresql_ops=pattern)
    op.add_column("chats", sa.Column("spoken_at", t.Time()))
    op.create_table(
        "hidden_chats",
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "chat_id", name=op.f("pk_hidden_chats")),
    )
    _one_form_of_each_emoji()


def _one_form_of_each_emoji() -> None:
    connection = op.get_bind()
    for emoji in list(connection.scalars(sa.text("select distinct emoji from reactions"))):
        form = emoji_of(emoji)
        if form is None or form == emoji:
            continue
        names = {"emoji": emoji, "form": form}
        connection.execute(
            sa.text(
                "delete from reactions where emoji = :emoji and exists (select 1 from reactions r where r.emoji = :form"
                " and r.chat_id = reactions.chat_id and r.message_id = reactions.message_id"
                " and r.user_id = reactions.user_id)"
            ),
            names,
        )
        connection.execute(sa.text("update reactions set emoji = :form where emoji = :emoji"), names)


def downgrade() -> None:
    op.drop_table("hidden_chats")
    op.drop_column("chats", "spoken_at")
    op.drop_index("ix_users_folded_name", "users")
    op.drop_column("users", "folded_name")
