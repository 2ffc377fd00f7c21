"""A chat longer than what is sent of it: summed up behind an answer, and told so in provenance."""

from __future__ import annotations

import asyncio
from typing import Any

from stack.pace import within
from tests.scenarios.test_from_joining import said
from tests.scenarios.test_replies import ended
from tests.world import People, World, new_id

SAYS = "script: " + '{"text": "Anna keeps the keys.", "every_ms": 1}'


async def test_what_is_above_the_newest_turns_is_sent_summed_up_until_it_changes(real: World) -> None:
    people = People(real)
    anna, ben = await people.make(), await people.make()
    chat_id, mark = await people.group(anna, ben), new_id()
    path = f"/v1/chats/{chat_id}"
    client = await anna.client(0)
    first = await said(ben, chat_id, f"{mark} the keys are with Anna")
    for n in range(42):
        await said((anna, ben)[n % 2], chat_id, SAYS if n == 10 else f"{mark} line {n}")

    async def asked(count: int) -> tuple[list[str], dict[str, Any]]:
        """What is sent for the next question, and how its answer came about."""
        await client.send(chat_id, f"@assistant {mark} " + 'script: {"words": 3} ' + f"question {count}")
        answer = (await ended(client, chat_id, count))[-1]["message"]
        sent = [text for text in await log() if text[-1].rstrip().endswith(f"question {count}")]
        assert len(sent) == 1
        return sent[0], await anna.rest.get(f"{path}/messages/{answer['id']}/provenance")

    async def log() -> list[list[str]]:
        assert real.model is not None
        calls = (await anna.rest.http.get(f"{real.model.url}/log")).json()
        texts = [[turn["content"] for turn in call["messages"] if turn["role"] != "system"] for call in calls]
        return [text for text in texts if mark in "".join(text)]

    async def summaries(count: int) -> list[str]:
        async with within(10):
            while True:
                found = ["".join(text) for text in await log() if text[0].startswith("Sum up")]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.1)

    texts, provenance = await asked(1)
    assert len(provenance["context"]) == 44 and provenance["summary"] is None and "line 0" in texts[0]
    [asking] = await summaries(1)
    assert "the keys are with Anna" in asking and "line 22" in asking and "line 23" not in asking
    async with within(10):  # it is counted with the answer behind which it was made
        while (await anna.rest.get("/v1/me/usage"))["items"][0]["input_tokens"] <= provenance["usage"]["prompt_tokens"]:
            await asyncio.sleep(0.1)
    texts, provenance = await asked(2)
    summary = provenance["summary"]
    assert (summary["from_seq"], summary["to_seq"]) == (first["seq"], first["seq"] + 23)
    assert summary["body"] in texts[0] and "line 22" not in texts[0] and "line 23" in texts[0]
    assert min(place["seq"] for place in provenance["context"]) == summary["to_seq"] + 1
    assert (
        await ben.rest.get(f"{path}/messages/{(await ended(client, chat_id, 2))[-1]['message']['id']}/provenance")
    ) == provenance
    await ben.rest.delete(f"{path}/messages/{first['id']}")
    texts, provenance = await asked(3)
    assert provenance["summary"] is None and "summed up:" not in "".join(texts)
    assert "the keys are with Anna" not in "".join(texts), "what was deleted is nowhere"
    await people.close()
