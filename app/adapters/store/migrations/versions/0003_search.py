"""Full text of messages: an index of words, kept by the database itself in the message's own transaction."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQLITE = (
    "create virtual table search using fts5(body, content='messages', content_rowid='rowid',"
    " tokenize=\"unicode61 remove_diacritics 0 categories 'L* N* M* Co'\")",
    "create trigger search_inserted after insert on messages begin"
    " insert into search (rowid, body) values (new.rowid, new.body); end",
    "create trigger search_updated after update of body on messages begin"
    " insert into search (search, rowid, body) values ('delete', old.rowid, old.body);"
    " insert into search (rowid, body) values (new.rowid, new.body); end",
    "create trigger search_deleted after delete on messages begin"
    " insert into search (search, rowid, body) values ('delete', old.rowid, old.body); end",
    "insert into search (search) values ('rebuild')",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        return  # built beside the traffic, for a large table: CONCURRENT_INDEXES in migrate.py
    for statement in SQLITE:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("drop index if exists ix_messages_words")
        return
    for name in ("inserted", "updated", "deleted"):
        op.execute(f"drop trigger search_{name}")
    op.execute("drop table search")
