"""A team's people and history from another service's export, on both databases: twice is once, and what was begun goes on."""

from __future__ import annotations

import csv
import json
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.adapters.imports.mattermost import Mattermost
from app.adapters.imports.slack import Slack
from app.adapters.imports.tables import Tables
from app.adapters.policy.cedar import CedarPolicies
from app.adapters.store.command_log import SqlCommandLog
from app.adapters.store.database import Database
from app.adapters.store.external import SqlExternal
from app.application.authorize import Pep
from app.application.importing import Brought, Importing
from app.application.ports.errors import Transient
from app.application.ports.origin import BadExport, Origin
from app.domain.fold import Limits
from app.infrastructure.wiring import POLICIES, new_id
from tests.contracts.store_setting import Store

START = datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)
TABLES = ("users", "chats", "members", "messages", "changes", "reads")


class Broken(SqlCommandLog):
    """A store that goes away after so many transactions."""

    def __init__(self, database: Database, after: int) -> None:
        super().__init__(database)
        self.left = after

    def transaction(self, shards: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().transaction(shards)


async def bring(database: Database, origin: Origin, log: SqlCommandLog | None = None) -> Brought:
    actor = await Store(database).person()
    importing = Importing(
        SqlExternal(database), log or SqlCommandLog(database), Pep(CedarPolicies(POLICIES)).ask, new_id, 8, Limits(10_000), actor
    )  # fmt: skip
    return await importing.bring(origin, lambda words: None)


async def state(database: Database) -> dict[str, set[tuple[Any, ...]]]:
    """All that there is, but for who brought it and when that was."""
    columns = {
        "users": "username, display_name, email, disabled, external_id", "chats": "id, kind, title, head, members_count, created_at",
        "members": "chat_id, user_id, role", "messages": "chat_id, seq, id, sender_id, body, created_at, reply_to",
        "changes": "chat_id, seq, type", "reads": "chat_id, user_id, seq",
    }  # fmt: skip
    async with database.read() as connection:
        return {
            table: {tuple(row) for row in await connection.execute(sa.text(f"select {columns[table]} from {table}"))}
            for table in TABLES
        }


def brought_by_nobody(found: dict[str, set[tuple[Any, ...]]]) -> dict[str, set[tuple[Any, ...]]]:
    """The importers of the tests have no external id."""
    return found | {"users": {row for row in found["users"] if row[-1] is not None}}


def tables(folder: Path, people: int, chats: int, messages: int) -> Tables:
    """So many of each; messages of each chat."""
    rows: dict[str, list[list[Any]]] = {
        "people": [["id", "username", "display_name", "email", "disabled"]],
        "chats": [["id", "kind", "title", "created_at", "members"]],
        "messages": [["id", "chat_id", "sender_id", "created_at", "body", "reply_to"]],
    }
    rows["people"] += [
        [f"p{n}", f"person.{n}", f"Person {n}", f"p{n}@example.org", str(n % 50 == 49)] for n in range(people)
    ]
    for n in range(chats):
        of = [f"p{(n * 7 + k) % people}" for k in range(5)]
        of = [id_ for id_ in of if int(id_[1:]) % 50 != 49]
        rows["chats"].append([f"c{n}", "group", f"Chat {n}", START.isoformat(), f"{of[0]}:owner {' '.join(of[1:])}"])
        for m in range(messages):
            at = (START + timedelta(minutes=m)).isoformat()
            rows["messages"].append(
                [
                    f"m{n}.{m}",
                    f"c{n}",
                    of[m % len(of)],
                    at,
                    f"message {m}, ü\n@assistant",
                    f"m{n}.{m - 1}" if m % 3 == 1 else "",
                ]
            )
    folder.mkdir(exist_ok=True)
    for name, lines in rows.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    return Tables(folder)


async def test_a_thousand_people_and_a_hundred_chats_twice(database: Database, tmp_path: Path) -> None:
    origin = tables(tmp_path / "export", 1_000, 100, 12)
    first = await bring(database, origin)
    assert (first.people, first.chats, first.messages, first.there, first.left) == (1_000, 100, 1_200, 0, 0)
    after = brought_by_nobody(await state(database))
    second = await bring(database, tables(tmp_path / "export", 1_000, 100, 12))
    assert (second.people, second.chats, second.messages, second.left) == (0, 0, 0, 0) and second.there == 2_300
    assert brought_by_nobody(await state(database)) == after
    rows = sorted(row for row in after["messages"])
    by_chat: dict[Any, list[Any]] = {}
    for row in rows:
        by_chat.setdefault(row[0], []).append(row)
    assert all([row[1] for row in own] == list(range(2, 14)) for own in by_chat.values()), "one order, without a gap"
    ids = {row[2] for row in rows}
    assert all(row[6] in ids for row in rows if row[6] is not None), "what replies to something still does"
    async with database.read() as connection:
        times = set(await connection.scalars(sa.text("select created_at from messages")))
        opened = await connection.scalar(sa.text("select count(*) from replies"))
    assert len(times) == 12 and opened == 0, "its times stay, and nobody is asked"


async def test_what_was_broken_off_goes_on(database: Database, tmp_path: Path) -> None:
    origin = tables(tmp_path / "export", 40, 6, 450)
    for after in (0, 1, 3, 7, 12):
        with pytest.raises(KeyboardInterrupt):
            await bring(database, origin, Broken(database, after))
    last = await bring(database, origin)
    assert last.left == 0 and 0 < last.messages < 6 * 450
    found = brought_by_nobody(await state(database))
    assert len(found["messages"]) == 6 * 450 and len(found["chats"]) == 6 and len(found["users"]) == 40
    other = await bring(database, tables(tmp_path / "more", 40, 6, 460))
    assert other.messages == 6 * 10, "what came to it since is brought too"


async def test_what_cant_be_brought_is_told_and_the_rest_comes(database: Database, tmp_path: Path) -> None:
    origin = tables(tmp_path / "export", 10, 1, 3)
    with (tmp_path / "export" / "messages.csv").open("a") as file:
        file.write(f"x1,c0,nobody,{START.isoformat()},who,\nx2,c0,p0,{START.isoformat()},  ,\n")
    with (tmp_path / "export" / "chats.csv").open("a") as file:
        file.write(f"d1,direct,,{START.isoformat()},p0\nd2,direct,,{START.isoformat()},p0 p1\n")
    origin = Tables(tmp_path / "export")
    brought = await bring(database, origin)
    assert (brought.messages, brought.chats, brought.left) == (3, 2, 3) and len(brought.left_out) == 3


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("people.csv", "id,username\nx,y\n", "no column display_name"),
        ("messages.csv", "id,chat_id,sender_id,created_at,body\nm,c0,p0,yesterday,x\n", "messages.csv:2: created_at"),
        ("chats.csv", None, "chats.csv is missing"),
        ("people.csv", "id,username,display_name\n\xff", "people.csv"),
    ],
)
async def test_an_export_that_is_none_says_where(
    database: Database, tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    tables(tmp_path / "export", 3, 1, 1)
    path = tmp_path / "export" / name
    path.unlink() if text is None else path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadExport, match=words):
        await bring(database, Tables(tmp_path / "export"))


