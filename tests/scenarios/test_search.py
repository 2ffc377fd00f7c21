from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stack.pace import within
from tests.scenarios.test_accounts import refused
from tests.world import People, Person, World, new_id


async def say(person: Person, chat_id: str, body: str) -> dict[str, Any]:
    message = {"client_message_id": new_id(), "body": body}
    return dict(await person.rest.post(f"/v1/chats/{chat_id}/messages", message))


async def found(person: Person, q: str, **more: Any) -> list[str]:
    return [item["id"] for item in (await person.rest.get("/v1/search", q=q, **more))["items"]]


async def until(person: Person, q: str, ids: list[str], **more: Any) -> None:
    """The index follows the commits within 2 s."""
    async with within(2):
        while await found(person, q, **more) != ids:
            await asyncio.sleep(0.05)


async def test_all_the_words_in_any_order_and_case_newest_first(people: People) -> None:
    anna, bert = await people.make(), await people.make()
    one, two = await people.group(anna, bert), await people.group(anna)
    first = await say(anna, one, "The quick brown Fox, jumps.")
    second = await say(bert, one, "a FOX is not quick-witted (see fox.example.org/quick_start)")
    third = await say(anna, two, "Größe und Übermut: der Fuchs")
    await until(anna, "größe", [third["id"]])
    assert await found(anna, "fox quick") == [second["id"], first["id"]]
    assert await found(anna, "QUICK, fox!") == [second["id"], first["id"]]
    assert await found(anna, "fox jumps") == [first["id"]]
    assert await found(anna, "größe ÜBERMUT") == [third["id"]]
    assert await found(anna, "example start") == [second["id"]]
    assert await found(anna, "fo") == [] and await found(anna, "fox nowhere") == []
    assert await found(anna, "fox", sender_id=bert.id) == [second["id"]]
    assert await found(anna, "fox", chat_id=two) == []
    assert await found(anna, "fox", since=second["created_at"]) == [second["id"]]
    assert await found(anna, "fox", until=second["created_at"]) == [first["id"]]
    page = await anna.rest.get("/v1/search", q="fox quick", limit=1)
    [item] = page["items"]
    words = [item["body"][start : start + length] for start, length in item["highlights"]]
    assert words == ["FOX", "quick", "fox", "quick"]
    last = await anna.rest.get("/v1/search", q="fox quick", limit=1, cursor=page["next_cursor"])
    assert [i["id"] for i in last["items"]] == [first["id"]] and last["next_cursor"] is None
    for query in ("", "  ", "?!", "fox\x00", "w " * 251, " ".join(f"w{n}" for n in range(21))):
        assert (await refused(anna.rest.get("/v1/search", q=query))).code == "invalid", query
    other = await refused(anna.rest.get("/v1/search", q="fox", cursor=page["next_cursor"]))
    assert other.code == "invalid", "a cursor is bound to its query"
    for q in ("fox' or 1=1 --", 'fox" OR body:"x', "fox:* & !quick", "NEAR(fox quick)"):
        await found(anna, q)


async def test_edits_deletions_and_memberships_are_followed_at_once(people: People) -> None:
    anna, bert, stranger = [await people.make() for _ in range(3)]
    chat_id = await people.group(anna, bert)
    message = await say(anna, chat_id, "zebra crossing")
    path = f"/v1/chats/{chat_id}/messages/{message['id']}"
    await until(bert, "zebra", [message["id"]])
    assert await found(stranger, "zebra") == []
    missing = await refused(stranger.rest.get("/v1/search", q="zebra", chat_id=new_id()))
    hidden = await refused(stranger.rest.get("/v1/search", q="zebra", chat_id=chat_id))
    assert (hidden.status, hidden.body) == (missing.status, missing.body) and hidden.code == "not_found"
    await anna.rest.patch(path, {"body": "giraffe crossing"})
    assert await found(bert, "zebra") == []
    await until(bert, "giraffe crossing", [message["id"]])
    await anna.rest.delete(f"/v1/chats/{chat_id}/members/{bert.id}")
    assert await found(bert, "giraffe") == []
    await anna.rest.post(f"/v1/chats/{chat_id}/members", {"user_id": bert.id})
    assert await found(bert, "giraffe") == [message["id"]]
    await anna.rest.delete(path)
    assert await found(anna, "giraffe") == []


