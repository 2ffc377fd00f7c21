"""What a model is sent of a chat: turns as such servers take them, and as many as fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.application.ports.model import Prompt, Turn
from app.domain.text import tokens_of


def alternating(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Neighbours of one role as one, beginning with a user's: strict servers refuse all else, and the same is said."""
    merged: list[Turn] = []
    for turn in turns:
        if not turn.text.strip() or (not merged and turn.role != "user"):
            continue
        if merged and merged[-1].role == turn.role:
            before = merged[-1]
            merged[-1] = Turn(turn.role, f"{before.text}\n\n{turn.text}", before.places + turn.places)
        else:
            merged.append(turn)
    return tuple(merged)


def fitted(prompt: Prompt, tokens: int) -> Prompt:
    """The instructions and the newest turns that fit into so many tokens; the last one, the question, always."""
    left = tokens - tokens_of(prompt.instructions or "")
    kept: list[Turn] = []
    for turn in reversed(prompt.turns):
        left -= tokens_of(turn.text)
        if left < 0 and kept:
            break
        kept.append(turn)
    return replace(prompt, turns=tuple(reversed(kept)))


def size_of(prompt: Prompt) -> int:
    """Tokens, estimated."""
    return tokens_of(prompt.instructions or "") + sum(tokens_of(turn.text) for turn in prompt.turns)
