"""Judges the guarantees from clients' logs, the database and the model server's log: I1 to I5, I7, I8.

Of I6 it sees strangers alone; what a removed member hears is tested by scenarios.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from parley_client import Client


@dataclass
class Sent:
    """What one client sent to one chat, in order: ids, and how each ended for the client."""

    chat_id: str
    sender_id: str
    ids: list[str] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)


@dataclass
class Logs:
    """clients: by user id, whose `chats[…].events` are what they show. shown: (chat, seq) events of each client with
    repeats. deltas: of each client, the reply frames in order. refused_bodies: texts that must never be seen."""

    sent: list[Sent] = field(default_factory=list)
    clients: dict[str, Client] = field(default_factory=dict)
    deltas: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    outcomes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    accepted: list[tuple[str, str, str]] = field(default_factory=list)
    """(chat, sender, id) of what was accepted and never repeated."""
    strangers: list[dict[str, Any]] = field(default_factory=list)


async def check(database_url: str, logs: Logs, model_log: list[dict[str, Any]] | None = None) -> list[str]:
    """Every violation, in words."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction(isolation="repeatable_read"):
            facts = await _facts(connection)
    finally:
        await connection.close()
    return [
        *_nothing_lost(facts, logs),
        *_nothing_doubled(facts, logs),
        *_one_order(facts, logs),
        *_denied_is_nothing(facts, logs),
        *_one_answer(facts, model_log or []),
        *_replies_are_one_text(facts, logs),
        *(
            f"I6: a stranger got {frame['type']}"
            for frame in logs.strangers
            if "chat_id" in frame and frame["type"] not in ("accepted", "rejected", "error", "gone")
        ),
    ]


@dataclass
class Facts:
    heads: dict[str, int]
    seqs: dict[str, list[int]]
    messages: list[asyncpg.Record]
    outcomes: dict[str, asyncpg.Record]
    replies: list[asyncpg.Record]
    completed: Counter[str]


async def _facts(connection: asyncpg.Connection[asyncpg.Record]) -> Facts:
    heads = {str(r["id"]): r["head"] for r in await connection.fetch("select id, head from chats")}
    seqs: dict[str, list[int]] = {chat_id: [] for chat_id in heads}
    for table in ("messages", "changes"):
        for row in await connection.fetch(f"select chat_id, seq from {table}"):
            seqs[str(row["chat_id"])].append(row["seq"])
    completed: Counter[str] = Counter()
    for row in await connection.fetch("select message_id from changes where type = 'message.completed'"):
        completed[str(row["message_id"])] += 1
    return Facts(
        heads,
        seqs,
        list(await connection.fetch("select * from messages order by chat_id, seq")),
        {str(r["id"]): r for r in await connection.fetch("select * from outcomes")},
        list(await connection.fetch("select * from replies")),
        completed,
    )


def _nothing_lost(facts: Facts, logs: Logs) -> list[str]:
    rows = {(str(m["chat_id"]), str(m["sender_id"]), str(m["client_message_id"])): m for m in facts.messages}
    found = [
        f"I1: {key[2]} was accepted and never ended"
        for key in logs.accepted
        if key not in rows and facts.outcomes.get(key[2]) is None
    ]
    for sent in logs.sent:
        for id_ in sent.ids:
            end = sent.ends.get(id_)
            row = rows.get((sent.chat_id, sent.sender_id, id_))
            if end is None:
                found.append(f"I1: {id_} never ended for its sender")
            elif end == "committed" and row is None:
                found.append(f"I1: {id_} was told committed and is not in the database")
            elif end == "rejected" and row is not None:
                found.append(f"I4: {id_} was told rejected and is in the database")
    return found


def _nothing_doubled(facts: Facts, logs: Logs) -> list[str]:
    keys = Counter(
        (m["chat_id"], m["sender_id"], m["client_message_id"]) for m in facts.messages if m["client_message_id"]
    )
    found = [f"I2: {count} rows share {key}" for key, count in keys.items() if count > 1]
    committed = {str(m["client_message_id"]) for m in facts.messages}
    found += [
        f"I2: {i} is both committed and rejected" for i, o in facts.outcomes.items() if o["code"] and i in committed
    ]
    for user_id, frames in logs.outcomes.items():
        codes: dict[str, set[str]] = {}
        for frame in frames:
            codes.setdefault(frame["id"], set()).add(frame["end"])
        found += [f"I2: {user_id} was told two ends of {i}: {ends}" for i, ends in codes.items() if len(ends) > 1]
    return found


