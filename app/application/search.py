"""Search over what one may read: words, where they stand, and the policies' door for each chat that is found; and the
index behind it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from time import monotonic

from app.application.authorize import Pep, Reader
from app.application.background import Trouble
from app.application.ports.errors import Transient
from app.application.ports.history import History, Place, Search
from app.application.ports.store import WordIndex
from app.application.turns import OneEach
from app.domain import text
from app.domain.errors import Code, ParleyError
from app.domain.policy import question
from app.domain.values import Member, Message

WORDS_MAX = 20
_LOOKED_AT_MAX = 500
_ASKED_AGAIN = 100
_SECONDS_MAX = 2.0
_PAUSE_S = 0.3
_WAIT_MAX = 5


def words_of(query: str) -> tuple[text.Word, ...]:
    """The words of a query, each once. Raises ParleyError `invalid` for none, or too many."""
    words = text.words(query)
    if not 1 <= len(words) <= WORDS_MAX:
        raise ParleyError(Code.INVALID, f"q: 1 to {WORDS_MAX} words of letters or digits")
    return words


@dataclass(frozen=True, slots=True)
class Found:
    """highlights: [start, length] of each word in the body, in code points."""

    message: Message
    highlights: list[list[int]]


@dataclass(frozen=True, slots=True)
class FoundPage:
    """goes_on: where the next page begins, behind what was looked at; None where that was all."""

    items: list[Found]
    goes_on: Place | None


class MessageSearch:
    def __init__(self, reader: Reader, pep: Pep, history: History) -> None:
        self._reader = reader
        self._pep = pep
        self._history = history
        self._one_each = OneEach(_WAIT_MAX)

    async def find(self, user_id: str, asked: Search, limit: int) -> FoundPage:
        """Newest first. A chat named by a stranger is `not_found`; of all others only what the policies let them read. One
        person's searches go one after the other. Raises ParleyError, Unavailable."""
        async with self._one_each.turn(user_id):
            return await self._find(user_id, asked, limit)

    async def _find(self, user_id: str, asked: Search, limit: int) -> FoundPage:
        if asked.chat_id is not None:
            await self._reader.permit(user_id, asked.chat_id)
        items: list[Found] = []
        readable: dict[str, Member | None] = {}
        looked_at, until, page = 0, monotonic() + _SECONDS_MAX, limit + 1
        while True:
            looked = await self._history.search(user_id, asked, page)
            await self._look_at_chats(user_id, looked.messages, readable)
            for message in looked.messages:
                if len(items) == limit or looked_at >= _LOOKED_AT_MAX or (looked_at and monotonic() > until):
                    return FoundPage(items, asked.before)
                looked_at += 1
                asked = replace(asked, before=(message.created_at, message.id))
                places = text.places(message.body or "", asked.words)
                me = readable[message.chat_id]
                if places is not None and me is not None and me.sees(message):
                    items.append(Found(message, places))
                await asyncio.sleep(0)  # a long text takes some milliseconds
            if looked.goes_on is None:
                return FoundPage(items, None)
            asked = replace(asked, before=looked.goes_on)
            if monotonic() > until:
                return FoundPage(items, asked.before)
            page = max(page, _ASKED_AGAIN)

    async def _look_at_chats(self, user_id: str, found: list[Message], readable: dict[str, Member | None]) -> None:
        chat_ids = list({message.chat_id: None for message in found if message.chat_id not in readable})
        if not chat_ids:
            return
        memberships = await self._history.memberships(
            user_id, archived=None, before=None, limit=len(chat_ids), unread_max=1, chat_ids=chat_ids
        )
        now = self._history.now()
        readable |= dict.fromkeys(chat_ids)
        for m in memberships:
            allowed = self._pep.ask(question("chat.read", m.chat, m.member, now)).allowed
            readable[m.chat.id] = m.member if allowed else None


class Indexer:
    """Keeps the index of words up with what is committed. Every worker runs one; one at a time is at it."""

    def __init__(self, index: WordIndex, trouble: Trouble = lambda what, error: None) -> None:
        self._index = index
        self._trouble = trouble

    async def run(self) -> None:
        while True:
            more = False
            try:
                more = await self._index.follow()
            except Exception as error:  # what isn't indexed now is found in the log later
                self._trouble("transient" if isinstance(error, Transient) else "index", error)
            await asyncio.sleep(_PAUSE_S / 10 if more else _PAUSE_S)
