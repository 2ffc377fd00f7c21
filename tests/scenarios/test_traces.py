"""One trace shows the whole journey of a message, and of an answer, over all processes; no text stands in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from parley_client import Problem
from stack.otlp_receiver import OtlpReceiver
from stack.pace import within
from stack.servers import Servers
from tests.world import People, World, new_id, start_embedded, start_real, stop_embedded

CANARY = "canary-9d1e"
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


async def traced(receiver: OtlpReceiver, good: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The spans of the first trace that is good, in some seconds."""
    async with within(15):
        while True:
            traces: dict[str, list[dict[str, Any]]] = {}
            for span in list(receiver.spans):
                traces.setdefault(span["trace"], []).append(span)
            for spans in traces.values():
                if good(spans):
                    return spans
            await asyncio.sleep(0.1)


async def journey(world: World, receiver: OtlpReceiver) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The trace of a question by socket with its answer, and of a message by REST."""
    people = People(world)
    anna = await people.make()
    chat_id = str((await anna.rest.post("/v1/chats", {"kind": "assistant"}))["id"])
    client = await anna.client(1)
    await client.send(chat_id, f"{CANARY} question")
    await client.wait_for(lambda: [e for e in client.chats[chat_id].events if e["type"] == "message.completed"], 20)

    def answered(spans: list[dict[str, Any]]) -> bool:
        found = {span["name"] for span in spans}
        return {"submit message.send", "submit reply.complete", "model"} <= found and sum(
            span["name"] == "deliver" for span in spans
        ) >= 2

    by_socket = await traced(receiver, answered)
    group = await people.group(anna)
    listener = await anna.socket()
    await anna.rest.post(f"/v1/chats/{group}/messages", {"client_message_id": new_id(), "body": CANARY})
    await listener.expect("message.created")

    def by_rest(spans: list[dict[str, Any]]) -> bool:
        found = {span["name"] for span in spans}
        return {"POST /v1/chats/{chat_id}/messages", "deliver", "decided"} <= found

    found = await traced(receiver, by_rest)
    await anna.rest.get("/v1/search", q=CANARY)
    with suppress(Problem):
        await anna.rest.get("/v1/me", access_token=f"{CANARY}.token")
    await traced(receiver, lambda spans: any(span["name"] == "GET /v1/search" for span in spans))
    await people.close()
    assert CANARY not in json.dumps(receiver.spans)
    assert (anna.rest.access_token or "?") not in json.dumps(receiver.spans)
    return by_socket, found


async def test_the_trace_of_a_message_and_its_answer_over_all_processes(servers: Servers) -> None:
    with OtlpReceiver() as receiver:
        environment = QUICK | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        environment["BROKER_URL"] = servers.rabbitmq.vhost("traces")
        url = servers.postgres.database(f"traces_{new_id()[:8]}")
        world = start_real(servers, environment=environment, database_url=url)
        assert world.stack is not None and world.model is not None
        try:
            by_socket, by_rest = await journey(world, receiver)
        finally:
            world.stack.stop()
            world.model.child.stop()
        by_socket = [span for span in receiver.spans if span["trace"] == by_socket[0]["trace"]]
    services: dict[str, set[str]] = {}
    for span in by_socket:
        services.setdefault(span["service"], set()).add(span["name"])
    assert {"submit message.send", "deliver"} <= services["parley-gateway"]
    assert {"decide batch", "decided", "announce"} <= services["parley-worker"]
    assert {"reply", "model", "submit reply.complete"} <= services["parley-assistant"]
    worker = {span["name"] for span in by_socket if span["service"] == "parley-worker"}
    assert worker & {"SELECT", "INSERT", "UPDATE"} or any("select" in name.lower() for name in worker), worker
    assert any("PUBLISH" in name.upper() or "PIPELINE" in name.upper() or name == "redis" for name in worker), worker
    assert "decide batch" in {span["name"] for span in by_rest}
    ids = {span["span"] for span in by_socket}
    roots = [span for span in by_socket if span["parent"] not in ids]
    assert [span["name"] for span in roots] == ["submit message.send"], "one tree"


@pytest.mark.long
async def test_the_trace_of_a_message_in_one_process() -> None:
    with OtlpReceiver() as receiver:
        world = start_embedded(QUICK | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
        try:
            by_socket, _ = await journey(world, receiver)
        finally:
            stop_embedded(world)
    assert {"decide batch", "decided", "announce", "deliver", "reply", "model"} <= {span["name"] for span in by_socket}
