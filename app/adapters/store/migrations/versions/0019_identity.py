"""Bots, keys, invitations, links for forgotten passwords, and whom other issuers and a host's backend mean."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.adapters.store import tables as t

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_KINDS, _KINDS_BEFORE = "kind in ('human', 'assistant', 'bot')", "kind in ('human', 'assistant')"


def upgrade() -> None:
    _check_kind(_KINDS_BEFORE, _KINDS)
    op.add_column("users", sa.Column("email", sa.String(254)))
    op.add_column("users", sa.Column("external_id", sa.String(255)))
    op.add_column("users", sa.Column("attributes", t.Json))
    op.add_column("users", sa.Column("made_by", t.Id))
    op.add_column("users", sa.Column("erased_at", t.Time()))
    op.add_column("messages", sa.Column("via", t.Json))
    op.create_table(
        "external_chats",
        sa.Column("external_id", sa.String(255), primary_key=True),
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
    )
    op.add_column("sessions", sa.Column("is_key", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("sessions", sa.Column("issuer", sa.Text()))
    op.add_column("sessions", sa.Column("issuer_session", sa.Text()))
    op.create_table(
        "keys",
        sa.Column("id", t.Id, primary_key=True),
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("service", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("scopes", t.Names, nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.Column("expires_at", t.Time()),
        sa.Column("last_used_at", t.Time()),
        sa.UniqueConstraint("hash", name=op.f("uq_keys_hash")),
    )
    op.create_index("ix_keys_user_id", "keys", ["user_id"])
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.Column("signed_out_at", t.Time()),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "invitations",
        sa.Column("code", sa.String(64), primary_key=True),
        sa.Column("chat_id", t.Id),
        sa.Column("made_by", t.Id, nullable=False),
        sa.Column("created_at", t.Time(), nullable=False),
        sa.Column("expires_at", t.Time()),
        sa.Column("uses", sa.Integer()),
    )
    op.create_index("ix_invitations_made_by", "invitations", ["made_by"])
    op.create_table(
        "invited",
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.PrimaryKeyConstraint("code", "user_id", name=op.f("pk_invited")),
    )
    op.create_table(
        "one_time_codes",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("user_id", t.Id, nullable=False),
        sa.Column("expires_at", t.Time(), nullable=False),
        sa.Column("details", t.Json, nullable=False),
    )
    op.create_index("ix_one_time_codes_user_id", "one_time_codes", ["user_id"])
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("facts", t.Json, nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("policies", t.Names, nullable=False),
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("actor_id", t.Id, nullable=False),
        sa.Column("command_id", t.Id, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("at", t.Time(), nullable=False),
        sa.Column("count", t.BigInt, nullable=False),
    )
    op.create_index("ix_decisions_at", "decisions", ["at"])
    if op.get_bind().dialect.name == "sqlite":  # on PostgreSQL beside the traffic: CONCURRENT_INDEXES
        for name, (table, column) in _OF_FEW.items():
            op.create_index(name, table, [column], sqlite_where=sa.text(f"{column} is not null"))


_OF_FEW = {
    "ix_sessions_issuer_session": ("sessions", "issuer_session"),
    "ix_users_made_by": ("users", "made_by"),
}


def downgrade() -> None:
    for name in _OF_FEW:
        op.execute(f"drop index if exists {name}")
    op.drop_column("messages", "via")
    for table in ("decisions", "external_chats", "one_time_codes", "invited", "invitations", "identities", "keys"):
        op.drop_table(table)
    for column in ("issuer_session", "issuer", "is_key"):
        op.drop_column("sessions", column)
    for column in ("erased_at", "made_by", "attributes", "external_id", "email"):
        op.drop_column("users", column)
    op.execute("update users set kind = 'human', disabled = true where kind = 'bot'")
    _check_kind(_KINDS, _KINDS_BEFORE)


def _check_kind(before: str, after: str) -> None:
    """SQLite has no statement for it; what its documentation says of changes that touch no row is to change the table's own
    text (https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes")."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute("alter table users drop constraint ck_users_kind")
        op.execute(f"alter table users add constraint ck_users_kind check ({after}) not valid")
        return
    version = op.get_bind().scalar(sa.text("pragma schema_version"))
    op.execute("pragma writable_schema = on")
    op.get_bind().execute(
        sa.text("update sqlite_schema set sql = replace(sql, :before, :after) where type = 'table' and name = 'users'"),
        {"before": before, "after": after},
    )
    op.execute(f"pragma schema_version = {version + 1}")
    op.execute("pragma writable_schema = off")
