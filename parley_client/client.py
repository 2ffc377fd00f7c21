"""The model of a good client: what docs/protocol.md tells a client to do, and nothing else.

It keeps a command until it is over, resends what is not over after a reconnect (oldest first, same ids), holds back
what is behind a refused command in that chat, applies each seq once and in order, and closes gaps with `sync`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection, connect

from parley_client import frames
from parley_client.rest import Problem, Rest

ACCEPTED_S = 5.0
OVER_S = 10.0
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
PONG_S = 10.0
WAIT_AFTER_4429_S = 30.0
FRAME_BYTES = 64 * 1024
_NEVER_AGAIN = (1002, 1003, 1007, 1009, 4400)

Frame = dict[str, Any]
"""A frame as it came; its fields by type stand in `frames.py`."""
Hear = Callable[[frames.Frame], None] | Callable[[Frame], None]
HearEvent = Callable[[frames.Event], None] | Callable[[Frame], None]
"""An event of a type that this client doesn't know comes too: branch by `type`, and pass by what you don't name."""


class Rejected(Exception):
    """The rules said no, for good: a new try takes a new id."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame["code"], frame.get("reason"))
        self.code: str = frame["code"]
        self.reason: str = frame.get("reason", "")
        self.policies: list[str] = frame.get("policies", [])


@dataclass(slots=True, eq=False)
class _Open:
    """A command that is not over."""

    id: str
    chat_id: str
    frame: Frame
    done: asyncio.Future[Frame]
    sent_at: float | None = None
    accepted: bool = False


@dataclass(slots=True)
class ChatState:
    """cursor: the last seq applied. events: what was applied since the beginning or the last reset."""

    cursor: int | None = None
    events: list[Frame] = field(default_factory=list)
    syncing: bool = False
    held_until: float = 0.0
    unhold: asyncio.TimerHandle | None = None


