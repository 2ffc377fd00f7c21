"""The words of messages, cut and folded by the program (`domain.text.terms`), indexed behind the commit (`WordIndex`).

What was there before is indexed beside the service. On PostgreSQL the index of before goes when that is done
(`OBSOLETE_INDEXES` in migrate.py): older versions beside us search by it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import postgresql

from app.adapters.store import tables as t

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SQLITE = (
    # A rowid that has a name is kept by VACUUM.
    "create table message_words (id integer primary key, chat_id varchar(36) not null, message_id varchar(36) not null,"
    " words text not null, unique (chat_id, message_id))",
    # Terms hold letters, digits and marks alone: this tokenizer takes them as they are, but for what is ASCII.
    "create virtual table message_search using fts5(words, content='message_words', content_rowid='id', tokenize='ascii',"
    " detail='none')",
    "create trigger message_words_inserted after insert on message_words begin"
    " insert into message_search (rowid, words) values (new.id, new.words); end",
    "create trigger message_words_updated after update of words on message_words begin"
    " insert into message_search (message_search, rowid, words) values ('delete', old.id, old.words);"
    " insert into message_search (rowid, words) values (new.id, new.words); end",
    "create trigger message_words_deleted after delete on message_words begin"
    " insert into message_search (message_search, rowid, words) values ('delete', old.id, old.words); end",
)


def upgrade() -> None:
    op.create_table(
        "indexed",
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("seq", t.BigInt, nullable=False),
        sa.Column("head", t.BigInt, nullable=False),
        sa.Column("low", t.BigInt, nullable=False),
        sa.PrimaryKeyConstraint("chat_id", name=op.f("pk_indexed")),
    )
    op.execute("create index ix_indexed_new on indexed (chat_id) where head > seq")
    op.execute("create index ix_indexed_low on indexed (chat_id) where low > 0")
    op.execute("insert into meta (key, value) values ('indexed', '')")
    if op.get_bind().dialect.name == "sqlite":
        for name in ("inserted", "updated", "deleted"):
            op.execute(f"drop trigger search_{name}")
        op.execute("drop table search")
        for statement in SQLITE:
            op.execute(statement)
        op.create_index("ix_message_words_message_id", "message_words", ["message_id"])
        return
    op.create_table(
        "message_words",
        sa.Column("chat_id", t.Id, nullable=False),
        sa.Column("message_id", t.Id, nullable=False),
        sa.Column("words", postgresql.ARRAY(sa.Text(collation="C")), nullable=False),
        sa.PrimaryKeyConstraint("chat_id", "message_id", name=op.f("pk_message_words")),
    )
    op.create_index("ix_message_words_words", "message_words", ["words"], postgresql_using="gin")
    op.create_index("ix_message_words_message_id", "message_words", ["message_id"])


def downgrade() -> None:
    op.execute("delete from meta where key = 'indexed'")
    op.drop_table("indexed")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("drop table message_search")
        op.drop_table("message_words")
        for statement in _before().SQLITE:
            op.execute(statement)
        return
    op.drop_table("message_words")


def _before() -> Any:
    return context.script.get_revision("0003").module