async def test_an_answer_is_found_once_it_is_written(people: People) -> None:
    anna = await people.make()
    chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])
    client = await anna.client()
    await client.send(chat_id, "one sentence about okapi")
    ends = await client.wait_for(
        lambda: [e["message"] for e in client.chats[chat_id].events if e["type"] == "message.completed"], 20
    )
    word = ends[0]["body"].split()[0].strip(".,:!?").lower()
    async with within(2):
        while ends[0]["id"] not in await found(anna, word, sender_id=ends[0]["sender_id"]):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("said", "asked", "marked"),
    [
        ("ΣΊΣΥΦΟΣ", "σίσυφος", "ΣΊΣΥΦΟΣ"), ("हिन्दी text", "हिन्दी", "हिन्दी"), ("สวัสดีครับ", "ครับ", "ครับ"),
        ("cafe\u0301 au lait", "caf\u00e9", "cafe\u0301"), ("caf\u00e9 crème", "cre\u0300me", "crème"), ("ДЁШЕВО и", "дёшево", "ДЁШЕВО"),
        ("我在東京タワー", "東京", "東京"), ("去上海吧", "上海", "上海"), ("내일 회의실에서", "회의실", "회의실"), ("ａｂｃ", "ABC", "ａｂｃ"),
        ("fox❤️hunt", "hunt", "hunt"), ("မြန်မာစာ", "မာစာ", "မာစာ"), ("ភាសាខ្មែរ", "ខ្មែរ", "ខ្មែរ"), ("ພາສາລາວ", "ລາວ", "ລາວ"),
        ("ｶﾞｷﾞｸﾞ", "ガギ", "ｶﾞｷﾞ"), ("İSTANBUL", "istanbul", "İSTANBUL"), ("Straße", "STRASSE", "Straße"), ("می‌خواهم", "میخواهم", "می‌خواهم"),
    ],
)  # fmt: skip
async def test_words_of_every_script_are_found_as_they_are_read(
    people: People, said: str, asked: str, marked: str
) -> None:
    anna = await people.make()
    message = await say(anna, await people.group(anna), said)
    await until(anna, asked, [message["id"]])
    [item] = (await anna.rest.get("/v1/search", q=asked))["items"]
    assert [said[start : start + length] for start, length in item["highlights"]] == [marked]


async def test_what_only_looks_alike_to_a_database_is_not_found(people: People) -> None:
    anna = await people.make()
    chat_id = await people.group(anna)
    for text in ("ข่าว", "दी हिन", "京東", "fox ❤️", "회 의실"):
        await say(anna, chat_id, text)
    last = await say(anna, chat_id, "last")
    await until(anna, "last", [last["id"]])
    for query in ("ข้าว", "हिन्दी", "東京", "회의실"):
        assert await found(anna, query) == [], query
    assert (await refused(anna.rest.get("/v1/search", q="❤️"))).code == "invalid", "no word"


async def test_the_command_indexes_all_anew_beside_the_service(real: World) -> None:
    assert real.stack is not None
    people = People(real)
    anna = await people.make()
    chat_id = await people.group(anna)
    word = f"w{new_id()[-12:]}"
    said = await say(anna, chat_id, f"{word} of before")
    await until(anna, word, [said["id"]])
    done = await asyncio.to_thread(real.stack.make("gateway", 7).run, "reindex")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    later = await say(anna, chat_id, f"{word} of behind it")
    async with within(20):
        while await found(anna, word) != [later["id"], said["id"]]:
            await asyncio.sleep(0.1)
    await people.close()