class Client:
    """One person's socket that stays, across losses of every kind, until `close`.

    on_frame: called with every frame, before it is applied. on_event: with every durable event, applied, once, in order. urls: gateways to choose from at each connect.
    keep_events: keep all applied events in `chats[…].events`, for those who check.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        urls: list[str] | None = None,
        on_frame: Hear | None = None,
        on_event: HearEvent | None = None,
        keep_events: bool = False,
        backoff_first_s: float = BACKOFF_FIRST_S,
        backoff_max_s: float = BACKOFF_MAX_S,
    ) -> None:
        self.rest = rest
        self.urls = urls or [rest.url]
        self.chats: dict[str, ChatState] = {}
        self.welcome: Frame = {}
        self.connections = 0
        """How often it was welcomed."""
        self.status = "new"
        self.closed_with: list[int] = []
        self.errors: dict[str, str] = {}
        self._on_frame: Callable[[Any], None] = on_frame or (lambda frame: None)
        self._on_event: Callable[[Any], None] = on_event or (lambda event: None)
        self._keep_events = keep_events
        self._backoff_first_s, self._backoff_max_s = backoff_first_s, backoff_max_s
        self._open: dict[str, _Open] = {}
        self._refs = itertools.count(1)
        self._by_ref: dict[str, _Open] = {}
        self._asked: dict[str, asyncio.Future[Frame]] = {}
        self._socket: ClientConnection | None = None
        self._awaiting: set[str] = set()
        self._named: dict[str, int] = {}
        self._ready = asyncio.Event()
        self._frames: asyncio.Queue[Frame] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._heard_at = 0.0
        self._outgoing: list[str] = []
        self._flushing = asyncio.Event()
        self._progress = asyncio.Condition()

    # Its life

    async def __aenter__(self) -> Client:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self, wait_s: float = 30.0) -> None:
        self._tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._watch())]
        async with asyncio.timeout(wait_s):
            await self._ready.wait()

    async def close(self) -> None:
        self.status = "closed"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await self._socket.close()

    async def drop(self) -> None:
        """Lose the connection, as a network would. It comes back by itself."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def _live(self) -> None:
        backoff = self._backoff_first_s
        for turn in itertools.count():
            known = len(self.closed_with)
            url = self.urls[turn % len(self.urls)] if turn else random.choice(self.urls)
            try:
                await self._one_connection(url)
            except (OSError, TimeoutError, websockets.WebSocketException, httpx2.HTTPError, Problem):
                pass
            if self._ready.is_set():
                backoff = self._backoff_first_s
            self._ready.clear()
            self._socket, self.status = None, "reconnecting"
            code = self.closed_with[-1] if len(self.closed_with) > known else 1006
            if code in _NEVER_AGAIN:
                self.status = f"refused {code}"
                return
            if code == 4401 and not await self._refreshed():
                self.status = "signed out"
                return
            wait_s = WAIT_AFTER_4429_S if code == 4429 else random.uniform(0, backoff)
            await asyncio.sleep(wait_s)
            backoff = min(backoff * 2, self._backoff_max_s)

    async def _refreshed(self) -> bool:
        """False where the session has ended for good."""
        try:
            await self.rest.refresh()
        except Problem as problem:
            return problem.code != "invalid_grant"
        except httpx2.HTTPError:
            pass
        return True

    async def _one_connection(self, url: str) -> None:
        address = url.replace("http", "ws", 1) + "/v1/ws"
        token = await self.rest.token()
        async with asyncio.timeout(10):
            socket = await connect(
                address, subprotocols=[websockets.Subprotocol("parley.v1")], compression=None, max_size=2**20,
                ping_interval=None, open_timeout=8, close_timeout=1, proxy=None,
            )  # fmt: skip
        self._socket = socket
        self._outgoing.clear()
        self._by_ref.clear()
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the connection that was asked is gone"))
                answer.exception()
        for chat in self.chats.values():
            chat.syncing = False
        hello: Frame = {"type": "hello", "token": token}
        self._named = {}
        resume = {chat_id: chat.cursor for chat_id, chat in self.chats.items() if chat.cursor is not None}
        if resume and self.welcome:
            named = self._named = dict(list(resume.items())[-500:])
            hello["resume"] = {"epoch": self.welcome["epoch"], "chats": named}
        writer = asyncio.create_task(self._write(socket))
        try:
            await socket.send(json.dumps(hello))
            async for text in socket:
                self._heard_at = asyncio.get_running_loop().time()
                for line in str(text).split("\n"):
                    if line:
                        await self._take(json.loads(line))
        finally:
            writer.cancel()
            self.closed_with.append(socket.close_code or 1006)
            socket.transport.abort()

    async def _write(self, socket: ClientConnection) -> None:
        """What is ready together travels together."""
        while True:
            await self._flushing.wait()
            self._flushing.clear()
            lines, self._outgoing = self._outgoing, []
            while lines:
                size, count = 0, 0
                while count < len(lines) and (count == 0 or size + len(lines[count]) < FRAME_BYTES):
                    size += len(lines[count].encode()) + 1
                    count += 1
                part, lines = lines[:count], lines[count:]
                with suppress(websockets.ConnectionClosed):
                    await socket.send("\n".join(part))

    def _send(self, frame: Frame) -> None:
        self._outgoing.append(json.dumps(frame, ensure_ascii=False))
        self._flushing.set()

    # Commands

    def send(
        self, chat_id: str, body: str, *, reply_to: str | None = None, id_: str | None = None
    ) -> asyncio.Future[Frame]:
        """Send a message. The future: its event (or the `committed` of a repeat); raises Rejected."""
        frame: Frame = {"type": "message.send", "client_message_id": id_ or str(uuid.uuid4()), "body": body}
        if reply_to is not None:
            frame["reply_to"] = reply_to
        return self._command(chat_id, frame["client_message_id"], frame)

    def command(self, type_: str, chat_id: str, **fields: Any) -> asyncio.Future[Frame]:
        """Any other request that changes a chat (message.edit …), with its fields."""
        id_ = fields.pop("command_id", None) or str(uuid.uuid4())
        return self._command(chat_id, id_, {"type": type_, "command_id": id_, **fields})

    def _command(self, chat_id: str, id_: str, frame: Frame) -> asyncio.Future[Frame]:
        done: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        command = _Open(id_, chat_id, frame | {"chat_id": chat_id}, done)
        self._open[id_] = command
        if self._ready.is_set() and not self._is_held(chat_id):
            self._put(command)
        return done

    def _is_held(self, chat_id: str) -> bool:
        chat = self.chats.get(chat_id)
        return chat is not None and chat.unhold is not None

    def _put(self, command: _Open) -> None:
        ref = str(next(self._refs))
        self._by_ref[ref] = command
        command.sent_at, command.accepted = asyncio.get_running_loop().time(), False
        self._send(command.frame | {"ref": ref})

    def _resend(self, chat_id: str | None = None) -> None:
        for command in list(self._open.values()):
            if chat_id in (None, command.chat_id) and not self._is_held(command.chat_id):
                self._put(command)

    def _hold(self, chat_id: str, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        chat = self.chats.setdefault(chat_id, ChatState())
        if chat.held_until < loop.time() + seconds:
            chat.held_until = loop.time() + seconds
            if chat.unhold is not None:
                chat.unhold.cancel()
            chat.unhold = loop.call_later(seconds, self._unhold, chat_id)

    def _unhold(self, chat_id: str) -> None:
        """What waited goes out before anything new does."""
        if chat := self.chats.get(chat_id):
            chat.unhold = None
        if self._ready.is_set():
            self._resend(chat_id)

    @property
    def unfinished(self) -> list[str]:
        return list(self._open)

    async def request(self, type_: str, **fields: Any) -> Frame:
        """ping, read.mark, sync, auth.refresh: the answer with our ref."""
        ref = str(next(self._refs))
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._asked[ref] = answer
        self._send({"type": type_, "ref": ref, **fields})
        async with asyncio.timeout(15):
            return await answer

    def typing(self, chat_id: str) -> None:
        self._send({"type": "typing", "chat_id": chat_id})

    # What comes

    async def frames(self) -> AsyncIterator[Frame]:
        """All frames from now on."""
        self._frames = self._frames or asyncio.Queue()
        while True:
            yield await self._frames.get()

    async def wait_for(self, found: Callable[[], Any], wait_s: float = 15.0) -> Any:
        """Wait until found() is true; asked again after every frame."""
        async with asyncio.timeout(wait_s), self._progress:
            while not (value := found()):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await self._progress.wait()
            return value

    async def _take(self, frame: Frame) -> None:
        self._on_frame(frame)
        if self._frames is not None:
            self._frames.put_nowait(frame)
        if "seq" in frame and frame["type"] not in ("committed", "rejected"):
            self._take_event(frame)
        else:
            await self._take_other(frame)
        async with self._progress:
            self._progress.notify_all()

    async def _take_other(self, frame: Frame) -> None:
        match frame["type"]:
            case "welcome":
                self._take_welcome(frame)
            case "synced" | "reset" | "gone":
                await self._take_end(frame)
            case "chat.joined":
                self.chats[frame["chat"]["id"]] = ChatState(cursor=frame["after"])
            case "accepted":
                if command := self._by_ref.get(frame["ref"]):
                    command.accepted = True
            case "committed" | "rejected":
                self._over(frame.get("client_message_id") or frame.get("command_id"), frame)
            case "error":
                self._take_error(frame)
            case "ok" | "pong":
                self._answer(frame)
            case "auth.expiring":
                asyncio.get_running_loop().create_task(self._refresh())

    def _take_welcome(self, frame: Frame) -> None:
        resumed = set(self._named)
        self.welcome, self.status = frame, "online"
        self.connections += 1
        listed = set()
        for chat in frame["chats"]:
            listed.add(chat["id"])
            state = self.chats.setdefault(chat["id"], ChatState())
            if chat["id"] not in resumed:
                state.cursor = chat["head"]
        self._awaiting = resumed
        if not self._awaiting:
            self._become_ready()

    def _become_ready(self) -> None:
        self._ready.set()
        self._resend()

    async def _take_end(self, frame: Frame) -> None:
        chat_id = frame["chat_id"]
        chat = self.chats.get(chat_id)
        if frame["type"] == "gone":
            self.chats.pop(chat_id, None)
        elif frame["type"] == "reset":
            self.chats[chat_id] = ChatState(
                cursor=frame["head"], held_until=chat.held_until if chat else 0.0, unhold=chat.unhold if chat else None
            )
        elif chat is not None:
            chat.syncing = False
        self._answer(frame)
        if chat_id in self._awaiting:
            self._awaiting.discard(chat_id)
            if not self._awaiting:
                self._become_ready()

    def _take_event(self, frame: Frame) -> None:
        chat = self.chats.setdefault(frame["chat_id"], ChatState())
        seq = frame["seq"]
        self._over_by_event(frame)
        if chat.cursor is not None and seq <= chat.cursor:
            return
        if chat.cursor is not None and seq > chat.cursor + 1:
            if not chat.syncing:
                chat.syncing = True
                ref = str(next(self._refs))
                self._send({"type": "sync", "ref": ref, "chats": {frame["chat_id"]: chat.cursor}})
            return
        chat.cursor = seq
        if self._keep_events:
            chat.events.append(frame)
        self._on_event(frame)
        if frame["type"] == "member.removed" and frame.get("user_id") == self.welcome["user"]["id"]:
            del self.chats[frame["chat_id"]]

    def _over_by_event(self, frame: Frame) -> None:
        message = frame.get("message") or {}
        if frame["type"] == "message.created" and message.get("sender_id") == self.welcome["user"]["id"]:
            self._over(message.get("client_message_id"), frame)
        if frame.get("command_id"):
            self._over(frame["command_id"], frame)

    def _over(self, id_: str | None, frame: Frame) -> None:
        command = self._open.pop(id_ or "", None)
        if command is None or command.done.done():
            return
        if frame["type"] == "rejected":
            command.done.set_exception(Rejected(frame))
            command.done.exception()
        else:
            command.done.set_result(frame)

    def _take_error(self, frame: Frame) -> None:
        command = self._by_ref.get(frame.get("ref", ""))
        if command is None or command.id not in self._open:
            return self._answer(frame)
        self.errors[command.id] = frame["code"]
        if frame["code"] in ("rate_limited", "unavailable"):
            self._hold(command.chat_id, frame.get("retry_after_ms", 1_000) / 1000)
        elif frame["code"] == "outcome_unknown":
            self._hold(command.chat_id, 0.1)
        else:
            self._over(command.id, frame | {"type": "rejected"})

    def _answer(self, frame: Frame) -> None:
        future = self._asked.pop(frame.get("ref") or "", None)
        if future is not None and not future.done():
            future.set_result(frame)

    async def _refresh(self) -> None:
        with suppress(Problem, httpx2.HTTPError, TimeoutError, ConnectionError):
            await self.rest.refresh()
            await self.request("auth.refresh", token=self.rest.access_token)

    async def _watch(self) -> None:
        """Resend what nobody answered; ping when nothing was heard for long."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.5)
            if not self._ready.is_set():
                continue
            late = {
                command.chat_id
                for command in self._open.values()
                if command.sent_at is not None
                and loop.time() - command.sent_at > (OVER_S if command.accepted else ACCEPTED_S)
            }
            for chat_id in late:
                self._resend(chat_id)
            if loop.time() - self._heard_at > 2 * self.welcome.get("heartbeat_s", 20):
                socket = self._socket
                try:
                    async with asyncio.timeout(PONG_S):
                        await self.request("ping")
                except (TimeoutError, ConnectionError):
                    if self._socket is socket:
                        await self.drop()
