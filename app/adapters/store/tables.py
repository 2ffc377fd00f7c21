"""Tables. `chat_id` stands in every key of the log, so that it can be distributed by chat.

A chat's timeline is messages ∪ changes by seq: one insert for a message, and a log without gaps for all. `changes`
holds no text of a message, so that an erased body is nowhere else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Time(sa.types.TypeDecorator[datetime]):
    """A moment in UTC: timestamptz on PostgreSQL; on SQLite a text that sorts as time does."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(27))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return datetime.fromisoformat(value) if isinstance(value, str) else value


Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
Names = sa.JSON().with_variant(postgresql.ARRAY(sa.Text()), "postgresql")
Words = sa.Text().with_variant(postgresql.ARRAY(sa.Text(collation="C")), "postgresql")
BigInt = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _where(condition: str) -> dict[str, Any]:
    """An index of those rows alone."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


meta = sa.Table("meta", metadata, sa.Column("key", sa.String(64), primary_key=True), sa.Column("value", sa.Text()))

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("username", sa.String(32), nullable=False, unique=True),
    sa.Column("display_name", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("role", sa.String(16), nullable=False, server_default="user"),
    sa.Column("password_hash", sa.Text()),
    sa.Column("preferences", Json, nullable=False),
    sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("folded_name", sa.Text()),
    sa.Column("quotas", Json),
    sa.Column("email", sa.String(254)),
    sa.Column("external_id", sa.String(255)),
    sa.Column("attributes", Json),
    sa.Column("made_by", Id),
    sa.Column("erased_at", Time()),
    sa.Index("ix_users_folded_name", "folded_name", postgresql_ops={"folded_name": "text_pattern_ops"}),
    sa.Index("ix_users_username_pattern", "username", postgresql_ops={"username": "text_pattern_ops"}),
    sa.CheckConstraint("username = lower(username)", name="username_lower"),
    sa.Index("ix_users_made_by", "made_by", **_where("made_by is not null")),
    sa.CheckConstraint("kind in ('human', 'assistant', 'bot')", name="kind"),
    sa.CheckConstraint("role in ('user', 'operator')", name="role"),
)
"""folded_name: the display name as it is compared (`domain.text.folded`); none yet in rows of older versions. external_id: the
person's in the host's own product. attributes: what the host, or an issuer, says of them. made_by: of a bot."""

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("user_id", Id, sa.ForeignKey("users.id"), nullable=False, index=True),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("ended_at", Time()),
    sa.Column("last_used_at", Time()),
    sa.Column("client", sa.String(200), nullable=False, server_default=""),
    sa.Column("is_key", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Column("issuer", sa.Text()),
    sa.Column("issuer_session", sa.Text()),
    sa.Index("ix_sessions_issuer_session", "issuer_session", **_where("issuer_session is not null")),
)
"""last_used_at: of its last refresh. client: what the program called itself when it signed in. is_key: a key's, as long as
the key is good. issuer, issuer_session: of one that another issuer vouched for: who, and what it calls the session."""

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("user_id", Id, nullable=False, index=True),
    sa.Column("service", sa.Boolean(), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("prefix", sa.String(32), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", Names, nullable=False),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("expires_at", Time()),
    sa.Column("last_used_at", Time()),
)
"""A key is a session of its user that is named by a hash in place of tokens: the two have one id."""

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("issuer", sa.Text(), primary_key=True),
    sa.Column("subject", sa.Text(), primary_key=True),
    sa.Column("user_id", Id, nullable=False, index=True),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("signed_out_at", Time()),
)
"""Whom an issuer's subject means, for ever. signed_out_at: what was issued before is good no more."""

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("facts", Json, nullable=False),
    sa.Column("allowed", sa.Boolean(), nullable=False),
    sa.Column("policies", Names, nullable=False),
    sa.Column("chat_id", Id, nullable=False),
    sa.Column("actor_id", Id, nullable=False),
    sa.Column("command_id", Id, nullable=False),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("at", Time(), nullable=False, index=True),
    sa.Column("count", BigInt, nullable=False),
)
"""What policies were asked of late, each question once, with its newest command. id: a hash of action and facts."""

external_chats = sa.Table(
    "external_chats",
    metadata,
    sa.Column("external_id", sa.String(255), primary_key=True),
    sa.Column("chat_id", Id, nullable=False),
    sa.Column("created_at", Time(), nullable=False),
)
"""What a host calls its chats."""

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("chat_id", Id),
    sa.Column("made_by", Id, nullable=False, index=True),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("expires_at", Time()),
    sa.Column("uses", sa.Integer()),
)
"""chat_id: none for one into the service. uses: how many may come by it; none for any number."""

