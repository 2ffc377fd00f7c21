"""Everything that is kept has a limit and a broom: each table, and each collection that lives as long as a process.

A new one is not forgotten: it must be named here, with what bounds it.
"""

from __future__ import annotations

import ast
from pathlib import Path

from app.adapters.store.tables import metadata

APP = Path(__file__).parents[2] / "app"

TABLES = {
    "meta": "a few rows", "shards": "COMMAND_SHARDS rows", "users": "people; registration is limited by hashing",
    "sessions": "50 live of a user; ended ones go after a week (Accounts.prune)", "audit": "what operators did; kept",
    "refresh_tokens": "those that are over go (Accounts.prune)", "tickets": "30 s each (Accounts.prune)",
    "chats": "CHATS_PER_H of a user", "members": "GROUP_MEMBERS_MAX of a chat; MEMBERS_PER_H of a user",
    "bans": "one of a person and chat", "chat_refusals": "one of a person and a chat that they are or were in",
    "hidden_chats": "one of a person and a chat of theirs", "stranger_adds": "a day (CommandLog.prune)", "messages": "what people say: REQUESTS_PER_S; kept, it is the product",
    "message_words": "one of a message that has words", "indexed": "one of a chat",
    "reports": "one of a person and message", "dead_letters": "a week, each of 64 KiB at most (CommandLog.prune)",
    "changes": "one of each command that changed something; kept, it is the log",
    "reactions": "20 different ones of a message", "pins": "50 of a chat", "attempts": "one of each time a reply was taken up, a lease apart until it fails; kept with it", "replies": "one of a question; kept with it",
    "outcomes": "refusals and no-ops go after a day (CommandLog.prune); of commands that did something kept: ids hold for ever",
    "reads": "one of a person and chat", "suspects": "a day (CommandLog.prune)", "workers": "a minute (Workers.beat)",
    "assistant_versions": "one of each change by an operator; kept, answers name it", "prompts": "500 of a person",
    "summaries": "one of twenty messages of a chat; gone with a change of what it sums up (a trigger)",
    "keys": "50 of a person, 50 of services; ended ones go after a week (Accounts.prune)", "identities": "one of a person and issuer; kept: a subject means one person for ever",
    "decisions": "100,000 (DecisionLog.note)", "invitations": "100 of a maker", "invited": "who came by one; gone with it", "external_chats": "one of a chat that a host names; kept",
    "one_time_codes": "a link to set a password of a person; sign-ins for a minute (Accounts.prune)",
    "batches": "ten minutes (CommandLog.prune)",
}  # fmt: skip

COLLECTIONS = {
    "adapters/broker/collector.py Collector._waiting": "64 MiB of the process (Budget)",
    "adapters/broker/rabbitmq/consumer.py RabbitConsumer._held": "a lane each",
    "adapters/broker/rabbitmq/consumer.py RabbitConsumer._stay_off": "a lane each",
    "adapters/broker/rabbitmq/publisher.py RabbitPublisher._channels": "a lane each",
    "adapters/broker/rabbitmq/publisher.py RabbitPublisher._collectors": "a lane each",
    "adapters/fan_out/in_process.py InProcessFanOut._handlers": "one listener",
    "adapters/fan_out/in_process.py InProcessFanOut._channels": "chats that sockets here hear",
    "adapters/fan_out/in_process.py InProcessLiveTexts._texts": "replies that are being written; each ends",
    "adapters/fan_out/redis_pubsub.py RedisFanOut._channels": "chats that sockets here hear",
    "adapters/fan_out/redis_pubsub.py RedisFanOut._heard": "of those",
    "adapters/fan_out/redis_pubsub.py RedisFanOut._waiting": "a second each",
    "adapters/identity/issuers.py _Keys._keys": "100 keys of an issuer that the settings name",
    "adapters/identity/issuers.py _Keys._document": "256 KiB of an issuer that the settings name",
    "adapters/limits/counting.py TokenBuckets.taken": "100,000, emptied at each settling",
    "adapters/limits/counting.py Windows.hits": "100,000, emptied at each settling",
    "adapters/open_sockets/in_process.py InProcessOpenSockets._open": "sockets of this process",
    "adapters/open_sockets/redis_sets.py RedisOpenSockets._gone": "emptied twice a second",
    "adapters/store/command_log.py SqlCommandLog._horizons": "one a minute, for ten",
    "adapters/together.py Together._calls": "four",
    "adapters/together.py Together._asked": "hellos and calls under way, each within its own deadline; an outage ends all that wait",
    "adapters/websocket/connection.py _Connection._timers": "two",
    "adapters/websocket/connection.py _Connection._lines": "a frame's; reading pauses while there are any",
    "adapters/websocket/outbox.py Outbox._frames": "256, or 1 MiB; else the socket is closed",
    "application/background.py Background._tasks": "each ends; sockets start at most 100 at once",
    "application/hub/feeds.py Feeds._feeds": "chats that sockets here hear",
    "adapters/store/command_log.py _Transaction._together": "a batch's",
    "application/hub/outcomes.py Outcomes._asked": "what nobody told the end of, for 30 s; 1,000 a session are remembered",
    "application/hub/outcomes.py Outcomes._looked_up": "of those, what isn't a message",
    "application/hub/outcomes.py Outcomes._waiters": "calls under way: 10 s each",
    "application/hub/ranges.py Ranges._reads": "reads under way",
    "application/hub/ranges.py Ranges._in_line": "reads under way",
    "application/hub/sessions.py Sessions._users": "sockets of this process",
    "application/reply.py AssistantWorker._answers": "50 at once",
    "application/turns.py OneEach._here": "people who search now",
    "application/turns.py Line._places": "20,000 (Strangers), 200 (passwords), a socket each (Ranges)",
    "domain/fold.py Fold.events": "a batch's",
    "infrastructure/roles/process.py Process._tasks": "named side tasks",
    "infrastructure/roles/process.py Process._held": "ports",
}


def test_each_table_has_its_bound() -> None:
    assert set(metadata.tables) == set(TABLES) - {"batches"}, (
        "the table of batches is PostgreSQL's alone, made by migrations"
    )


def test_each_collection_of_a_process_has_its_bound() -> None:
    found = set()
    for path in APP.rglob("*.py"):
        for owner in ast.walk(ast.parse(path.read_text())):
            if isinstance(owner, ast.ClassDef) and "migrations" not in path.parts:
                found |= {f"{path.relative_to(APP)} {owner.name}.{name}" for name in growing(owner)}
    assert found == set(COLLECTIONS)


def growing(owner: ast.ClassDef) -> set[str]:
    """Attributes that begin as an empty collection; a `Bounded` one says by itself how much it holds."""
    found = set()
    for node in ast.walk(owner):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        value = node.value if isinstance(node, (ast.AnnAssign, ast.Assign)) else None
        if not isinstance(target, ast.Attribute) or ast.unparse(target.value) != "self" or value is None:
            continue
        if ast.unparse(value) in ("{}", "[]", "set()", "dict()", "list()", "deque()"):
            found.add(target.attr)
    return found
