"""The built-in demo assistant: says that it is one, needs nothing, and streams like a model does."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator

from app.application.ports.held import NothingHeld
from app.application.ports.model import Call, Delta, Finish, Piece, Prompt, Purpose
from app.domain.values import Usage

WORDS_PER_S = 30
_SENTENCES_MAX = 200
_NUMBERS = {
    word: number
    for number, words in {
        1: "one a", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine",
        10: "ten", 12: "twelve", 15: "fifteen", 20: "twenty", 30: "thirty", 40: "forty", 50: "fifty",
        60: "sixty", 80: "eighty", 100: "hundred",
    }.items()
    for word in words.split()
}  # fmt: skip
_ASKED = re.compile(r"\b(\d{1,3}|" + "|".join(_NUMBERS) + r")\s+sentences?\b", re.IGNORECASE)
_SENTENCES = (
    "This is the demo assistant of Parley, not a language model.",
    "This answer travels in pieces, as it is written, to all who are in the chat.",
    "You can stop it, and what was said so far is kept.",
    "You can reload in the middle, and the text so far is there again.",
    "Ask for forty sentences and it goes on long enough to try.",
    "Set OPENAI_API_KEY, or OPENAI_BASE_URL, and a real model answers here.",
)


def sentences_asked(question: str) -> int:
    """By the last word on it: questions before it that have no answer stand in the same turn."""
    found = [match[1].lower() for match in _ASKED.finditer(question)]
    if not found:
        return min(6, 2 + len(question) // 200)
    word = found[-1]
    return max(1, min(_SENTENCES_MAX, int(word) if word.isdigit() else _NUMBERS[word]))


class DemoModel(NothingHeld):
    """Implements Model."""

    def __init__(self, words_per_s: float = WORDS_PER_S) -> None:
        self._pause_s = 1 / words_per_s

    async def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        question = next((turn.text for turn in reversed(prompt.turns) if turn.role == "user"), "")
        yield Call({})
        if prompt.purpose is Purpose.TITLE:
            yield Delta(" ".join(question.partition("User: ")[2].partition("\n\nAssistant: ")[0].split()[:6]))
            yield Finish(None)
            return
        if prompt.purpose is Purpose.SUMMARY:
            yield Delta("This was summed up by the demo assistant, which remembers nothing of it.")
            yield Finish(None)
            return
        count = sentences_asked(question)
        text = " ".join(itertools.islice(itertools.cycle(_SENTENCES), count))
        words = re.findall(r"\S+\s*", text)
        for word in words:
            yield Delta(word)
            await asyncio.sleep(self._pause_s)
        yield Finish(Usage(sum(len(turn.text.split()) for turn in prompt.turns), len(words)))
