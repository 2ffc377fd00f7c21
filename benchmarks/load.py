"""An open-loop load: messages are due at their time, whatever the server does. python -m benchmarks.load SPEC.json

A process of its own, so that its cost is told apart. Latency counts from when a message was due until a member has it, over
all deliveries to all members; `last` is until the last member has it. Each delivery is looked at: lost, twice, out of order.

spec: kind parley | socketio | tutorial; do send | join | history | storm | streams | direct; sockets [{url, token, chat_id or chat_ids, user_id}]; members
(who hear each message); the rest as each verb names it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

SLICE_S, SLOW_SLICE_S = 0.005, 0.001
DRAIN_S = 5.0
_BODY = re.compile(rb'"body": ?"([0-9]+\.[0-9]+) ([0-9]+) ')
_PLACE = {"parley": re.compile(rb'"seq":([0-9]+)'), "socketio": re.compile(rb'"id":([0-9]+)'),
          "tutorial": re.compile(rb'"id": ([0-9]+)')}  # fmt: skip
WORDS = (
    "the house by the river was quiet when we came back and nobody had touched the letters on the table so we made tea and"
    " talked about what the engineers had found that morning in the long and rather boring report on water pipes"
)
"""With the two numbers before it, 45 words of ordinary length."""
ONE_WORD = "x" * 120


def percentile(found: list[float], part: float) -> float:
    """Milliseconds."""
    return found[min(len(found) - 1, int(len(found) * part))] * 1e3 if found else float("inf")


class Socket(WSListener):
    """One connection, of whatever kind. seen: whether each message came. place: of the last one."""

    def __init__(self, load: Load, place: dict[str, Any]) -> None:
        self.load, self.of = load, place
        self.ready = asyncio.Event()
        self.seen = bytearray()
        self.place = 0
        self.epoch = ""
        self.head = 0
        self.transport: WSTransport | None = None

    async def open(self, after: int | None = None) -> None:
        self.ready.clear()
        transport, _ = await ws_connect(lambda: self, self.of["url"])
        self.transport = transport
        if self.load.kind == "parley":
            hello: dict[str, Any] = {"type": "hello", "token": self.of["token"]}
            if after is not None:
                hello["resume"] = {"epoch": self.epoch, "chats": {self.of["chat_id"]: after}}
            transport.send(WSMsgType.TEXT, json.dumps(hello).encode())
        elif self.load.kind == "socketio":
            who = {"user_id": self.of["user_id"]} | ({"after": after} if after is not None else {})
            transport.send(WSMsgType.TEXT, b"40" + json.dumps(who).encode())
        else:
            self.ready.set()
        await asyncio.wait_for(self.ready.wait(), 60)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.load.closed(self)
        elif frame.msg_type == WSMsgType.TEXT:
            self.take(frame.get_payload_as_bytes())

    def take(self, payload: bytes) -> None:
        if self.load.kind == "socketio" and payload == b"2":
            assert self.transport is not None
            return self.transport.send(WSMsgType.TEXT, b"3")
        if not self.ready.is_set():
            if self.load.kind == "parley" and b'"type":"welcome"' in payload:
                first, _, payload = payload.partition(b"\n")
                welcome = json.loads(first)
                self.epoch = welcome["epoch"]
                self.head = next((c["head"] for c in welcome["chats"] if c["id"] == self.of["chat_id"]), 0)
                self.ready.set()
            elif payload.startswith(b'42["ready"'):
                self.ready.set()
        self.load.take(self, payload)

    def send(self, bodies: list[tuple[int, str]]) -> None:
        """What is due together goes together, where the protocol lets."""
        assert self.transport is not None
        chat_id = self.of["chat_id"]
        if self.load.kind == "parley":
            chats = self.of.get("chat_ids", [chat_id])
            lines = [
                f'{{"type":"message.send","ref":"{n}","chat_id":"{chats[n // self.load.senders % len(chats)]}",'
                f'"client_message_id":"{uuid4()}","body":"{body}"}}'
                for n, body in bodies
            ]
            return self.transport.send(WSMsgType.TEXT, "\n".join(lines).encode())
        for n, body in bodies:
            text = f'42{n}["message","{chat_id}","{body}"]' if self.load.kind == "socketio" else body
            self.transport.send(WSMsgType.TEXT, text.encode())


class Load:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec, self.kind = spec, spec["kind"]
        self.sockets = [Socket(self, place) for place in spec["sockets"]]
        self.text = WORDS if spec.get("words", True) else ONE_WORD
        self.latencies: list[float] = []
        self.last: dict[int, float] = {}
        self.sent = self.delivered = self.twice = self.out_of_order = self.errors = self.refused = self.closes = 0
        self.counting_from = 0.0
        self.senders = spec.get("senders", len(self.sockets))
        self.ending = False

    def closed(self, socket: Socket) -> None:
        self.closes += not self.ending

    def take(self, socket: Socket, payload: bytes) -> None:
        found = _BODY.findall(payload)
        if b'"error"' in payload:
            self.errors += payload.count(b'"type":"error"') + payload.count(b'{"error"')
            self.refused += payload.count(b'"code":"unavailable"')
        if not found:
            return
        now = time.time()
        for due_, n_ in found:
            due, n = float(due_), int(n_)
            if n >= len(socket.seen):
                socket.seen.extend(bytes(n + 1_000 - len(socket.seen)))
            if socket.seen[n]:
                self.twice += 1
                continue
            socket.seen[n] = 1
            self.delivered += 1
            if due > self.counting_from:
                self.latencies.append(now - due)
                self.last[n] = now - due
        for place_ in _PLACE[self.kind].findall(payload):
            place = int(place_)
            self.out_of_order += place < socket.place
            socket.place = max(place, socket.place)

    async def open_all(self, at_once: int = 50) -> None:
        gate = asyncio.Semaphore(at_once)

        async def one(socket: Socket) -> None:
            async with gate:
                await socket.open()

        await asyncio.gather(*map(one, self.sockets))

    async def send(self) -> dict[str, Any]:
        """rate, seconds, warm_s; senders: how many of the sockets speak (all)."""
        await self.open_all()
        print(json.dumps({"joined": len(self.sockets)}), flush=True)
        warm, rate = self.spec.get("warm_s", 1.0), self.spec["rate"]
        self.counting_from = time.time() + warm
        senders = self.sockets[: self.senders]
        began, seconds = time.monotonic(), warm + self.spec["seconds"]
        while (now := time.monotonic() - began) < seconds:
            batches: dict[int, list[tuple[int, str]]] = {}
            at = time.time()
            while self.sent <= now * rate:
                late = now - self.sent / rate
                batches.setdefault(self.sent % len(senders), []).append(
                    (self.sent, f"{at - late:.6f} {self.sent} {self.text}")
                )
                self.sent += 1
            for index, bodies in batches.items():
                senders[index].send(bodies)
            await asyncio.sleep(SLOW_SLICE_S if rate <= 1_000 else SLICE_S)
        took = time.monotonic() - began
        await self.drain(self.sent * self.spec["members"], self.spec.get("drain_s", DRAIN_S))
        return {"rate": self.sent / took, **self.judged(self.sent * self.spec["members"])}

    async def drain(self, expected: int, within_s: float = DRAIN_S) -> None:
        deadline = time.monotonic() + within_s
        while self.delivered < expected - self.refused * self.spec.get("members", 0) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)

    def judged(self, expected: int) -> dict[str, Any]:
        each, last = sorted(self.latencies), sorted(self.last.values())
        return {
            "sent": self.sent, "lost": expected - self.delivered, "doubled": self.twice, "out_of_order": self.out_of_order,
            "errors": self.errors, "refused": self.refused, "closes": self.closes, "p50_ms": percentile(each, 0.5), "p99_ms": percentile(each, 0.99),
            "last_p50_ms": percentile(last, 0.5), "last_p99_ms": percentile(last, 0.99), "max_ms": percentile(each, 1.0),
        }  # fmt: skip

    async def join(self) -> dict[str, Any]:
        """All connect at once, until each is ready; then stay for stay_s."""
        began = time.monotonic()
        await self.open_all(self.spec.get("at_once", 200))
        seconds = time.monotonic() - began
        print(json.dumps({"joined": seconds}), flush=True)
        if self.spec.get("stay_s"):
            await asyncio.sleep(self.spec["stay_s"])
        return {"seconds": seconds, "closes": self.closes}

    async def storm(self) -> dict[str, Any]:
        """All but one of each chat drop; count messages are said; all come back: until all have all."""
        await self.open_all()
        stay = list({socket.of["chat_id"]: socket for socket in self.sockets}.values())
        go = [socket for socket in self.sockets if socket not in stay]
        await asyncio.sleep(1.0)
        after = {socket: socket.head if self.kind == "parley" else self.spec.get("after", 0) for socket in go}
        self.ending = True
        for socket in go:
            assert socket.transport is not None
            socket.transport.disconnect()
        await asyncio.sleep(0.5)
        self.ending = False
        count = self.spec["count"]
        for n in range(count):
            stay[n % len(stay)].send([(n, f"{time.time():.6f} {n} {self.text}")])
            if n % 50 == 49:
                await asyncio.sleep(0.05)
        self.sent = count
        await self.drain(count, 30)
        expected = count * self.spec["members"]
        began = time.monotonic()
        opening = asyncio.gather(*(socket.open(after[socket]) for socket in go))
        await self.drain(expected, 60)
        seconds = time.monotonic() - began
        await opening
        return {"seconds": seconds, **self.judged(expected)}

    async def streams(self) -> dict[str, Any]:
        """The first device of each two asks at once; words, every_ms: of the answers. bytes: of the frames in which an answer
        comes, for each byte of its text."""
        await self.open_all()
        listeners = [Stream(socket) for socket in self.sockets]
        script = json.dumps({"words": self.spec["words"], "every_ms": self.spec["every_ms"], "stamp": True})
        asked = time.time()
        for n, socket in enumerate(self.sockets[::2]):
            assert socket.transport is not None
            question = {
                "type": "message.send", "ref": str(n), "chat_id": socket.of["chat_id"], "client_message_id": str(uuid4()),
                "body": f"script: {script}",
            }  # fmt: skip
            socket.transport.send(WSMsgType.TEXT, json.dumps(question).encode())
        deadline = asked + self.spec["words"] * self.spec["every_ms"] / 1_000 * 2 + 10
        while not all(listener.whole for listener in listeners) and time.time() < deadline:
            await asyncio.sleep(0.05)
        whole = [listener for listener in listeners if listener.whole]
        late = sorted(listener.first_late_s for listener in whole)
        begun = sorted(listener.begun_at - asked for listener in whole)
        text = max(1, sum(len(listener.text.encode()) for listener in whole))
        return {
            "sent": len(self.sockets) // 2, "lost": len(listeners) - len(whole), "p50_ms": percentile(late, 0.5),
            "p99_ms": percentile(late, 0.99), "begun_p99_ms": percentile(begun, 0.99),
            "bytes": sum(listener.bytes for listener in whole) / text,
        }  # fmt: skip

    async def direct(self) -> dict[str, Any]:
        """So many stream from the model's server itself, at once: how much later each has the first piece than it was said."""
        script = json.dumps({"words": self.spec["words"], "every_ms": self.spec["every_ms"], "stamp": True})
        asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"script: {script}"}]}
        body, parts, late = json.dumps(asked).encode(), urlsplit(self.spec["model"]), list[float]()

        async def one() -> None:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            head = f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            first = True
            async for line in reader:
                if (
                    first
                    and line.startswith(b"data: {")
                    and (found := re.search(rb'"content": ?"([0-9]+\.[0-9]+)', line))
                ):
                    late.append(time.time() - float(found.group(1)))
                    first = False
            writer.close()

        await asyncio.gather(*(one() for _ in range(self.spec["count"])))
        late.sort()
        return {"sent": len(late), "p50_ms": percentile(late, 0.5), "p99_ms": percentile(late, 0.99)}

    async def history(self) -> dict[str, Any]:
        """clients ask for the newest page, one call after the other each, for so many seconds."""
        until, answers, times = time.monotonic() + self.spec["seconds"], [0], list[float]()

        async def one(place: dict[str, Any]) -> None:
            parts = urlsplit(place["page"])
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            head = "".join(f"{name}: {value}\r\n" for name, value in place["headers"].items())
            request = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n{head}\r\n".encode()
            while time.monotonic() < until:
                began = time.monotonic()
                writer.write(request)
                answer = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: ([0-9]+)", answer, re.IGNORECASE)
                body = await reader.readexactly(int(length.group(1)) if length else 0)
                if not answer.startswith(b"HTTP/1.1 200") or body.count(b'"body":') != self.spec["page_of"]:
                    raise RuntimeError(f"{answer[:200]!r} {body[:200]!r}")
                times.append(time.monotonic() - began)
                answers[0] += 1
            writer.close()

        places = self.spec["pages"]
        await asyncio.gather(*(one(places[n % len(places)]) for n in range(self.spec["clients"])))
        found = sorted(times)
        return {"rate": answers[0] / self.spec["seconds"], "p50_ms": percentile(found, 0.5), "p99_ms": percentile(found, 0.99),
                "sent": answers[0]}  # fmt: skip


class Stream:
    """An answer as one device has it. whole: it is complete, and is what its pieces were."""

    def __init__(self, socket: Socket) -> None:
        self.text, self.bytes, self.whole = "", 0, False
        self.first_late_s = self.begun_at = 0.0
        socket.take = self.take  # type: ignore[method-assign]

    def take(self, payload: bytes) -> None:
        now = time.time()
        for line in payload.split(b"\n"):
            if b'"type":"reply.delta"' in line:
                self.bytes += len(line)
                delta = json.loads(line)
                if not self.text:
                    self.begun_at, self.first_late_s = now, now - float(delta["text"].split()[0])
                self.text += delta["text"]
            elif b'"type":"message.completed"' in line:
                self.whole = bool(self.text) and json.loads(line)["message"]["body"] == self.text


def main() -> None:
    spec = json.load(open(sys.argv[1]))  # noqa: SIM115
    load = Load(spec)
    do: Callable[[], Coroutine[Any, Any, dict[str, Any]]] = getattr(load, spec["do"])
    print(json.dumps(uvloop.run(do())))


if __name__ == "__main__":
    main()