invited = sa.Table(
    "invited",
    metadata,
    sa.Column("code", sa.String(64), primary_key=True),
    sa.Column("user_id", Id, primary_key=True),
    sa.Column("at", Time(), nullable=False),
)
"""Who came by an invitation."""

one_time_codes = sa.Table(
    "one_time_codes",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("purpose", sa.String(16), nullable=False),
    sa.Column("user_id", Id, nullable=False, index=True),
    sa.Column("expires_at", Time(), nullable=False),
    sa.Column("details", Json, nullable=False),
)
"""purpose: password (a link to set a new one), sign_in (behind another issuer's page)."""

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", Time(), nullable=False),
    sa.Column("actor_id", Id),
    sa.Column("act", sa.String(64), nullable=False),
    sa.Column("target_id", Id),
    sa.Column("details", Json, nullable=False),
)
"""What operators did. actor_id: none for who did it at the command line. Ids grow with time."""

refresh_tokens = sa.Table(
    "refresh_tokens",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("session_id", Id, sa.ForeignKey("sessions.id"), nullable=False, index=True),
    sa.Column("expires_at", Time(), nullable=False),
    sa.Column("used_at", Time()),
)

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("session_id", Id, sa.ForeignKey("sessions.id"), nullable=False),
    sa.Column("expires_at", Time(), nullable=False),
)

shards = sa.Table("shards", metadata, sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False))

chats = sa.Table(
    "chats",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("title", sa.String(200)),
    sa.Column("archived", sa.Boolean(), nullable=False),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("created_by", Id, nullable=False),
    sa.Column("head", BigInt, nullable=False),
    sa.Column("members_count", sa.Integer(), nullable=False),
    sa.Column("last_at", Time(), nullable=False),
    sa.Column("assistant_id", Id),
    sa.Column("assistant_model", sa.Text()),
    sa.Column("assistant_instructions", sa.Text()),
    sa.Column("terms", Json),
    sa.CheckConstraint("kind in ('direct', 'group', 'assistant')", name="kind"),
    sa.CheckConstraint("head >= 1", name="head"),
    sa.CheckConstraint("members_count >= 0", name="members_count"),
    postgresql_with={"fillfactor": 50},
)
"""last_at: of the newest event."""

