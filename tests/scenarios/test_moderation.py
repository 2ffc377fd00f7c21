"""Operators in chats that aren't theirs, and what people report to them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from parley_client import Problem
from stack.pace import within
from tests.scenarios.test_accounts import operator, refused
from tests.scenarios.test_search import say
from tests.world import People, Person, new_id


async def last_record(root: Person) -> tuple[Any, ...]:
    [record] = (await root.rest.get("/v1/admin/audit", limit=1))["items"]
    return record["actor_id"], record["act"], record["target_id"], record["details"]


async def test_a_chat_without_anybody_to_manage_it_is_handed_over(people: People) -> None:
    root, anna, ben, carl = await operator(people), *[await people.make() for _ in range(3)]
    chat_id = await people.group(anna, ben)
    client = await ben.client()
    await root.rest.patch(f"/v1/admin/users/{anna.id}", {"disabled": True})
    path = f"/v1/admin/chats/{chat_id}/owner"
    denied = await refused(ben.rest.post(path, {"user_id": ben.id, "reason": "me"}))
    assert (denied.status, denied.code) == (403, "not_allowed")
    key = new_id()
    headers = {"Idempotency-Key": key}
    member = await root.rest.post(path, {"user_id": ben.id, "reason": " its owner left the company "}, headers=headers)
    assert (member["user"]["id"], member["role"]) == (ben.id, "owner")
    again = await root.rest.post(path, {"user_id": ben.id, "reason": "its owner left the company"}, headers=headers)
    assert again == member
    await client.wait_for(lambda: len(client.chats[chat_id].events) >= 2)
    changed, told = client.chats[chat_id].events[-2:]
    assert (changed["type"], changed["actor_id"], changed["member"]["role"]) == ("member.updated", root.id, "owner")
    message = told["message"]
    assert (told["type"], told["actor_id"], message["sender_id"], message["kind"]) == (
        "message.created",
        None,
        None,
        "system",
    )
    assert message["body"].endswith(" was made an owner by an operator: its owner left the company")
    details = {"chat_id": chat_id, "reason": "its owner left the company"}
    assert await last_record(root) == (root.id, "chat.owner", ben.id, details)
    [mine] = [chat for chat in (await ben.rest.get("/v1/chats"))["items"] if chat["id"] == chat_id]
    assert mine["unread"] == 0 and mine["last_message"]["sender_id"] is None
    timeline = (await ben.rest.get(f"/v1/chats/{chat_id}/timeline", limit=100))["items"]
    assert timeline[-2:] == [changed, told]
    added = await root.rest.post(path, {"user_id": carl.id, "reason": "helps"})
    assert added["role"] == "owner" and (await carl.rest.get(f"/v1/chats/{chat_id}"))["my_role"] == "owner"
    assert (await refused(root.rest.post(path, {"user_id": new_id(), "reason": "x"}))).code == "not_found"
    assert (await refused(root.rest.post(path, {"user_id": carl.id, "reason": " \u200b"}))).code == "empty"
    assert (await refused(root.rest.post(path, {"user_id": carl.id}))).code == "invalid"


async def test_a_reported_message_is_seen_deleted_and_the_report_closed(people: People) -> None:
    root, anna, ben, stranger = await operator(people), *[await people.make() for _ in range(3)]
    chat_id = await people.group(anna, ben)
    message = await say(anna, chat_id, "buy my coins")
    path = f"/v1/chats/{chat_id}/messages/{message['id']}/report"
    first = await ben.rest.call("POST", path, json={"reason": "spam"})
    assert first.status_code == 201
    report = first.json()
    assert (report["reporter_id"], report["reason"], report["closed_at"]) == (ben.id, "spam", None)
    second = await ben.rest.call("POST", path, json={"reason": "really spam"})
    assert second.status_code == 200 and second.json() == report
    assert (await refused(stranger.rest.post(path, {"reason": "x"}))).code == "not_found"
    missing = path.replace(message["id"], new_id())
    assert (await refused(ben.rest.post(missing, {"reason": "x"}))).code == "not_found"
    assert (await refused(ben.rest.post(path, {"reason": ""}))).code == "empty"
    open_ = (await root.rest.get("/v1/admin/reports", open="true"))["items"]
    assert report in open_ and report not in (await root.rest.get("/v1/admin/reports", open="false"))["items"]
    async with within(2):
        while True:
            try:
                seen = await root.rest.get(f"/v1/admin/messages/{message['id']}")
                break
            except Problem:
                await asyncio.sleep(0.1)
    assert (seen["body"], seen["chat_id"], seen["sender_id"]) == ("buy my coins", chat_id, anna.id)
    assert await last_record(root) == (root.id, "message.read", message["id"], {"chat_id": chat_id})
    delete = f"/v1/admin/chats/{chat_id}/messages/{message['id']}/delete"
    tombstone = await root.rest.post(delete, {"reason": "spam"})
    assert tombstone["body"] is None and tombstone["deleted_at"] is not None
    assert await last_record(root) == (root.id, "chat.delete", message["id"], {"chat_id": chat_id, "reason": "spam"})
    newest = (await ben.rest.get(f"/v1/chats/{chat_id}/messages", limit=1))["items"][0]
    assert (newest["kind"], newest["body"]) == ("system", "A message was deleted by an operator: spam")
    undeletable = await refused(anna.rest.delete(f"/v1/chats/{chat_id}/messages/{newest['id']}"))
    assert undeletable.code == "conflict"
    closing = f"/v1/admin/reports/{report['id']}"
    closed = await root.rest.patch(closing, {"closed": True, "note": "deleted"})
    assert (closed["closed_by"], closed["note"]) == (root.id, "deleted") and closed["closed_at"] is not None
    assert await root.rest.patch(closing, {"closed": True, "note": "other"}) == closed, "the first note stays"
    assert report["id"] not in {one["id"] for one in (await root.rest.get("/v1/admin/reports", open="true"))["items"]}
    page = await root.rest.get("/v1/admin/reports", limit=1)
    assert [one["id"] for one in page["items"]] == [report["id"]]
    for call in (
        ben.rest.get("/v1/admin/reports"), ben.rest.patch(closing, {"closed": True}), ben.rest.post(delete, {"reason": "x"}),
        ben.rest.get(f"/v1/admin/messages/{message['id']}"),
    ):  # fmt: skip
        assert (await refused(call)).code == "not_allowed"
    for status, call in (
        (404, root.rest.get(f"/v1/admin/messages/{new_id()}")),
        (404, root.rest.patch(f"/v1/admin/reports/{new_id()}", {"closed": True})),
    ):
        assert (await refused(call)).status == status


async def test_people_are_muted_and_banned_until_a_time_or_for_ever(people: People) -> None:
    root, anna, ben = await operator(people), await people.make(), await people.make()
    chat_id = await people.group(anna, ben)
    path = f"/v1/admin/chats/{chat_id}/members"
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert (
        await root.rest.call("POST", f"{path}/{anna.id}/mute", json={"reason": "heat", "until": soon})
    ).status_code == 204
    assert (
        await refused(anna.rest.post(f"/v1/chats/{chat_id}/messages", {"client_message_id": new_id(), "body": "x"}))
    ).code == "muted"
    mine = (await anna.rest.get(f"/v1/chats/{chat_id}/members"))["items"]
    assert {m["user"]["id"]: m["muted_until"] for m in mine} == {anna.id: soon, ben.id: None}
    assert (await refused(root.rest.post(f"{path}/{anna.id}/unmute", {"reason": "x", "until": soon}))).code == "invalid"
    await root.rest.post(f"{path}/{anna.id}/unmute", {"reason": "cooled"})
    await say(anna, chat_id, "I can speak")
    ends = datetime.now(UTC) + timedelta(seconds=3)
    until = ends.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    await root.rest.post(f"{path}/{ben.id}/ban", {"reason": "spam", "until": until})
    assert await last_record(root) == (
        root.id, "chat.ban", ben.id, {"chat_id": chat_id, "reason": "spam", "until": until},
    )  # fmt: skip
    add = {"user_id": ben.id}
    assert (await refused(anna.rest.post(f"/v1/chats/{chat_id}/members", add))).code == "banned"
    assert [p["id"] for p in (await anna.rest.get(f"/v1/chats/{chat_id}/bans"))["items"]] == [ben.id]
    await asyncio.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 0.1)
    assert (await anna.rest.get(f"/v1/chats/{chat_id}/bans"))["items"] == []
    assert (await anna.rest.post(f"/v1/chats/{chat_id}/members", add))["user"]["id"] == ben.id, "it is over by itself"
    await root.rest.post(f"{path}/{ben.id}/ban", {"reason": "again"})
    assert (await refused(anna.rest.post(f"/v1/chats/{chat_id}/members", add))).code == "banned"
    await root.rest.post(f"{path}/{ben.id}/unban", {"reason": "sorry"})
    await anna.rest.post(f"/v1/chats/{chat_id}/members", add)
    for act in ("promote", "owner"):
        assert (await refused(root.rest.post(f"{path}/{ben.id}/{act}", {"reason": "x"}))).code == "invalid"
    direct = (await anna.rest.post("/v1/chats", {"kind": "direct", "member_ids": [ben.id]}))["id"]
    for act, target in (("members/" + ben.id + "/ban", {}), ("owner", {"user_id": ben.id})):
        assert (
            await refused(root.rest.post(f"/v1/admin/chats/{direct}/{act}", {"reason": "x", **target}))
        ).code == "conflict"
    await root.rest.post(f"/v1/admin/chats/{direct}/members/{ben.id}/mute", {"reason": "x"})
    assert (
        await refused(root.rest.post(f"/v1/admin/chats/{new_id()}/members/{ben.id}/mute", {"reason": "x"}))
    ).code == "not_found"
