"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from app.adapters.store import tables as t

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NAMES = sa.JSON().with_variant(postgresql.ARRAY(sa.Text()), "postgresql")
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

BATCHES = """
create table batches (
    xid xid8 primary key default pg_current_xact_id(),
    heads jsonb not null,
    users jsonb not null,
    refused jsonb not null,
    revoked jsonb not null
)
"""


def upgrade() -> None:
    op.create_table(
        "bans",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("banned_at", t.Time(), nullable=False),
        sa.Column("banned_by", ID, nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name=op.f("pk_bans")),
    )
    op.create_table(
        "changes",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("command_id", ID, nullable=True),
        sa.Column("message_id", ID, nullable=True),
        sa.Column("data", JSON, nullable=True),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_changes_seq")),
        sa.PrimaryKeyConstraint("chat_id", "seq", name=op.f("pk_changes")),
    )
    op.create_table(
        "chats",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.Column("created_by", ID, nullable=False),
        sa.Column("head", BIG, nullable=False),
        sa.Column("members_count", sa.Integer(), nullable=False),
        sa.Column("last_at", t.Time(), nullable=False),
        sa.Column("assistant_id", ID, nullable=True),
        sa.Column("assistant_model", sa.Text(), nullable=True),
        sa.Column("assistant_instructions", sa.Text(), nullable=True),
        sa.CheckConstraint("kind in ('direct', 'group', 'assistant')", name=op.f("ck_chats_kind")),
        sa.CheckConstraint("head >= 1", name=op.f("ck_chats_head")),
        sa.CheckConstraint("members_count >= 0", name=op.f("ck_chats_members_count")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chats")),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "members",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("muted_until", t.Time(), nullable=True),
        sa.Column("joined_at", t.Time(), nullable=False),
        sa.Column("joined_seq", BIG, nullable=False),
        sa.CheckConstraint("role in ('owner', 'admin', 'member', 'reader')", name=op.f("ck_members_role")),
        sa.PrimaryKeyConstraint("chat_id", "user_id", name=op.f("pk_members")),
    )
    op.create_index(op.f("ix_members_user_id"), "members", ["user_id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("seq", BIG, autoincrement=False, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("sender_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("client_message_id", ID, nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("reply_to", ID, nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.Column("edited_at", t.Time(), nullable=True),
        sa.Column("deleted_at", t.Time(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("regenerates", ID, nullable=True),
        sa.Column("failure", JSON, nullable=True),
        sa.Column("usage", JSON, nullable=True),
        sa.Column("command_id", ID, nullable=True),
        sa.CheckConstraint(
            "(kind = 'user') = (client_message_id is not null)", name=op.f("ck_messages_client_message_id")
        ),
        sa.CheckConstraint("status in ('pending', 'complete', 'stopped', 'failed')", name=op.f("ck_messages_status")),
        sa.CheckConstraint("(body is null) = (deleted_at is not null)", name=op.f("ck_messages_tombstone")),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_messages_seq")),
        sa.PrimaryKeyConstraint("chat_id", "seq", name=op.f("pk_messages")),
        sa.UniqueConstraint("chat_id", "id", name=op.f("uq_messages_chat_id_id")),
        sa.UniqueConstraint(
            "chat_id", "sender_id", "client_message_id", name=op.f("uq_messages_chat_id_sender_id_client_message_id")
        ),
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "outcomes",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("seq", BIG, nullable=True),
        sa.Column("code", sa.String(length=32), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("policies", NAMES, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.CheckConstraint("code is null or seq is null", name=op.f("ck_outcomes_one_end")),
        sa.PrimaryKeyConstraint("chat_id", "actor_id", "id", name=op.f("pk_outcomes")),
    )
    op.create_table(
        "reactions",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("emoji", sa.String(length=16), nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "message_id", "emoji", "user_id", name=op.f("pk_reactions")),
    )
    op.create_table(
        "reads",
        sa.Column("user_id", ID, nullable=False),
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "chat_id", name=op.f("pk_reads")),
    )
    op.create_table(
        "replies",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("message_id", ID, nullable=False),
        sa.Column("question_id", ID, nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.Column("lease_until", t.Time(), nullable=True),
        sa.Column("asked_at", t.Time(), nullable=False),
        sa.Column("progress_at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "message_id", name=op.f("pk_replies")),
    )
    op.create_index(
        "ix_replies_open",
        "replies",
        ["asked_at"],
        unique=False,
        sqlite_where=sa.text("not finished"),
        postgresql_where=sa.text("not finished"),
    )
    op.create_index("ix_replies_question", "replies", ["chat_id", "question_id"], unique=False)
    op.create_table(
        "shards",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shards")),
    )
    op.create_table(
        "suspects",
        sa.Column("chat_id", ID, nullable=False),
        sa.Column("actor_id", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "actor_id", "id", name=op.f("pk_suspects")),
    )
    op.create_table(
        "users",
        sa.Column("id", ID, nullable=False),
        sa.Column("username", sa.String(length=32), nullable=False),
        sa.Column("display_name", sa.String(length=100), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("role", sa.String(length=16), server_default="user", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("preferences", JSON, nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.CheckConstraint("kind in ('human', 'assistant')", name=op.f("ck_users_kind")),
        sa.CheckConstraint("role in ('user', 'operator')", name=op.f("ck_users_role")),
        sa.CheckConstraint("username = lower(username)", name=op.f("ck_users_username_lower")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("seen_at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", ID, nullable=False),
        sa.Column("user_id", ID, nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.Column("ended_at", t.Time(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)
    op.create_table(
        "refresh_tokens",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("session_id", ID, nullable=False),
        sa.Column("expires_at", t.Time(), nullable=False),
        sa.Column("used_at", t.Time(), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_refresh_tokens_session_id")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_refresh_tokens")),
    )
    op.create_index(op.f("ix_refresh_tokens_session_id"), "refresh_tokens", ["session_id"], unique=False)
    op.create_table(
        "tickets",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("session_id", ID, nullable=False),
        sa.Column("expires_at", t.Time(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name=op.f("fk_tickets_session_id")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_tickets")),
    )
    kept = sa.text("code is not null or seq is null")
    op.create_index("ix_outcomes_kept_24h", "outcomes", ["at"], sqlite_where=kept, postgresql_where=kept)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(BATCHES)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop table batches")
    op.drop_table("tickets")
    op.drop_index(op.f("ix_refresh_tokens_session_id"), table_name="refresh_tokens")
    op.drop_table("refresh_tokens")
    op.drop_index(op.f("ix_sessions_user_id"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_table("workers")
    op.drop_table("users")
    op.drop_table("suspects")
    op.drop_table("shards")
    op.drop_index("ix_replies_question", table_name="replies")
    op.drop_index(
        "ix_replies_open",
        table_name="replies",
        sqlite_where=sa.text("not finished"),
        postgresql_where=sa.text("not finished"),
    )
    op.drop_table("replies")
    op.drop_table("reads")
    op.drop_table("reactions")
    op.drop_table("outcomes")
    op.drop_table("meta")
    op.drop_table("messages")
    op.drop_index(op.f("ix_members_user_id"), table_name="members")
    op.drop_table("members")
    op.drop_table("chats")
    op.drop_table("changes")
    op.drop_table("bans")