def _one_order(facts: Facts, logs: Logs) -> list[str]:
    found = []
    for chat_id, seqs in facts.seqs.items():
        if sorted(seqs) != list(range(1, facts.heads[chat_id] + 1)):
            found.append(f"I3: chat {chat_id} has head {facts.heads[chat_id]} and {len(seqs)} events")
    at = {str(m["client_message_id"]): m["seq"] for m in facts.messages if m["client_message_id"]}
    for sent in logs.sent:
        # What was answered with an error may land out of its order (PROTOCOL: outcome_unknown, unavailable).
        errors = logs.clients[sent.sender_id].errors
        placed = [at[i] for i in sent.ids if i in at and i not in errors]
        if placed != sorted(placed):
            ids = [i for i in sent.ids if i in at and i not in errors]
            first = next(n for n in range(1, len(placed)) if placed[n] < placed[n - 1])
            found.append(
                f"I3: {sent.sender_id} sent {ids[first - 1 : first + 1]} and they are at {placed[first - 1 : first + 1]}"
            )
    by_seq = {(str(m["chat_id"]), m["seq"]): str(m["id"]) for m in facts.messages}
    for user_id, client in logs.clients.items():
        for chat_id, chat in client.chats.items():
            shown = [e["seq"] for e in chat.events]
            if shown and shown != list(range(shown[0], shown[0] + len(shown))):
                found.append(f"I3: {user_id} shows {chat_id} with gaps or repeats")
            if chat.cursor != facts.heads.get(chat_id):
                found.append(
                    f"I7: {user_id} is at {chat.cursor} of {chat_id}, whose head is {facts.heads.get(chat_id)}"
                )
            wrong = [
                e["seq"] for e in chat.events
                if e["type"] == "message.created" and by_seq.get((chat_id, e["seq"])) != e["message"]["id"]
            ]  # fmt: skip
            if wrong:
                found.append(f"I3: {user_id} shows another message than the database at {chat_id} {wrong[:3]}")
    return found


def _denied_is_nothing(facts: Facts, logs: Logs) -> list[str]:
    bodies = {m["body"] for m in facts.messages}
    found = [f"I4: a refused text was stored: {b}" for b in bodies if b and b.startswith("refused")]
    for user_id, client in logs.clients.items():
        for chat in client.chats.values():
            if any(
                (e.get("message") or {}).get("body", "").startswith("refused")
                for e in chat.events
                if e.get("message", {}).get("body")
            ):
                found.append(f"I4: {user_id} was shown a refused text")
    return found


def _one_answer(facts: Facts, model_log: list[dict[str, Any]]) -> list[str]:
    found = []
    attempts = sum(reply["attempt"] for reply in facts.replies)
    if len(model_log) > attempts:  # no script here asks for a retry
        found.append(f"I5: {len(model_log)} upstream calls for {attempts} attempts")
    for reply in facts.replies:
        id_ = str(reply["message_id"])
        if not reply["finished"] or facts.completed[id_] != 1:
            found.append(f"I5: reply {id_} ended {facts.completed[id_]} times, finished: {reply['finished']}")
    return found


def _replies_are_one_text(facts: Facts, logs: Logs) -> list[str]:
    bodies = {str(m["id"]): m for m in facts.messages if m["kind"] == "assistant"}
    found = []
    for user_id, frames in logs.deltas.items():
        texts: dict[str, tuple[int, int, str]] = {}
        ended: set[str] = set()
        for frame in frames:
            id_ = frame.get("message_id") or frame["message"]["id"]
            if frame["type"] == "message.completed":
                ended.add(id_)
                continue
            if id_ in ended:
                found.append(f"I8: {user_id} got a delta of {id_} after its end")
            attempt, index, text = texts.get(id_, (0, 0, ""))
            if frame["attempt"] < attempt:
                found.append(f"I8: {user_id} got attempt {frame['attempt']} of {id_} after {attempt}")
            elif frame["type"] == "reply.snapshot":
                texts[id_] = (frame["attempt"], frame["next_index"], frame["text"])
            elif frame["attempt"] > attempt and frame["index"] == 0:
                texts[id_] = (frame["attempt"], 1, frame["text"])
            elif (frame["attempt"], frame["index"]) == (attempt, index):
                texts[id_] = (attempt, index + 1, text + frame["text"])
            else:
                found.append(
                    f"I8: {user_id} got delta {frame['attempt']}/{frame['index']} of {id_} at {attempt}/{index}"
                )
        for id_, (attempt, _, text) in texts.items():
            row = bodies.get(id_)
            if (
                row is not None
                and row["body"] is not None
                and row["attempt"] == attempt
                and not row["body"].startswith(text)
            ):
                found.append(f"I8: {user_id} was shown another text of {id_} than its end has")
    return found


def count_hits(folder: Any) -> Counter[str]:
    """How often each cut point was hit."""
    return Counter(path.name.partition(".hit.")[0] for path in folder.glob("*.hit.*"))
