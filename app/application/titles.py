"""What a chat with an assistant is called: a call of its own behind the first answer, cheap, and never over a name that it has."""

from __future__ import annotations

import re
from contextlib import aclosing

from app.application.ports.model import Delta, Model, Prompt, Purpose, Turn
from app.domain.errors import ParleyError
from app.domain.text import clean_name

TITLE_MAX = 60
_READ_MAX = 300
_EXCERPT_MAX = 1_500
_INSTRUCTIONS = "You name conversations. Answer with the name alone: at most six words, in the conversation's language."
_ASK = "Name this conversation.\n\nUser: {question}\n\nAssistant: {answer}"
_MARKS = " \t\"'`“”‘’«»„*_#.:-–—"


async def title_of(model: Model, name: str | None, question: str, answer: str) -> str | None:
    """name: of the model; None for the setting's. None where what it says is no title. Raises ModelFailed."""
    told = _ASK.format(question=question[:_EXCERPT_MAX], answer=answer[:_EXCERPT_MAX])
    prompt = Prompt((Turn("user", told),), name, _INSTRUCTIONS, Purpose.TITLE)
    said = ""
    async with aclosing(model.stream(prompt)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            if isinstance(piece, Delta):
                said += piece.text
            if len(said) > _READ_MAX or "\n" in said.strip():
                break
    return title_in(said)


def title_in(said: str) -> str | None:
    """Its first line, without what models put around a name; shortened at a word."""
    line = next((line for line in said.splitlines() if line.strip(_MARKS)), "")
    line = re.sub(r"(?i)^\W*(title|name)\s*:\s*", "", line).strip(_MARKS)
    if len(line) > TITLE_MAX:
        line = line[:TITLE_MAX].rsplit(" ", 1)[0].rstrip(_MARKS) + " …"
    try:
        return clean_name(line, TITLE_MAX + 2, "title")
    except ParleyError:
        return None