def mattermost(path: Path, zipped: bool) -> Mattermost:
    at = int(START.timestamp() * 1000)
    lines: list[dict[str, Any]] = [
        {"type": "version", "version": 1},
        {"type": "team", "team": {"name": "crew"}},
        {"type": "channel", "channel": {"team": "crew", "name": "tea", "display_name": "Tea", "type": "O"}},
        {"type": "user", "user": {"username": "ann", "email": "ann@example.org", "first_name": "Ann", "last_name": "A",
            "teams": [{"name": "crew", "channels": [{"name": "tea", "roles": "channel_user channel_admin"}]}]}},
        {"type": "user", "user": {"username": "ben", "nickname": "Benny", "teams": [{"name": "crew", "channels": [{"name": "tea", "roles": "channel_user"}]}]}},
        {"type": "post", "post": {"team": "crew", "channel": "tea", "user": "ann", "message": "later", "create_at": at + 9_000}},
        {"type": "post", "post": {"team": "crew", "channel": "tea", "user": "ann", "message": "first", "create_at": at,
            "replies": [{"user": "ben", "message": "an answer", "create_at": at + 1_000}]}},
        {"type": "direct_channel", "direct_channel": {"members": ["ben", "ann"]}},
        {"type": "direct_post", "direct_post": {"channel_members": ["ann", "ben"], "user": "ben", "message": "hush", "create_at": at}},
        {"type": "emoji", "emoji": {"name": "x"}},
    ]  # fmt: skip
    text = "\n".join(map(json.dumps, lines))
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("import.jsonl", text)
    else:
        path.write_text(text)
    return Mattermost(path)


