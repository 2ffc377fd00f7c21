"""A store of dictionaries, for tests of what stands above it: implements CommandLog, Timeline, History and Heal.

Facts are copies, and only a committed batch changes them. What it can't be asked is not implemented.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.adapters.policy.cedar import CedarPolicies
from app.adapters.wire.encoder import JsonCodec, ShownLimits
from app.application.authorize import Pep
from app.application.ports.errors import Transient
from app.application.ports.history import Membership
from app.application.ports.people import Account
from app.application.ports.store import Healing, Joined, OpenReply
from app.domain.assistants import is_bounded
from app.domain.command import Command
from app.domain.decide import decide, needs_of
from app.domain.events import Event
from app.domain.fold import Limits
from app.domain.ids import ASSISTANT_ID, derived_id
from app.domain.state import Decided, Needs, Outcome, Pair, Result, Spent, Spoken, State
from app.domain.values import AskedBy, Assistant, Chat, ChatKind, Member, Message, Person
from app.infrastructure.wiring import POLICIES

PEP = Pep(CedarPolicies(POLICIES))
START = datetime(2026, 1, 1, tzinfo=UTC)
USERS = [derived_id("user", str(n)) for n in range(5)]
PEOPLE = {u: Person(u, f"user{n}", f"User {n}") for n, u in enumerate(USERS)}
HELPER_ID = derived_id("user", "helper")
PEOPLE[ASSISTANT_ID] = Person(ASSISTANT_ID, "assistant", "Assistant", "assistant")
PEOPLE[HELPER_ID] = Person(HELPER_ID, "helper", "Helper", "assistant")
ASSISTANTS = {
    ASSISTANT_ID: Assistant(ASSISTANT_ID, "assistant", 1, "default"),
    HELPER_ID: Assistant(HELPER_ID, "helper", 3, "other"),
}
CHATS = [derived_id("c", str(n)) for n in range(2)]
CODEC = JsonCodec(ShownLimits(8_000, 131_072, 4, 20, 20))


def account(user_id: str) -> Account:
    person = PEOPLE[user_id]
    return Account(user_id, person.username, person.display_name, "human", "user", {})


class MemoryStore:
    """fail: so many of the next calls raise Transient."""

    def __init__(
        self, members_max: int = 4, open_questions_max: int = 100, per_hour: int = 0, per_day: int = 0
    ) -> None:
        self.state = State(now=START, people=dict(PEOPLE), assistants=dict(ASSISTANTS))
        self.log: list[Event] = []
        self.told: dict[tuple[str, str, str], Outcome] = {}
        self.fail = 0
        self.healing = Healing("epoch", START, False)
        self.epoch_ = "epoch"
        self._ids = (derived_id("message", str(n)) for n in itertools.count())
        self._limits = Limits(members_max, open_questions_max, replies_per_hour=per_hour, replies_per_day=per_day)
        self.calls: list[str] = []
        self.read_seqs: dict[tuple[str, str], int] = {}

    # Deciding

    def facts(self, commands: Sequence[Command]) -> State:
        """As the real stores do: what these commands' rules name, and nothing else."""
        needs, state = needs_of(commands), self.state
        replies = {
            key: reply
            for key, reply in state.replies.items()
            if {key, (reply.chat_id, reply.question_id)} & needs.replies.keys()
        }
        where = self._assistants(needs)
        limited = any(
            state.assistants[id_].asked_by == AskedBy.OPERATORS for _, id_ in where if id_ in state.assistants
        )
        by_role = {user_id for _, user_id in needs.askers} if limited else set()
        members, bans = needs.members.keys() | where, needs.bans.keys() | where
        messages = needs.messages.keys() | replies.keys() | {(r.chat_id, r.question_id) for r in replies.values()}
        keys = {command.key for command in commands}
        return copy.deepcopy(
            State(
                now=state.now,
                chats={key: chat for key, chat in state.chats.items() if key in needs.chats},
                members={
                    key: member for key, member in state.members.items() if key in members or key[0] in needs.rosters
                },
                owners={key: count for key, count in state.owners.items() if key in needs.owners},
                bans={key for key in state.bans if key in bans},
                ban_ends={key: until for key, until in state.ban_ends.items() if key in bans},
                floors={c: floor for c in needs.floors if (floor := self._floor(c))},
                assistants={id_: state.assistants[id_] for _, id_ in where if id_ in state.assistants},
                spoken={key: self._spoken(key) for key in where if is_bounded(state.members.get(key))},
                consents={key: consent for key, consent in state.consents.items() if key in needs.consents},
                refusals={key for key in state.refusals if key in needs.refusals},
                open_questions=self._open_questions() if needs.askers else {},
                asked=self._asked() if needs.askers else {},
                quotas={who: quotas for who, quotas in state.quotas.items() if needs.askers},
                people={key: person for key, person in state.people.items() if key in needs.people},
                disabled={key for key in state.disabled if key in needs.people},
                messages={key: message for key, message in state.messages.items() if key in messages},
                reactions={key: found for key, found in state.reactions.items() if key in messages},
                replies=replies,
                pins={key: found for key, found in state.pins.items() if key in needs.pins},
                queues={chat_id: self._queue(chat_id) for chat_id in needs.chats if self._is_own(chat_id)},
                newest={
                    chat_id: self._newest(chat_id)
                    for chat_id in needs.chats
                    if self._newest(chat_id) and self._is_own(chat_id)
                },
                operators={key for key in state.operators if key in needs.operators.keys() | by_role},
                known={key: outcome for key, outcome in state.known.items() if key in keys},
            )
        )

    def _assistants(self, needs: Needs) -> set[Pair]:
        """Where those may speak that these commands are about."""
        state = self.state
        by_name = {one.username: one.id for one in state.assistants.values()}
        own = {(c, chat.assistant.user_id) for c in needs.chats if (chat := state.chats.get(c)) and chat.assistant}
        named = {(c, by_name[name]) for c, name in needs.named if name in by_name}
        again = {(key[0], state.messages[key].sender_id) for key in needs.answerers if key in state.messages}
        return set(needs.assistants) | own | named | {key for key in again if key[1] in state.assistants}

    def _spoken(self, key: Pair) -> Spoken:
        mine = [reply for reply in self.state.replies.values() if (reply.chat_id, reply.assistant_id) == key]
        return Spoken(len(mine), sum(reply.by_itself for reply in mine))

    def _is_own(self, chat_id: str) -> bool:
        chat = self.state.chats.get(chat_id)
        return chat is not None and chat.kind == ChatKind.ASSISTANT

    def _queue(self, chat_id: str) -> list[str]:
        """Unfinished replies in the order of asking."""
        open_ = [key for key, reply in self.state.replies.items() if key[0] == chat_id and not reply.finished]
        return [key[1] for key in sorted(open_, key=lambda key: self.state.messages[key].seq)]

    def _floor(self, chat_id: str) -> int:
        return max((member.sees_from for key, member in self.state.members.items() if key[0] == chat_id), default=0)

    def _newest(self, chat_id: str) -> str:
        mine = [m for m in self.state.messages.values() if m.chat_id == chat_id and m.kind != "system"]
        return max(mine, key=lambda m: m.seq).id if mine else ""

    def _asked(self) -> dict[str, Spent]:
        """All of it within one hour, and nobody counted what it took."""
        found: dict[str, Spent] = {}
        for reply in self.state.replies.values():
            before = found.get(reply.asker_id, Spent())
            tokens = before.tokens + reply.reserved_tokens
            found[reply.asker_id] = Spent(before.this_hour + 1, before.today + 1, tokens)
        return found

    def _open_questions(self) -> dict[str, int]:
        return dict(Counter(reply.asker_id for reply in self.state.replies.values() if not reply.finished))

    def batch(self, commands: Sequence[Command], commit: bool = True) -> list[Result]:
        facts = self.facts(commands)
        drawn: list[str] = []

        def new_id() -> str:
            drawn.append(next(self._ids))
            return drawn[-1]

        self.decided = decided = decide(facts, commands, PEP.ask, new_id, self._limits)
        if commit:
            self._keep(decided)
        else:
            self._ids = itertools.chain(drawn, self._ids)  # type: ignore[assignment]
        return decided.results

    def do(self, chat_id: str, actor_id: str, action: Any, id_: str = "") -> Result:
        command = Command(
            chat_id, actor_id, id_ or derived_id("command", str(len(self.told)), str(len(self.log))), action
        )
        return self.batch([command])[0]

    def _keep(self, decided: Decided) -> None:
        """As the real stores do: the rows that the fold says it touched, and no other."""
        new, changes, mine = decided.state, decided.state.changes, self.state
        for chat_id in changes.chats | changes.new_chats:
            chat, whole = new.chats[chat_id], changes.whole_chats | changes.new_chats
            mine.chats[chat_id] = chat if chat_id in whole else mine.chats[chat_id].moved(chat.head, chat.last_at)
        for key in changes.members:
            _put(mine.members, key, new.members.get(key))
        for chat_id in {key[0] for key in changes.members}:
            roles = [member.role for key, member in mine.members.items() if key[0] == chat_id]
            mine.owners[chat_id] = roles.count("owner")
            assert new.owners.get(chat_id) == mine.owners[chat_id], "owners are counted along"
        for key in changes.bans:
            (mine.bans.add if key in new.bans else mine.bans.discard)(key)
            _put(mine.ban_ends, key, new.ban_ends.get(key))
        for key in (*changes.new_messages, *changes.messages):
            mine.messages[key] = new.messages[key]
        for key, queue in changes.queued.items():
            mine.messages[key] = replace(mine.messages[key], queue=queue or None)
        for chat_id, message_id, emoji, user_id in sorted(changes.reactions):
            users = mine.reactions.setdefault((chat_id, message_id), {}).setdefault(emoji, {})
            _put(users, user_id, new.reactions.get((chat_id, message_id), {}).get(emoji, {}).get(user_id))
        for key in {reaction[:2] for reaction in changes.reactions}:
            ordered = {
                emoji: dict(sorted(u.items(), key=lambda one: one[1])) for emoji, u in mine.reactions[key].items() if u
            }
            mine.reactions[key] = dict(sorted(ordered.items(), key=lambda one: min(one[1].values())))
        for key in (*changes.new_replies, *changes.replies):
            mine.replies[key] = new.replies[key]
        for chat_id, message_id in changes.pins:
            _put(mine.pins.setdefault(chat_id, {}), message_id, new.pins.get(chat_id, {}).get(message_id))
        for result in changes.traces:
            mine.known[result.command.key] = result.outcome
        for key in changes.new_messages:
            message = new.messages[key]
            if message.client_message_id is not None:
                mine.known[(key[0], message.sender_id, message.client_message_id)] = Outcome(
                    "message.send", message.seq
                )
        self.log += decided.events
        for result in decided.results:
            self.told[result.command.key] = result.outcome

    def _may_fail(self, what: str) -> None:
        self.calls.append(what)
        if self.fail > 0:
            self.fail -= 1
            raise Transient("the store")

    @asynccontextmanager
    async def transaction(self, shards: Sequence[int]) -> AsyncIterator[Any]:
        self._may_fail("transaction")
        yield self

    async def append(self, shards: Sequence[int], decided: Decided, heads: Mapping[str, int]) -> bool:
        """Called for what was decided on remembered facts; what it refuses, as the real stores do."""
        self._may_fail("append")
        known = any(result.command.key in self.state.known for result in decided.results)
        if known or {chat_id: self.state.chats[chat_id].head for chat_id in heads} != heads:
            return False
        await self.write(decided)
        return True

    async def read(self, commands: Sequence[Command]) -> State:
        return self.facts(commands)

    async def write(self, decided: Decided) -> None:
        self._keep(decided)

    # Timeline

    async def events(self, chat_id: str, after: int, limit: int) -> list[Event]:
        self._may_fail("events")
        return self.events_now(chat_id, after)[:limit]

    def events_now(self, chat_id: str, after: int = 0) -> list[Event]:
        found = [event for event in self.log if event.chat_id == chat_id and event.seq > after]
        return [
            replace(e, payload=self.state.messages[(chat_id, e.payload.id)]) if isinstance(e.payload, Message) else e
            for e in found
        ]

    async def joined(self, user_id: str, chat_ids: Sequence[str] | None) -> dict[str, Joined]:
        self._may_fail("joined")
        return {
            chat_id: Joined(member.joined_seq, self.state.chats[chat_id].head, member.sees_from)
            for (chat_id, user), member in self.state.members.items()
            if user == user_id and (chat_ids is None or chat_id in chat_ids)
        }

    async def removed_after(self, user_id: str, chat_id: str, after: int) -> bool:
        return any(e.type == "member.removed" and e.payload.user_id == user_id for e in self.events_now(chat_id, after))

    async def open_replies(self, chat_ids: Sequence[str]) -> list[OpenReply]:
        open_ = [(k, r.attempt > 0) for k, r in self.state.replies.items() if k[0] in chat_ids and not r.finished]
        return [OpenReply(*key, self.state.messages[key].seq, claimed) for key, claimed in open_]

    # History

    @asynccontextmanager
    async def one_view(self) -> AsyncIterator[bool]:
        yield False

    tells_heads = False

    def now(self) -> datetime:
        return self.state.now

    async def chat_for(self, chat_id: str, user_id: str) -> tuple[Chat | None, Member | None]:
        self._may_fail("chat_for")
        return self.state.chats.get(chat_id), self.state.members.get((chat_id, user_id))

    async def memberships(
        self, user_id: str, *, archived: bool | None, before: Any, limit: int, unread_max: int,
        chat_ids: Sequence[str] | None = None, hidden: bool | None = None,
    ) -> list[Membership]:  # fmt: skip
        self._may_fail("memberships")
        mine = [c for (c, user) in self.state.members if user == user_id and (chat_ids is None or c in chat_ids)]
        return [Membership(self.state.chats[c], self.state.members[(c, user_id)], 0, 0, None) for c in mine][:limit]

    async def member(self, chat_id: str, user_id: str) -> Member | None:
        return self.state.members.get((chat_id, user_id))

    async def left_at(self, chat_id: str, user_id: str) -> datetime | None:
        gone = [e.at for e in self.events_now(chat_id) if e.type == "member.removed" and e.payload.user_id == user_id]
        return gone[-1] if gone else None

    async def refuse(self, chat_id: str, user_id: str, refused: bool) -> None:
        (self.state.refusals.add if refused else self.state.refusals.discard)((chat_id, user_id))

    async def mark_read(self, user_id: str, chat_id: str, seq: int, head: int, unread_max: int) -> tuple[int, int]:
        key = (user_id, chat_id)
        self.read_seqs[key] = max(self.read_seqs.get(key, 0), min(seq, head))
        return self.read_seqs[key], 0

    async def message_at(self, chat_id: str, seq: int) -> Message | None:
        return next((m for m in self.state.messages.values() if m.chat_id == chat_id and m.seq == seq), None)

    async def message(self, chat_id: str, message_id: str) -> Message | None:
        return self.state.messages.get((chat_id, message_id))

    async def outcomes(self, keys: Sequence[tuple[str, str, str]]) -> dict[tuple[str, str, str], Outcome]:
        self._may_fail("outcomes")
        return {key: self.told[key] for key in keys if key in self.told}

    # Heal

    async def epoch(self) -> str:
        return self.epoch_

    async def poll(self) -> Healing | None:
        self._may_fail("poll")
        found, self.healing = self.healing, Healing(self.epoch_, START, False)
        return found


def _put(rows: dict[Any, Any], key: Any, value: Any) -> None:
    """A row, or none."""
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = value


class Sink:
    """A socket that reads everything; while `full` it has no room. drains: how often somebody waited for room."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.closed: tuple[int, str] | None = None
        self.full = False
        self.drains = 0

    def send(self, text: str) -> None:
        if self.closed is None:
            self.lines += text.split("\n")

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)

    async def drained(self) -> None:
        while self.full:
            self.drains += 1
            await asyncio.sleep(0.1)
