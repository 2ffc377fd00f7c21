"""The model of a good client: what docs/protocol.md tells a client to do, and nothing else.

It keeps a command until it is over, resends what is not over after a reconnect (oldest first, same ids), holds back
what is behind a refused command in that chat, applies each seq once and in order, and closes gaps with `sync`.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import websockets
from websockets.asyncio.client import ClientConnection, connect

from parley_client import frames
from parley_client.kept import Kept
from parley_client.rest import Problem, Rest, SignedOut

ACCEPTED_S = 5.0
OVER_S = 10.0
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
PONG_S = 10.0
WAIT_AFTER_4429_S = 30.0
FRAME_BYTES = 64 * 1024
_NAMED_MAX = 500
_TELL_MAX = 10_000
_NEVER_AGAIN = (1002, 1003, 1007, 1009, 4400)

Frame = dict[str, Any]
"""A frame as it came; its fields by type stand in `frames.py`."""
Done = Awaitable[None] | None
Hear = Callable[[frames.Frame], Done] | Callable[[Frame], Done]
HearEvent = Callable[[frames.Event], Done] | Callable[[Frame], Done]
"""Plain functions, or coroutine functions: those are awaited one after the other, beside the reading of the socket, so that
they may wait for what they send. An event of a type that this client doesn't know comes too: branch by `type`, and pass by
what you don't name."""
State = MutableMapping[str, Any]
Person = dict[str, Any]
"""{id, username, display_name, kind}"""