@pytest.mark.parametrize("zipped", [False, True])
async def test_mattermost_s_export(database: Database, tmp_path: Path, zipped: bool) -> None:
    brought = await bring(database, mattermost(tmp_path / "export", zipped))
    assert (brought.people, brought.chats, brought.messages, brought.left) == (2, 2, 4, 0)
    found = await state(database)
    group = next(row for row in found["chats"] if row[1] == "group")
    said = sorted((row[1], row[4]) for row in found["messages"] if row[0] == group[0])
    assert [body for _, body in said] == ["first", "an answer", "later"] and group[2] == "Tea"
    assert {row[2] for row in found["members"] if row[0] == group[0]} == {"owner", "member"}
    assert {row[1] for row in found["users"] if row[-1]} == {"Ann A", "Benny"}
    again = await bring(database, mattermost(tmp_path / "export", zipped))
    assert (again.messages, again.there) == (0, 8)


def slack(folder: Path, zipped: bool) -> Slack:
    ts = START.timestamp()
    files: dict[str, Any] = {
        "users.json": [
            {"id": "U1", "name": "ann", "profile": {"real_name": "Ann A", "display_name": "", "email": "ann@example.org"}},
            {"id": "U2", "name": "ben", "deleted": True, "profile": {"display_name": "Benny"}},
        ],
        "channels.json": [{"id": "C1", "name": "tea", "created": ts, "creator": "U1", "members": ["U1"]}],
        "dms.json": [{"id": "D1", "created": ts, "members": ["U1", "U2"]}],
        "tea/2021-03-04.json": [
            {"type": "message", "user": "U1", "ts": f"{ts}00", "text": "Hello <@U2>, see <https://example.org|this> &amp; <#C1|tea>"},
            {"type": "message", "subtype": "channel_join", "user": "U1", "ts": f"{ts + 1}00", "text": "joined"},
            {"type": "message", "user": "U1", "ts": f"{ts + 2}00", "thread_ts": f"{ts}00", "text": "an answer", "files": [{"name": "a.pdf"}]},
        ],
        "tea/2021-03-05.json": [{"type": "message", "user": "U1", "ts": f"{ts + 90_000}00", "text": "<!here> the next day"}],
    }  # fmt: skip
    if zipped:
        with zipfile.ZipFile(folder, "w") as archive:
            for name, said in files.items():
                archive.writestr(name, json.dumps(said))
    else:
        for name, said in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(said))
    return Slack(folder)


@pytest.mark.parametrize("zipped", [False, True])
async def test_slack_s_export(database: Database, tmp_path: Path, zipped: bool) -> None:
    brought = await bring(database, slack(tmp_path / "export", zipped))
    assert (brought.people, brought.chats, brought.messages) == (2, 1, 3)
    assert brought.left == 1, "a direct chat with somebody who is gone"
    found = await state(database)
    bodies = [row[4] for row in sorted(found["messages"], key=lambda row: row[1])]
    assert bodies == ["Hello @ben, see [this](https://example.org) & #tea", "an answer\n[a.pdf]", "@here the next day"]
    replies = [row[6] for row in sorted(found["messages"], key=lambda row: row[1])]
    assert replies[1] is not None and replies[0] is replies[2] is None
    again = await bring(database, slack(tmp_path / "export", zipped))
    assert (again.messages, again.people) == (0, 0)


async def test_a_store_that_comes_back_is_waited_for(database: Database, tmp_path: Path) -> None:
    class Shaky(SqlCommandLog):
        failed = 0

        def transaction(self, shards: Any) -> Any:
            self.failed += 1
            if self.failed % 2:
                raise Transient("gone for a moment")
            return super().transaction(shards)

    brought = await bring(database, tables(tmp_path / "export", 10, 2, 5), Shaky(database))
    assert (brought.messages, brought.left) == (10, 0)
