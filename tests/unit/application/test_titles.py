"""A chat's name is what the model says, without what it puts around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.adapters.assistant.demo import DemoModel
from app.application.ports.held import NothingHeld
from app.application.ports.model import Delta, Finish, Piece, Prompt, Purpose, Thinking
from app.application.titles import TITLE_MAX, title_in, title_of


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Tea at four", "Tea at four"), ('"Tea at four."', "Tea at four"), ("**Title: Tea at four**", "Tea at four"),
        ("\n\n# Tea at four\nand more", "Tea at four"), ("„Tee um vier“", "Tee um vier"), ("四点的茶。", "四点的茶。"), ("Learning C#", "Learning C#"), ("Title:\nTea", "Tea"), ("", None),
        ('""', None), ("\u200b", None), ("a" * 100, "a" * TITLE_MAX + " …"), ("word " * 40, "word word word word word word word word word word word word …"),
    ],
)  # fmt: skip
def test_a_title_is_one_line_without_its_marks(said: str, title: str | None) -> None:
    assert title_in(said) == title


class Model(NothingHeld):
    def __init__(self, *pieces: Any) -> None:
        self.pieces, self.read, self.asked = pieces, 0, list[Prompt]()

    async def stream(self, prompt: Prompt) -> AsyncIterator[Piece]:
        self.asked.append(prompt)
        for piece in self.pieces:
            self.read += 1
            yield piece


def test_it_is_asked_with_a_part_of_both_and_no_more_is_read_than_a_title_takes() -> None:
    model = Model(Thinking("hm"), Delta("Tea at"), Delta(" four"), Delta("\nSince "), Delta("you asked"), Finish(None))
    assert asyncio.run(title_of(model, "cheap", "", "q" * 9_000, "a" * 9_000))[0] == "Tea at four"
    assert model.read == 4 and model.asked[0].model == "cheap" and model.asked[0].purpose is Purpose.TITLE
    [turn] = model.asked[0].turns
    assert len(turn.text) < 3_200 and "qqq" in turn.text and "aaa" in turn.text
    endless = Model(*[Delta("x" * 50)] * 1_000)
    asyncio.run(title_of(endless, None, "", "q", "a"))
    assert endless.read < 10


def test_the_demo_names_a_chat_by_its_question() -> None:
    assert (
        asyncio.run(title_of(DemoModel(), None, "", "Please write forty sentences about tea", "x"))[0]
        == "Please write forty sentences about tea"
    )
