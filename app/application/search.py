"""Search over what one may read: words, where they stand, and the policies' door for each chat that is found."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from app.application.authorize import Pep, Reader
from app.application.clock import utc_now
from app.application.ports.history import History, Search
from app.domain.errors import Code, ParleyError
from app.domain.policy import question
from app.domain.values import Message

WORDS_MAX = 20


def words_of(text: str) -> tuple[str, ...]:
    """The words of a query, each once. Raises ParleyError `invalid` for none, or too many."""
    words = tuple(dict.fromkeys(text[start:end] for start, end in _spans(text)))
    if not 1 <= len(words) <= WORDS_MAX:
        raise ParleyError(Code.INVALID, f"q: 1 to {WORDS_MAX} words of letters or digits")
    return words


def highlights(body: str, words: tuple[str, ...]) -> list[list[int]]:
    """[start, length] of each of these words in the body, in code points."""
    wanted = {word.casefold() for word in words}
    return [[start, end - start] for start, end in _spans(body) if body[start:end].casefold() in wanted]


def _spans(text: str) -> list[tuple[int, int]]:
    """A word is a run of letters, digits and the marks on them."""
    kinds = [unicodedata.category(character)[0] in "LNM" for character in text]
    starts = [n for n, is_word in enumerate(kinds) if is_word and (n == 0 or not kinds[n - 1])]
    ends = [n + 1 for n, is_word in enumerate(kinds) if is_word and (n + 1 == len(kinds) or not kinds[n + 1])]
    return list(zip(starts, ends, strict=True))


@dataclass(frozen=True, slots=True)
class Found:
    """highlights: [start, length] of each word in the body, in code points."""

    message: Message
    highlights: list[list[int]]


class MessageSearch:
    def __init__(self, reader: Reader, pep: Pep, history: History) -> None:
        self._reader = reader
        self._pep = pep
        self._history = history

    async def find(self, user_id: str, asked: Search, limit: int) -> list[Found]:
        """Newest first. A chat named by a stranger is `not_found`; of all others only what the policies let them read."""
        if asked.chat_id is not None:
            await self._reader.permit(user_id, asked.chat_id)
        found = await self._history.search(user_id, asked, limit)
        chat_ids = list(dict.fromkeys(message.chat_id for message in found))
        if not chat_ids:
            return []
        memberships = await self._history.memberships(
            user_id, archived=None, before=None, limit=len(chat_ids), unread_max=1, chat_ids=chat_ids
        )
        now = utc_now()
        readable = {
            m.chat.id for m in memberships if self._pep.ask(question("chat.read", m.chat, m.member, now)).allowed
        }
        return [
            Found(message, highlights(message.body or "", asked.words))
            for message in found
            if message.chat_id in readable
        ]
