"""parley_client does what the golden transcripts say; the web client's core runs the same (web/test/transcripts.test.ts)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from parley_client import Client, Rejected, client
from parley_client.replies import Replies
from tests.unit import virtual_time

FILES = sorted((Path(__file__).parents[1] / "transcripts").glob("*.jsonl"))


class Socket:
    """What `websockets` gives, of a connection whose other end is the transcript."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self.transport = self
        self._coming: asyncio.Queue[str | None] = asyncio.Queue()

    async def send(self, text: str) -> None:
        self.said += [json.loads(line) for line in text.split("\n")]

    def __aiter__(self) -> AsyncIterator[str]:
        return self._texts()

    async def _texts(self) -> AsyncIterator[str]:
        while (text := await self._coming.get()) is not None:
            yield text

    def say(self, frame: dict[str, Any]) -> None:
        self._coming.put_nowait(json.dumps(frame))

    def end(self, code: int) -> None:
        self.close_code = code
        self._coming.put_nowait(None)

    def abort(self) -> None: ...

    async def close(self) -> None: ...


class Rest:
    url, refresh_token = "http://service", "a token"

    async def token(self) -> str:
        return "an access token"

    async def refresh(self) -> None: ...


class Play:
    """One transcript, against one client."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._asked: asyncio.Queue[asyncio.Future[Socket]] = asyncio.Queue()
        self._socket = Socket()
        self._refs: dict[str, str] = {}
        self._applied: list[list[Any]] = []
        self._over: list[str] = []
        self._rejected: dict[str, str] = {}
        self._replies = Replies()
        monkeypatch.setattr(client, "connect", self._connect)
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        rest: Any = Rest()
        self._client = Client(rest, on_frame=self._heard, on_event=self._applies)

    async def _connect(self, *_: Any, **__: Any) -> Socket:
        asked: asyncio.Future[Socket] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait(asked)
        return await asked

    def _heard(self, frame: dict[str, Any]) -> None:
        if frame["type"] in ("reply.delta", "reply.snapshot"):
            self._replies.take(frame)

    def _applies(self, event: dict[str, Any]) -> None:
        self._applied.append([event["chat_id"], event["seq"], event["type"]])
        if event["type"] == "message.completed" and "message" in event:
            self._replies.end(event["message"]["id"])

    async def run(self, lines: list[dict[str, Any]]) -> None:
        starting = asyncio.create_task(self._client.start(1e9))
        for number, line in enumerate(lines, 1):
            await settled()
            try:
                await self._play(line)
            except AssertionError as error:
                raise AssertionError(f"line {number}: {line}") from error
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self._client.close()

    async def _play(self, line: dict[str, Any]) -> None:
        match line:
            case {"open": _}:
                self._socket = Socket()
                self._asked.get_nowait().set_result(self._socket)
            case {"quiet": _}:
                assert self._asked.empty() and not self._socket.said
            case {"client": wanted}:
                said = self._socket.said.pop(0)
                assert {name: said.get(name) for name in wanted} == wanted
                assert not set(line.get("without", ())) & set(said)
                if "ref" in line:
                    self._refs[f"${line['ref']}"] = said["ref"]
            case {"service": frame}:
                self._socket.say(frame | ({"ref": self._refs[frame["ref"]]} if "ref" in frame else {}))
            case {"do": {"send": given}}:
                self._follow(given["id"], self._client.send(given["chat_id"], given["body"], id_=given["id"]))
            case {"do": {"command": given}}:
                fields = {name: value for name, value in given.items() if name not in ("type", "chat_id", "id")}
                done = self._client.command(given["type"], given["chat_id"], command_id=given["id"], **fields)
                self._follow(given["id"], done)
            case {"close": code}:
                self._socket.end(code)
            case {"wait_ms": ms}:
                await asyncio.sleep(ms / 1000)
            case {"end": wanted}:
                assert not self._socket.said, self._socket.said
                assert wanted == {
                    "status": self._client.status,
                    "cursors": {
                        id_: chat.cursor for id_, chat in self._client.chats.items() if chat.cursor is not None
                    },
                    "applied": self._applied,
                    "over": self._over,
                    "rejected": self._rejected,
                    "unfinished": self._client.unfinished,
                    "replies": {id_: writing.text for id_, writing in self._replies.writing.items()},
                }
            case _:
                raise AssertionError("no such line")

    def _follow(self, id_: str, done: asyncio.Future[dict[str, Any]]) -> None:
        def ended(future: asyncio.Future[dict[str, Any]]) -> None:
            error = None if future.cancelled() else future.exception()
            if isinstance(error, Rejected):
                self._rejected[id_] = error.code
            elif error is None:
                self._over.append(id_)

        done.add_done_callback(ended)


async def settled() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_transcript(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        await Play(monkeypatch).run([json.loads(line) for line in file.read_text().splitlines()])

    virtual_time.run(play())
