"""A room of 500 lines with two assistants: people mention, quote, paste code and links. Who is called answers, and nobody else."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from itertools import cycle

import pytest

from app.application.summaries import SUM_UP
from stack.pace import within
from tests.scenarios.test_accounts import operator
from tests.scenarios.test_several_assistants import assistant
from tests.world import People, World, new_id

LINES = 500


def lines(a: str, b: str) -> list[tuple[str, tuple[str, ...]]]:
    """(a line, whom it calls), by what people write. a, b: the assistants' usernames."""
    return [
        (f"@{a} what do you think?", (a,)), (f"so, @{b}: again?", (b,)), (f"(@{a}) and @{b}.", (a, b)),
        (f"@{b} @{a} @{b}", (b, a)), (f"@{a.upper()}, hello", (a,)), (f"Thanks @{a}!\n> @{b} said so", (a,)),
        (f"- @{b} in a list", (b,)), (f"東京@{a}さん", (a,)), (f"**@{b}** please", (b,)),
        ("nobody is meant", ()), (f"`@{a}` is how one calls it", ()), (f"```\n@{a} in code\n@{b}\n```", ()),
        (f"> @{a} said somebody", ()), (f"    @{b} is set in", ()), (f"https://x.example/@{a}", ()),
        (f"[@{b}](https://x.example)", ()), (f"mail me@{a}.example", ()), (f"@{a}@x.example", ()), (f"@{b}:x.example", ()),
        (f"@{a}x and @x{b}", ()), (f"@{a}/path", ()), (f"@@{b}", ()), (f"{a} without a sign", ()), ("@somebody else", ()),
        (f"<https://x.example?@{a}>", ()), (f"~~~py\nprint('@{b}')\n~~~", ()),
    ]  # fmt: skip


@pytest.mark.long
async def test_five_hundred_lines_make_exactly_the_calls_that_are_meant(real: World) -> None:
    people = People(real)
    root = await operator(people)
    one, other = await assistant(root), await assistant(root)
    talkers = [await people.make() for _ in range(4)]
    chat_id = await people.group(*talkers)
    clients = [await person.client(n) for n, person in enumerate(talkers)]
    a, b = one["username"], other["username"]
    ids = {a: one["user_id"], b: other["user_id"]}
    said = [line for line, _ in zip(cycle(lines(a, b)), range(LINES), strict=False)]
    random.Random(500).shuffle(said)
    expected: Counter[tuple[str, str]] = Counter()
    marks: dict[str, str] = {}
    for n, (line, calls) in enumerate(said):
        mark = new_id()
        # Their answers name each other; the line itself doesn't by that.
        script = json.dumps({"text": f"@{a} and @{b}, what do you say? @assistant", "mark": mark}).replace(
            "@", "\\u0040"
        )
        event = await clients[n % 4].send(chat_id, f"{line}\n\nscript: {script}")
        marks[event["message"]["id"]] = mark
        expected.update((mark, ids[name]) for name in calls)
    wanted = expected.total()
    assert wanted > 150
    watching = clients[0].chats[chat_id]
    async with within(60):
        while sum(event["type"] == "message.completed" for event in watching.events) < wanted:
            await asyncio.sleep(0.1)
    await asyncio.sleep(2)
    ends = [event["message"] for event in watching.events if event["type"] == "message.completed"]
    answered = Counter((marks[end["reply_to"]], end["sender_id"]) for end in ends)
    assert answered == expected and {end["status"] for end in ends} == {"complete"}
    assert real.model is not None
    log = (await talkers[0].rest.http.get(f"{real.model.url}/log")).json()
    asked: Counter[str] = Counter()
    for entry in log:
        content = entry["messages"][-1]["content"]
        if content.endswith(SUM_UP):  # of a long group, behind its answers: nobody asked for it
            continue
        last = max(marks.values(), key=content.rfind)
        if last in content:
            asked[last] += 1
    assert asked == Counter(mark for mark, _ in expected.elements()), "no other call, and no loop"
    created = [event for event in watching.events if event["type"] == "message.created"]
    assert len(created) == LINES + wanted
    await people.close()
