"""What a worker remembers of chats from batch to batch, so that a message makes nothing be read.

Whatever changes a chat, its members or what they may is an event at the chat's next seq: as long as the head is where it
was, so is all of it. The store compares the head when it writes (`CommandLog.append`), under the shard's lock; so what is
remembered can be old, and is then of no use, but never does anything.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from app.application.bounded import Bounded
from app.domain.state import Decided, Needs, Pair, State
from app.domain.values import Chat, ChatKind, Member

_CHATS_MAX = 20_000
_MEMBERS_MAX = 100_000


@dataclass(slots=True)
class _Known:
    """life: another one where something was missed; members of an older one are forgotten."""

    chat: Chat
    life: int


class Remembered:
    def __init__(self) -> None:
        self._lives = itertools.count()
        self._chats: Bounded[str, _Known] = Bounded(_CHATS_MAX)
        self._members: Bounded[Pair, tuple[int, Member | None]] = Bounded(_MEMBERS_MAX)
        """None: this one is no member."""

    def state_for(self, needs: Needs, now: datetime) -> State | None:
        """The facts that a batch looks at, as they were left; None where it looks at what isn't remembered."""
        if not needs.of_members_alone():
            return None
        state = State(now=now)
        for chat_id in needs.chats:
            known = self._chats.get(chat_id)
            if known is None:
                return None
            state.chats[chat_id] = known.chat
        for pair in needs.members:
            life, member = self._members.get(pair, (-1, None))
            if life != self._chats[pair[0]].life:
                return None
            if member is not None:
                state.members[pair] = member
        return None if needs.counted_askers(state.chats) else state

    def keep(self, needs: Needs, decided: Decided) -> None:
        """As a committed batch left it, which had read what it needed, or had remembered it."""
        state, changes = decided.state, decided.state.changes
        events = Counter(event.chat_id for event in decided.events)
        for chat_id, chat in state.chats.items():
            if chat.kind == ChatKind.ASSISTANT:
                continue  # whose messages are questions: more is looked at
            known = self._chats.get(chat_id)
            if known is not None and known.chat.head == chat.head - events[chat_id]:
                life = known.life
            else:
                life = next(self._lives)
            self._chats[chat_id] = _Known(chat, life)
        for pair in (*needs.members, *changes.members):
            if (here := self._chats.get(pair[0])) is not None and pair[0] in state.chats:
                self._members[pair] = (here.life, state.members.get(pair))

    def forget(self) -> None:
        """All of it: what was asked of the store may or may not have been done, or it isn't what it was."""
        self._chats.clear()
        self._members.clear()
