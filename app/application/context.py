"""What a model is sent of a chat: turns as such servers take them, and as many as fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.application.ports.model import Prompt, Turn
from app.domain.text import cut_to, set_in, tokens_of

SUMMARY_SHARE = 4
"""A summary, which has no place of its own, takes so small a part of what is sent."""
_WORTH_IT = 50
"""Fewer tokens of a text aren't."""


def alternating(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Neighbours of one role as one, beginning with a user's: strict servers refuse all else, and the same is said. An answer
    that the question replies to is told again where nothing stands before it."""
    merged: list[Turn] = []
    for turn in turns:
        if not turn.text.strip():
            continue
        if not merged and turn.role != "user":
            if not turn.ahead:
                continue
            turn = replace(turn, role="user", text=f"(Said by you before:)\n  {set_in(turn.text)}")
        if merged and merged[-1].role == turn.role:
            before = merged[-1]
            merged[-1] = Turn(turn.role, f"{before.text}\n\n{turn.text}", before.places + turn.places)
        else:
            merged.append(turn)
    return tuple(merged)


def fitted(prompt: Prompt, tokens: int) -> Prompt:
    """What fits into so many tokens: the instructions and the last turn, the question, always; what is to be sent first,
    cut where there is less room; then the newest others."""
    *before, question = prompt.turns or [Turn("user", "")]
    left = tokens - tokens_of(prompt.instructions or "") - tokens_of(question.text)
    kept: set[int] = set()
    newest_first = range(len(before) - 1, -1, -1)
    for n in newest_first:
        if before[n].ahead and left > _WORTH_IT:
            most = left if before[n].places else min(left, tokens // SUMMARY_SHARE)
            before[n] = replace(before[n], text=cut_to(before[n].text, most))
            kept.add(n)
            left -= tokens_of(before[n].text)
    for n in newest_first:
        if not before[n].ahead:
            left -= tokens_of(before[n].text)
            if left < 0:
                break
            kept.add(n)
    return replace(prompt, turns=(*(before[n] for n in sorted(kept)), *prompt.turns[-1:]))


def size_of(prompt: Prompt) -> int:
    """Tokens, estimated."""
    return tokens_of(prompt.instructions or "") + sum(tokens_of(turn.text) for turn in prompt.turns)