class Refused(Exception):
    """The service closed the socket for what this client did, and would again: a defect of the client. code: of the close."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


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

    on_frame: called with every frame, before it is applied. on_event: with every durable event, applied, once, in order.
    on_status: with each state: connecting, online, reconnecting, signed out, refused, failed, closed. urls: gateways to choose
    from at each connect. keep_events: keep all applied events in `chats[…].events`, for those who check.

    names: each event carries `actor`, the account of who did it by their name as it is now (None for the service, and where
    it can't be told); asked for once a person.

    state: a file, or a mapping that the caller keeps: up to where each chat was applied. With it what came while nobody ran
    comes at the next start, in order, however much it was; an event whose callback was cut off comes again.

    It ends by itself where going on is no use; `start`, `ended` and what was asked raise why: SignedOut, Refused, or what a
    callback raised.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        urls: list[str] | None = None,
        on_frame: Hear | None = None,
        on_event: HearEvent | None = None,
        on_status: Callable[[str], Done] | None = None,
        state: State | str | Path | None = None,
        keep_events: bool = False,
        names: bool = False,
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
        self.error: BaseException | None = None
        """Why it ended."""
        self._people: dict[str, Person] = {}
        self._names = names
        self._nameless: set[str] = set()
        """Who couldn't be told since the last welcome."""
        self._on_frame: Callable[[Any], Done] = on_frame or (lambda frame: None)
        self._on_event: Callable[[Any], Done] = on_event or (lambda event: None)
        self._on_status: Callable[[str], Done] = on_status or (lambda status: None)
        self._kept = Kept(state) if state is not None else None
        self._ended = asyncio.Event()
        self._to_tell: asyncio.Queue[tuple[Callable[[Any], Any], Any, Callable[[], None]]] = asyncio.Queue(_TELL_MAX)
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
        """Returns when it is online and has caught up. Raises SignedOut, Refused; TimeoutError where the service can't be
        reached for so long."""
        if self._kept is not None:
            self.chats = {chat_id: ChatState(cursor) for chat_id, cursor in self._kept.cursors.items()}
        self._tasks = [asyncio.create_task(work) for work in (self._life(), self._watch(), self._tell_all())]
        async with asyncio.timeout(wait_s):
            waits = [asyncio.create_task(event.wait()) for event in (self._ready, self._ended)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        if self.error is not None:
            raise self.error

    async def ended(self) -> None:
        """Returns when it was closed; raises why it ended by itself."""
        await self._ended.wait()
        if self.error is not None:
            raise self.error

    async def _life(self) -> None:
        try:
            await self._end(await self._live())
        except Exception as raised:  # a callback's: going on would lose what it was to do
            await self._end(raised)

    async def _tell(self, callback: Callable[[Any], Any], value: Any, then: Callable[[], None] = lambda: None) -> None:
        """then: called when the callback is through."""
        if inspect.iscoroutinefunction(callback):
            return await self._to_tell.put((callback, value, then))
        callback(value)
        then()

    async def _tell_all(self) -> None:
        while True:
            callback, value, then = await self._to_tell.get()
            try:
                await callback(value)
            except Exception as raised:
                self._tasks[0].cancel()
                return await self._end(raised)
            then()

    async def _end(self, error: BaseException) -> None:
        if self.error is not None:
            return
        self.error = error
        words = {SignedOut: "signed out", Refused: "refused"}
        await self._become(words.get(type(error), "failed"))
        for command in list(self._open.values()):
            if not command.done.done():
                command.done.set_exception(error)
                command.done.exception()
        self._open.clear()
        self._forget_asked(error)
        self._ended.set()

    async def _become(self, status: str) -> None:
        if self.status != status:
            self.status = status
            await self._tell(self._on_status, status)

    async def close(self) -> None:
        if self.error is None:
            await self._become("closed")
        if self._kept is not None:
            self._kept.write()
        self._ended.set()
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

    async def _live(self) -> SignedOut | Refused:
        """Why it ended."""
        backoff = self._backoff_first_s
        for turn in itertools.count():
            known = len(self.closed_with)
            url = self.urls[turn % len(self.urls)] if turn else random.choice(self.urls)
            if not turn:
                await self._become("connecting")
            try:
                await self._one_connection(url)
            except SignedOut as error:
                return error
            except (OSError, TimeoutError, websockets.WebSocketException, httpx2.HTTPError, Problem):
                pass
            if self._ready.is_set():
                backoff = self._backoff_first_s
            self._ready.clear()
            self._socket = None
            code = self.closed_with[-1] if len(self.closed_with) > known else 1006
            if code in _NEVER_AGAIN:
                return Refused(code)
            if code == 4401 and (ended := await self._refreshed()) is not None:
                return ended
            await self._become("reconnecting")
            wait_s = WAIT_AFTER_4429_S if code == 4429 else random.uniform(0, backoff)
            await asyncio.sleep(wait_s)
            backoff = min(backoff * 2, self._backoff_max_s)
        raise AssertionError("for ever")

    async def _refreshed(self) -> SignedOut | None:
        """An error where the session has ended for good."""
        if self.rest.refresh_token is None:
            return SignedOut(401, "unauthenticated", {"detail": "the access token is good for nothing"})
        try:
            await self.rest.refresh()
        except SignedOut as error:
            return error
        except (httpx2.HTTPError, Problem):
            pass
        return None

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
        self._forget_asked(ConnectionError("the connection that was asked is gone"))
        for chat in self.chats.values():
            chat.syncing = False
        hello: Frame = {"type": "hello", "token": token}
        self._named = {}
        resume = {chat_id: chat.cursor for chat_id, chat in self.chats.items() if chat.cursor is not None}
        epoch = self.welcome.get("epoch") or (self._kept.epoch if self._kept is not None else "")
        if resume and epoch:
            named = self._named = dict(list(resume.items())[-_NAMED_MAX:])
            hello["resume"] = {"epoch": epoch, "chats": named}
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

    def _forget_asked(self, error: BaseException) -> None:
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.done():
                answer.set_exception(error)
                answer.exception()

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
        if self.error is not None:
            done.set_exception(self.error)
            return done
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
        await self._tell(self._on_frame, frame)
        if self._frames is not None:
            self._frames.put_nowait(frame)
        if "seq" in frame and frame["type"] not in ("committed", "rejected"):
            await self._take_event(frame)
        else:
            await self._take_other(frame)
        async with self._progress:
            self._progress.notify_all()

    async def _take_other(self, frame: Frame) -> None:
        match frame["type"]:
            case "welcome":
                await self._take_welcome(frame)
            case "user.updated":
                self._people[frame["user"]["id"]] = frame["user"]
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
                self._spawn(self._refresh())

    async def _take_welcome(self, frame: Frame) -> None:
        resumed = set(self._named)
        self.welcome = frame
        self._people[frame["user"]["id"]] = frame["user"]
        self.connections += 1
        self._nameless.clear()
        behind: dict[str, int] = {}
        for chat in frame["chats"]:
            known = chat["id"] in self.chats
            state = self.chats.setdefault(chat["id"], ChatState())
            if chat["id"] in resumed:
                continue
            if self._kept is None or self._kept.new:
                state.cursor = chat["head"]
            elif not known or state.cursor is None:  # joined while nobody ran: one joins having read what was before
                state.cursor = min(chat["read_seq"], chat["head"])
            if state.cursor is not None and state.cursor < chat["head"]:
                behind[chat["id"]] = state.cursor
        if self._kept is not None:
            self._kept.begin(frame["epoch"], {id_: c.cursor for id_, c in self.chats.items() if c.cursor is not None})
        self._awaiting = resumed
        waiting = list(behind.items())
        for start in range(0, len(waiting), _NAMED_MAX):
            places = dict(waiting[start : start + _NAMED_MAX])
            for chat_id in places:
                self.chats[chat_id].syncing = True
            self._send({"type": "sync", "ref": str(next(self._refs)), "chats": places})
        await self._become("online")
        if not self._awaiting:
            self._become_ready()

    def _become_ready(self) -> None:
        self._ready.set()
        self._resend()

    async def _take_end(self, frame: Frame) -> None:
        chat_id = frame["chat_id"]
        chat = self.chats.get(chat_id)
        if frame["type"] == "gone":
            self._drop_chat(chat_id)
        elif frame["type"] == "reset" and self._kept is not None and frame["code"] == "too_far" and chat is not None:
            chat.syncing = True  # more than a socket gives at once: read by REST, in order
            self._spawn(self._load(chat_id, chat, frame["head"]))
        elif frame["type"] == "reset":
            if self._kept is not None:
                self._kept.put(chat_id, frame["head"])
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

    async def _load(self, chat_id: str, chat: ChatState, head: int) -> None:
        """What came while nobody ran, page by page."""
        while self.chats.get(chat_id) is chat and (chat.cursor or 0) < head:
            try:
                page = await self.rest.get(f"/v1/chats/{chat_id}/timeline", after=chat.cursor or 0, limit=500)
            except SignedOut:
                return
            except Problem as problem:
                if problem.status in (403, 404):
                    return self._drop_chat(chat_id)
                await asyncio.sleep(1)
                continue
            except httpx2.HTTPError:
                await asyncio.sleep(1)
                continue
            if not page["items"]:
                break
            for event in page["items"]:
                await self._take_event(event)
        chat.syncing = False

    def _applied(self, chat_id: str, seq: int) -> None:
        if self._kept is not None and chat_id in self.chats:
            self._kept.put(chat_id, seq)

    def _drop_chat(self, chat_id: str) -> None:
        self.chats.pop(chat_id, None)
        if self._kept is not None:
            self._kept.drop(chat_id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(lambda done: self._tasks.remove(done) if done in self._tasks else None)

    async def person(self, user_id: str) -> Person:
        """Who that is, by their name as it is now. Raises Problem."""
        found = self._people.get(user_id)
        if found is None:
            found = self._people[user_id] = await self.rest.get(f"/v1/users/{user_id}")
        return found

    async def _actor(self, user_id: str | None) -> Person | None:
        if not user_id or user_id in self._nameless:
            return None
        try:
            return await self.person(user_id)
        except (Problem, httpx2.HTTPError):
            self._nameless.add(user_id)
            return None

    def _meet(self, frame: Frame) -> None:
        for member in (*frame.get("members", ()), *([frame["member"]] if "member" in frame else ())):
            self._people[member["user"]["id"]] = member["user"]

    async def _take_event(self, frame: Frame) -> None:
        if self._names:  # before its place is looked at: nothing is awaited between that and telling it
            frame["actor"] = await self._actor(frame.get("actor_id"))
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
        if self._keep_events:
            chat.events.append(frame)
        self._meet(frame)
        chat.cursor = seq
        await self._tell(self._on_event, frame, lambda: self._applied(frame["chat_id"], seq))
        if frame["type"] == "member.removed" and frame.get("user_id") == self.welcome["user"]["id"]:
            self._drop_chat(frame["chat_id"])

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
            if self._kept is not None:
                self._kept.write()
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