members = sa.Table(
    "members",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("user_id", Id, primary_key=True, index=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("muted_until", Time()),
    sa.Column("joined_at", Time(), nullable=False),
    sa.Column("joined_seq", BigInt, nullable=False),
    sa.Column("attention", sa.String(16), nullable=False, server_default="addressed"),
    sa.Column("budget_per_hour", sa.Integer()),
    sa.Column("sees_from", BigInt, nullable=False, server_default="0"),
    sa.Index(
        "ix_members_ambient",
        "chat_id",
        sqlite_where=sa.text("attention = 'ambient'"),
        postgresql_where=sa.text("attention = 'ambient'"),
    ),
    sa.CheckConstraint("role in ('owner', 'admin', 'member', 'reader')", name="role"),
)

bans = sa.Table(
    "bans",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("user_id", Id, primary_key=True),
    sa.Column("banned_at", Time(), nullable=False),
    sa.Column("banned_by", Id, nullable=False),
    sa.Column("until", Time()),
)
"""until: when it is over by itself; none for ever."""

reports = sa.Table(
    "reports",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", Time(), nullable=False),
    sa.Column("chat_id", Id, nullable=False),
    sa.Column("message_id", Id, nullable=False),
    sa.Column("reporter_id", Id, nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("closed_at", Time()),
    sa.Column("closed_by", Id),
    sa.Column("note", sa.Text()),
    sa.UniqueConstraint("chat_id", "message_id", "reporter_id"),
)
"""What people told operators of a message. Ids grow with time."""

chat_refusals = sa.Table(
    "chat_refusals",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("user_id", Id, primary_key=True),
    sa.Column("at", Time(), nullable=False),
)
"""Who doesn't want to be added to a chat again."""

hidden_chats = sa.Table(
    "hidden_chats",
    metadata,
    sa.Column("user_id", Id, primary_key=True),
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("seq", BigInt, nullable=False),
)
"""Who doesn't see a chat in their list, until it is spoken in again behind this seq, or they come anew."""

stranger_adds = sa.Table(
    "stranger_adds",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("user_id", Id, primary_key=True),
    sa.Column("seq", BigInt, primary_key=True, autoincrement=False),
    sa.Column("at", Time(), nullable=False, index=True),
    sa.Index("ix_stranger_adds_user_id_at", "user_id", "at"),
)
"""Who was added by a person who shared no chat with them: seq is the event's. Looked at for an hour, kept for a day."""

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", Time(), nullable=False, index=True),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
)
"""What we had signed and can't read, as it came."""

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("seq", BigInt, primary_key=True, autoincrement=False),
    sa.Column("id", Id, nullable=False),
    sa.Column("sender_id", Id, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("client_message_id", Id),
    sa.Column("body", sa.Text()),
    sa.Column("reply_to", Id),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("edited_at", Time()),
    sa.Column("deleted_at", Time()),
    sa.Column("attempt", sa.Integer()),
    sa.Column("regenerates", Id),
    sa.Column("failure", Json),
    sa.Column("usage", Json),
    sa.Column("queue", sa.Integer()),
    sa.Column("command_id", Id),
    sa.Column("parent_id", Id),
    sa.Column("via", Json),
    sa.UniqueConstraint("chat_id", "id"),
    sa.UniqueConstraint("chat_id", "sender_id", "client_message_id"),
    sa.CheckConstraint("seq >= 1", name="seq"),
    sa.CheckConstraint("(body is null) = (deleted_at is not null)", name="tombstone"),
    sa.CheckConstraint("status in ('pending', 'complete', 'stopped', 'failed')", name="status"),
    sa.CheckConstraint("(kind = 'user') = (client_message_id is not null)", name="client_message_id"),
)

message_words = sa.Table(
    "message_words",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("message_id", Id, primary_key=True),
    sa.Column("words", Words, nullable=False),
    sa.Index("ix_message_words_words", "words", postgresql_using="gin"),
    sa.Index("ix_message_words_message_id", "message_id"),
)
"""A row of each message: what it is found by (`domain.text.terms`; of a deleted one nothing), on SQLite one text, behind a
full text index; and which chat it is in."""

indexed = sa.Table(
    "indexed",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("seq", BigInt, nullable=False),
    sa.Column("head", BigInt, nullable=False),
    sa.Column("low", BigInt, nullable=False),
)
"""How far the index of words has come: `word_index.py`."""

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("seq", BigInt, primary_key=True, autoincrement=False),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("at", Time(), nullable=False),
    sa.Column("actor_id", Id, nullable=False),
    sa.Column("command_id", Id),
    sa.Column("message_id", Id),
    sa.Column("data", Json),
    sa.Index(
        "ix_changes_remarks",
        "chat_id",
        "message_id",
        sqlite_where=sa.text("type = 'reply.steered'"),
        postgresql_where=sa.text("type = 'reply.steered'"),
    ),
    sa.CheckConstraint("seq >= 1", name="seq"),
)

reactions = sa.Table(
    "reactions",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("message_id", Id, primary_key=True),
    sa.Column("emoji", sa.String(16), primary_key=True),
    sa.Column("user_id", Id, primary_key=True),
    sa.Column("seq", BigInt, nullable=False),
)

pins = sa.Table(
    "pins",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("message_id", Id, primary_key=True),
    sa.Column("seq", BigInt, nullable=False),
    sa.CheckConstraint("seq >= 1", name="seq"),
)
"""seq: of the event that pinned it."""

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("actor_id", Id, primary_key=True),
    sa.Column("id", Id, primary_key=True),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("seq", BigInt),
    sa.Column("code", sa.String(32)),
    sa.Column("reason", sa.Text(), nullable=False, server_default=""),
    sa.Column("policies", Names, nullable=False),
    sa.Column("at", Time(), nullable=False),
    sa.CheckConstraint("code is null or seq is null", name="one_end"),
    sa.Index(
        "ix_outcomes_kept_24h",
        "at",
        sqlite_where=sa.text("code is not null or seq is null"),
        postgresql_where=sa.text("code is not null or seq is null"),
    ),
)

