"""An open-loop load: messages are due at their time, whatever the server does. python -m benchmarks.load SPEC.json

A process of its own, so that its cost is told apart. Latency: from when a message was due until a member has it; measured
on two members of each chat, while all deliveries are counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any
from uuid import uuid4

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

SLICE_S = 0.02


class Load:
    """spec: kind parley|tutorial, sockets [{url, token, chat_id, user_id}], rate, seconds."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.parley = spec["kind"] == "parley"
        self.latencies: list[float] = []
        self.delivered = self.errors = self.sent = 0

    async def run(self) -> dict[str, Any]:
        watched: dict[str, int] = {}
        self.sockets = []
        for place in self.spec["sockets"]:
            watched[place["chat_id"]] = watched.get(place["chat_id"], 0) + 1
            self.sockets.append(await self._open(place, watched[place["chat_id"]] <= 2))
        warm = self.spec.get("warm_s", 1.0)
        self.counting_from = time.time() + warm
        began = time.monotonic()
        await self._send(warm + self.spec["seconds"])
        took = time.monotonic() - began
        expected = self.sent * self.spec["members"]
        deadline = time.monotonic() + self.spec.get("drain_s", 5.0)
        while self.delivered < expected and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        for socket in self.sockets:
            socket.disconnect()
        ordered = sorted(self.latencies) or [float("inf")]
        return {
            "rate": self.sent / took,
            "sent": self.sent,
            "delivered": self.delivered,
            "lost": expected - self.delivered,
            "errors": self.errors,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
        }

    async def _open(self, place: dict[str, str], watched: bool) -> WSTransport:
        listener = _Listener(self, watched)
        transport, _ = await ws_connect(lambda: listener, place["url"])
        if self.parley:
            hello = json.dumps({"type": "hello", "token": place["token"]})
            transport.send(WSMsgType.TEXT, hello.encode())
            await asyncio.wait_for(listener.first.wait(), 10)
        return transport

    async def _send(self, seconds: float) -> None:
        """Each slice of time, what became due in it; one frame per socket and slice where the protocol lets."""
        began, count, sockets, places = time.monotonic(), 0, self.sockets, self.spec["sockets"]
        rate, n, padding = self.spec["rate"], len(self.sockets), "x" * self.spec.get("padding", 120)
        while (now := time.monotonic() - began) < seconds:
            due = int(now * rate)
            batches: dict[int, list[str]] = {}
            at = time.time()
            while count < due:
                index = count % n
                late = now - count / rate
                body = f"{at - late:.6f} {padding}"
                if self.parley:
                    id_ = str(uuid4())
                    line = (
                        f'{{"type":"message.send","ref":"{count}","chat_id":"{places[index]["chat_id"]}",'
                        f'"client_message_id":"{id_}","body":"{body}"}}'
                    )
                    batches.setdefault(index, []).append(line)
                else:
                    batches.setdefault(index, []).append(body)
                count += 1
            for index, lines in batches.items():
                if self.parley:
                    sockets[index].send(WSMsgType.TEXT, "\n".join(lines).encode())
                else:
                    for line in lines:
                        sockets[index].send(WSMsgType.TEXT, line.encode())
            self.sent = count
            await asyncio.sleep(SLICE_S)

    def take(self, payload: bytes, watched: bool) -> None:
        mark, key = (b'"type":"message.created"', b'"body":"') if self.parley else (b'"user_id"', b'"body": "')
        now = time.time()
        self.delivered += payload.count(mark)
        if b'"type":"error"' in payload:
            self.errors += payload.count(b'"type":"error"')
        if watched:
            start = 0
            while (start := payload.find(key, start)) >= 0:
                start += len(key)
                due = float(payload[start : payload.index(b" ", start)])
                if due > self.counting_from:
                    self.latencies.append(now - due)


class _Listener(WSListener):
    def __init__(self, load: Load, watched: bool) -> None:
        self._load, self._watched = load, watched
        self.first = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self._load.errors += 1
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif not self.first.is_set() and self._load.parley:
            self.first.set()
        else:
            self._load.take(frame.get_payload_as_bytes(), self._watched)


def main() -> None:
    spec = json.load(open(sys.argv[1]))  # noqa: SIM115
    print(json.dumps(uvloop.run(Load(spec).run())))


if __name__ == "__main__":
    main()
