"""What a chat with an assistant is called: a call of its own behind the first answer, cheap, and never over a name that it has."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import aclosing

from app.application.context import size_of
from app.application.ports.model import Delta, Finish, Model, ModelFailed, Prompt, Purpose, Thinking, Turn
from app.domain.errors import ParleyError
from app.domain.text import clean_name, tokens_of, whole_characters
from app.domain.values import Usage

TITLE_MAX = 60
_READ_MAX = 300
_THOUGHT_MAX = 2_000
"""Characters: a name isn't worth more thought."""
_EXCERPT_MAX = 1_500
_INSTRUCTIONS = "You name conversations. Answer with the name alone: at most six words, in the conversation's language."
_ASK = "Name this conversation.\n\nUser: {question}\n\nAssistant: {answer}"
_BEFORE = " \t\"'`“”‘’«»„*_#.:-–—"
_BEHIND = " \t\"'`“”‘’«»„*_.:-–—"


async def title_of(
    model: Model, name: str | None, provider: str, question: str, answer: str
) -> tuple[str | None, Usage]:
    """(None where what it says is no title, what it took: estimated where nobody counted). name: of the model; None for the
    provider's. Raises ModelFailed."""
    told = _ASK.format(question=question[:_EXCERPT_MAX], answer=answer[:_EXCERPT_MAX])
    prompt = Prompt((Turn("user", told),), name, _INSTRUCTIONS, Purpose.TITLE, provider=provider)
    said, usage = await asked_beside(model, prompt, _is_enough, _THOUGHT_MAX)
    return title_in(said), usage


def _is_enough(said: str) -> bool:
    return len(said) > _READ_MAX or "\n" in said.strip()


async def asked_beside(
    model: Model, prompt: Prompt, is_enough: Callable[[str], bool], thought_max: int
) -> tuple[str, Usage]:
    """(what is said, as far as it is read, also where it was cut for its length; what it took: estimated where nobody
    counted). Raises ModelFailed."""
    said, thought, usage = "", 0, None
    try:
        async with aclosing(model.stream(prompt)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if isinstance(piece, Delta):
                    said += piece.text
                elif isinstance(piece, Thinking):
                    thought += len(piece.text)
                elif isinstance(piece, Finish):
                    usage = piece.usage
                if thought > thought_max or is_enough(said):
                    break
    except ModelFailed as error:
        if error.code != "length" or not said:
            raise
        usage = error.usage
    return whole_characters(said), usage or Usage(size_of(prompt), tokens_of(said))


def title_in(said: str) -> str | None:
    """Its first line, without what models put around a name; shortened at a word."""
    lines = (re.sub(r"(?i)^\W*(title|name)\s*:\s*", "", line) for line in said.splitlines())
    line = next(filter(None, (line.lstrip(_BEFORE).rstrip(_BEHIND) for line in lines)), "")
    if len(line) > TITLE_MAX:
        line = line[:TITLE_MAX].rsplit(" ", 1)[0].rstrip(_BEHIND) + " …"
    try:
        return clean_name(line, TITLE_MAX + 2, "title")
    except ParleyError:
        return None