replies = sa.Table(
    "replies",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("message_id", Id, primary_key=True),
    sa.Column("question_id", Id, nullable=False),
    sa.Column("finished", sa.Boolean(), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("stop_requested", sa.Boolean(), nullable=False),
    sa.Column("holder", sa.String(64)),
    sa.Column("lease_until", Time()),
    sa.Column("asked_at", Time(), nullable=False),
    sa.Column("progress_at", Time(), nullable=False),
    sa.Column("trace", sa.String(64), nullable=False, server_default=""),
    sa.Column("asker_id", Id),
    sa.Column("policies", Names),
    sa.Column("assistant_id", Id),
    sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
    sa.Column("provider", sa.String(64), nullable=False, server_default=""),
    sa.Column("reserved_tokens", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("remarks", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("by_itself", sa.Boolean(), nullable=False, server_default=sa.false()),
    sa.Index("ix_replies_spoken", "chat_id", "assistant_id", "asked_at"),
    sa.Index(
        "ix_replies_open_of",
        "asker_id",
        sqlite_where=sa.text("not finished"),
        postgresql_where=sa.text("not finished"),
    ),
    sa.Index(
        "ix_replies_open", "asked_at", sqlite_where=sa.text("not finished"), postgresql_where=sa.text("not finished")
    ),
    sa.Index("ix_replies_question", "chat_id", "question_id"),
    sa.Index("ix_replies_asked_by", "asker_id", "asked_at"),
    sa.Index(
        "ix_replies_open_in", "chat_id", sqlite_where=sa.text("not finished"), postgresql_where=sa.text("not finished")
    ),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("message_id", Id, primary_key=True),
    sa.Column("attempt", sa.Integer(), primary_key=True),
    sa.Column("started_at", Time(), nullable=False),
    sa.Column("ended_at", Time()),
    sa.Column("end", sa.String(32)),
    sa.Column("said", sa.Text(), nullable=False, server_default=""),
    sa.Column("calls", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("first_token_ms", sa.Integer()),
    sa.Column("provider", sa.String(64), nullable=False, server_default=""),
    sa.Column("model", sa.String(200), nullable=False, server_default=""),
    sa.Column("parameters", Json),
    sa.Column("context", Json),
    sa.Column("prompt_tokens", BigInt),
    sa.Column("completion_tokens", BigInt),
    sa.Column("cost", sa.Float()),
    sa.Column("summary_id", Id),
)
"""How answers came about: each time that one was taken up. context: [[seq, message id]] that were sent. summary_id: of
the summary that was sent with them."""

summaries = sa.Table(
    "summaries",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("chat_id", Id, nullable=False),
    sa.Column("message_id", Id, nullable=False),
    sa.Column("from_seq", BigInt, nullable=False),
    sa.Column("to_seq", BigInt, nullable=False),
    sa.Column("body", sa.Text(), nullable=False),
    sa.Column("made_at", Time(), nullable=False),
    sa.Index("ix_summaries_chat", "chat_id", "to_seq"),
)
"""What was said in long chats, for assistants: from one seq through that of message_id. Gone when a message of it changes: a
trigger takes it, so that no process forgets that."""

assistant_versions = sa.Table(
    "assistant_versions",
    metadata,
    sa.Column("assistant_id", Id, primary_key=True),
    sa.Column("version", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("display_name", sa.String(100), nullable=False),
    sa.Column("description", sa.Text(), nullable=False, server_default=""),
    sa.Column("model", sa.String(200)),
    sa.Column("provider", sa.String(64), nullable=False),
    sa.Column("parameters", Json, nullable=False),
    sa.Column("instructions", sa.Text()),
    sa.Column("asked_by", sa.String(16), nullable=False),
    sa.Column("listed", Names, nullable=False),
    sa.Column("created_at", Time(), nullable=False),
    sa.Column("created_by", Id),
)
"""The highest version of an assistant is the one that answers; one that is no more is a disabled user."""

prompts = sa.Table(
    "prompts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("owner_id", Id, nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("text", sa.Text(), nullable=False),
    sa.Column("shared", sa.Boolean(), nullable=False),
    sa.Column("created_at", Time(), nullable=False),
    sa.Index("ix_prompts_shared", "id", sqlite_where=sa.text("shared"), postgresql_where=sa.text("shared")),
)

reads = sa.Table(
    "reads",
    metadata,
    sa.Column("user_id", Id, primary_key=True),
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("seq", BigInt, nullable=False),
)

suspects = sa.Table(
    "suspects",
    metadata,
    sa.Column("chat_id", Id, primary_key=True),
    sa.Column("actor_id", Id, primary_key=True),
    sa.Column("id", Id, primary_key=True),
    sa.Column("tries", sa.Integer(), nullable=False),
    sa.Column("at", Time(), nullable=False),
)
"""Commands of deliveries that came back again and again: each try is noted before it is made."""

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("seen_at", Time(), nullable=False),
)
"""Which workers live, for the fair sharing of shards."""
