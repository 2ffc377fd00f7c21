"""The hub: what reaches which socket of this process, and from where on.

One function delivers (`_deliver`): live events, backfills, resumes and syncs all pass it, with a cursor for each
(session, chat). A seq that doesn't follow the cursor is never sent: the session falls behind and is caught up from the
database. A slice that removes the session's user ends the chat for the session at that event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from app.application.background import Background
from app.application.cutpoints import defect
from app.application.ports import (
    Codec,
    FanOut,
    Heal,
    Healing,
    History,
    LiveText,
    LiveTexts,
    Membership,
    Refusal,
    Sink,
    Timeline,
    Transient,
)
from app.application.signals import (
    FRAME_MAX,
    DeltaSignal,
    Frame,
    Head,
    Note,
    Slice,
    Told,
    chat_channel,
    process_channel,
    slice_of,
    unpack,
    unpack_told,
    user_channel,
)
from app.domain.errors import Close
from app.domain.state import Outcome

MISSED_EVENTS_MAX = 500
MISSED_BYTES_MAX = 1024 * 1024
WELCOME_CHATS = 200
WELCOME_UNREAD_MAX = 100
READS_AT_ONCE = 8
POLL_S = 2.0
_HEAD_GRACE_S = 0.2
_LOOK_UP_AFTER_S = 1.0
_TOLD_S = 60.0
_PENDING_MAX = 1_000
_RETRY_S = 0.2
_LOOK_BACK_S = 30.0
_WELCOME_BYTES = 700 * 1024
_RANGE = 200
_ENDED_MAX = 64

Key = tuple[str, str, str]


@dataclass(slots=True)
class CatchUp:
    """What a session is to be given of a chat before it goes on live.

    refs: who named it and awaits one end each (None: the resume); none: only the session fell behind.
    """

    chat_id: str
    after: int = 0
    refs: tuple[str | None, ...] = ()
    wrong_epoch: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of this session whose end was not told. at: monotonic seconds."""

    key: Key
    ref: str
    is_send: bool
    at: float


@dataclass(slots=True, eq=False)
class Session:
    """One socket of a signed-in person. cursors: the last seq given, of each chat that it hears."""

    id: str
    user_id: str
    auth_session_id: str
    sink: Sink
    cursors: dict[str, int] = field(default_factory=dict)
    behind: dict[str, CatchUp] = field(default_factory=dict)
    replies: dict[str, tuple[int, int]] = field(default_factory=dict)
    asked: dict[int, Asked] = field(default_factory=dict)
    over: dict[int, None] = field(default_factory=dict)
    joining: set[str] = field(default_factory=set)
    recheck: set[str] = field(default_factory=set)
    opened: bool = False
    closed: bool = False
    catching: bool = False

    def expect(self, tag: int, key: Key, ref: str, is_send: bool) -> None:
        """Remember who asked, so that the outcome can repeat its ref."""
        self.asked[tag] = Asked(key, ref, is_send, monotonic())
        if len(self.asked) > _PENDING_MAX:
            del self.asked[next(iter(self.asked))]

    def refused(self, tag: int) -> None:
        """Its rejection was told: no `accepted` after it."""
        self.over[tag] = None
        if len(self.over) > _PENDING_MAX:
            del self.over[next(iter(self.over))]

    def asked_for(self, key: Key) -> list[int]:
        return [tag for tag, asked in self.asked.items() if asked.key == key]


@dataclass(slots=True, eq=False)
class Feed:
    """A chat that some session here hears. tail: the last seq seen; known: the last one known to exist."""

    chat_id: str
    refs: int = 0
    tail: int = 0
    known: int = 0
    sessions: dict[Session, None] = field(default_factory=dict)
    ended: dict[str, None] = field(default_factory=dict)
    backfilling: bool = False
    snapshots: set[str] = field(default_factory=set)

    def end(self, message_id: str) -> None:
        """No delta of this reply goes out any more."""
        self.ended[message_id] = None
        if len(self.ended) > _ENDED_MAX:
            del self.ended[next(iter(self.ended))]


class Hub:
    def __init__(
        self,
        *,
        process_id: str,
        fan_out: FanOut,
        timeline: Timeline,
        history: History,
        heal: Heal,
        live: LiveTexts,
        codec: Codec,
        group: Background,
        on_rejected: Callable[[str], None] = lambda user_id: None,
        around: Callable[[Slice], AbstractContextManager[object]] = lambda part: nullcontext(),
    ) -> None:
        """around: what watches the delivery of a live slice."""
        self.process_id = process_id
        self.epoch = ""
        self._fan_out = fan_out
        self._timeline = timeline
        self._history = history
        self._heal = heal
        self._live = live
        self._codec = codec
        self._group = group
        self._on_rejected = on_rejected
        self._around = around
        self._feeds: dict[str, Feed] = {}
        self._users: dict[str, dict[Session, None]] = {}
        self._waiters: dict[Key, list[asyncio.Future[tuple[Outcome, bool]]]] = {}
        self._told: dict[Key, float] = {}
        self._reads: dict[tuple[str, int], asyncio.Task[list[Slice]]] = {}
        self._reading = asyncio.Semaphore(READS_AT_ONCE)
        self._poll_now = asyncio.Event()
        self._doubt = False
        self._looking: asyncio.Task[None] | None = None
        self.counts = {"backfills": 0, "poll_repairs": 0, "resets": 0}

    async def start(self) -> None:
        self.epoch = await self._heal.epoch()
        await self._fan_out.subscribe([process_channel(self.process_id)])

    @property
    def sessions(self) -> list[Session]:
        return [session for sessions in self._users.values() for session in sessions]

    def sessions_of(self, user_id: str) -> list[Session]:
        return list(self._users.get(user_id, ()))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._group.create_task(self._tolerate(work))

    async def _tolerate(self, work: Coroutine[Any, Any, None]) -> None:
        """What may pass is healed by the next gap or poll; it must not end the process."""
        try:
            await work
        except Transient:
            self._poll_now.set()

    # A session's life

    async def open(self, session: Session, welcome: dict[str, object], resume: dict[str, int], epoch: str) -> None:
        """Subscribe, then read heads, then welcome; then catch up what it names."""
        self._users.setdefault(session.user_id, {})[session] = None
        await self._fan_out.subscribe([user_channel(session.user_id)])
        mine = await self._timeline.joined(session.user_id, None)
        await self._hear(session, mine)
        registered = False
        try:
            registered = await self._welcome(session, welcome, resume, epoch, mine)
        finally:
            if not registered:
                for chat_id in mine:
                    self._unhear(chat_id)

    async def _welcome(
        self,
        session: Session,
        welcome: dict[str, object],
        resume: dict[str, int],
        epoch: str,
        mine: dict[str, tuple[int, int]],
    ) -> bool:
        """Whether the session now holds its chats' channels."""
        listed = await self._history.memberships(
            session.user_id, archived=None, before=None, limit=WELCOME_CHATS, unread_max=WELCOME_UNREAD_MAX
        )
        shown = {membership.chat.id for membership in listed}
        named = [chat_id for chat_id in resume if chat_id in mine and chat_id not in shown]
        if named:
            listed += await self._history.memberships(
                session.user_id, archived=None, before=None, limit=len(named), unread_max=WELCOME_UNREAD_MAX,
                chat_ids=named,
            )  # fmt: skip
        heads = {chat_id: head for chat_id, (_, head) in (await self._timeline.joined(session.user_id, None)).items()}
        heads |= {membership.chat.id: membership.chat.head for membership in listed}
        if session.closed:
            return False
        session.sink.send(
            self._codec.frame(
                welcome
                | {
                    "epoch": self.epoch,
                    "chats": self._shown(listed),
                    "chats_more": len(heads) > len(listed),
                }
            )
        )
        for chat_id, head in heads.items():
            feed = self._feeds.get(chat_id)
            if chat_id not in mine or feed is None:
                session.recheck.add(chat_id)
                continue
            self._register(session, feed, head)
        for chat_id in mine.keys() - heads.keys():
            self._unhear(chat_id)
        for chat_id, after in resume.items():
            self._ask(session, CatchUp(chat_id, after, (None,), epoch != self.epoch))
        session.opened = True
        if session.recheck:
            self._spawn(self._check(session.user_id, list(session.recheck)))
        if heads:
            self._spawn(self._show_open_replies(session, list(heads)))
        return True

    def _shown(self, listed: Iterable[Membership]) -> list[dict[str, object]]:
        """The chats of a welcome. A frame is never over 1 MiB, so what is long is left to REST once there is much."""
        chats, size = [], 0
        for membership in listed:
            chat = self._codec.chat(membership)
            length = len(self._codec.frame(chat).encode())
            if size + length > _WELCOME_BYTES:
                chat["last_message"] = None
                if isinstance(assistant := chat.get("assistant"), dict):
                    chat["assistant"] = {**assistant, "instructions": None}
                length = len(self._codec.frame(chat).encode())
            size += length
            chats.append(chat)
        return chats

    async def _hear(self, session: Session, chat_ids: Iterable[str]) -> None:
        """Count on these chats' channels. Each is given up again by `_unhear`."""
        channels = []
        for chat_id in chat_ids:
            feed = self._feeds.setdefault(chat_id, Feed(chat_id))
            feed.refs += 1
            if feed.refs == 1:
                channels.append(chat_channel(chat_id))
        await self._fan_out.subscribe(channels)

    def _unhear(self, chat_id: str) -> None:
        feed = self._feeds.get(chat_id)
        if feed is None:
            return
        feed.refs -= 1
        if feed.refs <= 0:
            del self._feeds[chat_id]
            self._spawn(self._unsubscribe(chat_id))

    async def _unsubscribe(self, chat_id: str) -> None:
        if chat_id not in self._feeds:
            await self._fan_out.unsubscribe([chat_channel(chat_id)])

    async def _unsubscribe_user(self, user_id: str) -> None:
        if user_id not in self._users:
            await self._fan_out.unsubscribe([user_channel(user_id)])

    def _register(self, session: Session, feed: Feed, cursor: int) -> None:
        alone = not feed.sessions
        session.cursors[feed.chat_id] = cursor
        feed.sessions[session] = None
        if alone:
            feed.tail = max(feed.tail, cursor)
        else:  # the others may still wait for what the newcomer has read already
            self._know(feed, cursor)
        if max(feed.tail, feed.known) > cursor:
            self._ask(session, CatchUp(feed.chat_id))

    def _leave(self, session: Session, chat_id: str) -> None:
        """The chat is over for this session."""
        if session.cursors.pop(chat_id, None) is not None:
            feed = self._feeds.get(chat_id)
            if feed is not None:
                feed.sessions.pop(session, None)
                self._unhear(chat_id)

    def _forget_feeds(self, session: Session) -> None:
        for chat_id in list(session.cursors):
            self._leave(session, chat_id)

    def drop(self, session: Session) -> None:
        """The socket is gone."""
        session.closed = True
        self._forget_feeds(session)
        session.behind.clear()
        mine = self._users.get(session.user_id)
        if mine is not None:
            mine.pop(session, None)
            if not mine:
                del self._users[session.user_id]
                self._spawn(self._unsubscribe_user(session.user_id))

    # Catching up

    def sync(self, session: Session, ref: str, chats: dict[str, int]) -> None:
        for chat_id, after in chats.items():
            self._ask(session, CatchUp(chat_id, after, (ref,)))

    def _ask(self, session: Session, item: CatchUp) -> None:
        """Queue a catch-up; while it waits or runs, the chat is not live for this session."""
        waiting = session.behind.get(item.chat_id)
        if waiting is not None and not item.refs:
            return
        if waiting is not None and waiting.refs:  # both are answered by what the longer one gives
            wrong = waiting.wrong_epoch or item.wrong_epoch
            item = CatchUp(item.chat_id, min(waiting.after, item.after), waiting.refs + item.refs, wrong)
        session.behind[item.chat_id] = item
        if not session.catching:
            session.catching = True
            self._spawn(self._catch_up_all(session))

    async def _catch_up_all(self, session: Session) -> None:
        """One chat after another, at the pace of the reader, so that a long absence doesn't overrun the outbox."""
        try:
            while session.behind and not session.closed:
                item = next(iter(session.behind.values()))
                try:
                    await self._catch_up(session, item)
                except Transient:
                    await asyncio.sleep(0.2)
        finally:
            session.catching = False

    async def _catch_up(self, session: Session, item: CatchUp) -> None:
        chat_id = item.chat_id
        if item.refs and not await self._answer_named(session, item):
            return
        while session.behind.get(chat_id) is item and not session.closed:
            feed, cursor = self._feeds.get(chat_id), session.cursors.get(chat_id)
            if feed is None or cursor is None:
                return self._done(session, item, "gone")
            if cursor >= max(feed.tail, feed.known):
                return self._done(session, item, "synced", head=cursor)
            parts = await self._read(chat_id, cursor)
            if session.behind.get(chat_id) is not item:
                return
            if not parts:
                # Known, but not to be read: only a restore can do that; the poll will see the epoch.
                return self._done(session, item, "synced", head=cursor)
            for part in parts:
                self._deliver(session, part)
                await session.sink.drained()

    async def _answer_named(self, session: Session, item: CatchUp) -> bool:
        """Set the cursor where the missed events begin. False where the chat's one end was told instead."""
        chat_id = item.chat_id
        joined = (await self._timeline.joined(session.user_id, [chat_id])).get(chat_id)
        if joined is None:
            self._leave(session, chat_id)
            self._done(session, item, "gone")
            return False
        joined_seq, head = joined
        if chat_id not in session.cursors:
            await self._hear(session, [chat_id])
            if session.closed or session.behind.get(chat_id) is not item or chat_id in session.cursors:
                self._unhear(chat_id)
                return False
            self._feeds[chat_id].sessions[session] = None
            session.cursors[chat_id] = head
        code = await self._reset_code(session, item, joined_seq, head)
        if session.behind.get(chat_id) is not item or session.closed:
            return False
        feed = self._feeds.get(chat_id)
        if feed is None or chat_id not in session.cursors:
            self._done(session, item, "gone")
            return False
        feed.known = max(feed.known, head)
        if code is None:
            session.cursors[chat_id] = item.after
            return True
        self.counts["resets"] += 1
        session.cursors[chat_id] = head
        self._end_named(session, item, "reset", head=head, code=code)
        session.behind[chat_id] = CatchUp(chat_id)
        return False

    async def _reset_code(self, session: Session, item: CatchUp, joined_seq: int, head: int) -> str | None:
        if item.wrong_epoch:
            return "epoch"
        if item.after > head:
            return "ahead"
        if item.after < joined_seq - 1 and await self._timeline.removed_after(
            session.user_id, item.chat_id, item.after
        ):
            return "rejoined"
        if head - item.after > MISSED_EVENTS_MAX:
            return "too_far"
        size, after = 0, item.after
        while after < head and size <= MISSED_BYTES_MAX:
            parts = await self._read(item.chat_id, after)
            if not parts:
                break
            size += sum(len(line.encode()) + 1 for part in parts for line in part.lines)
            after = parts[-1].last
        return "too_far" if size > MISSED_BYTES_MAX else None

    def _done(self, session: Session, item: CatchUp, type_: str, **fields: object) -> None:
        """The item is over; from here on the chat is live (nothing was awaited since the last look)."""
        if session.behind.get(item.chat_id) is item:
            del session.behind[item.chat_id]
        self._end_named(session, item, type_, **fields)
        if type_ == "synced" and not session.closed:
            self._spawn(self._show_open_replies(session, [item.chat_id]))

    def _end_named(self, session: Session, item: CatchUp, type_: str, **fields: object) -> None:
        for ref in item.refs:
            told = {"ref": ref} if ref is not None else {}
            session.sink.send(self._codec.frame({"type": type_, **told, "chat_id": item.chat_id, **fields}))

    async def _read(self, chat_id: str, after: int) -> list[Slice]:
        """A range as frames, read once for all who are behind at the same place."""
        task = self._reads.get((chat_id, after))
        if task is None:
            task = self._group.create_task(self._read_range(chat_id, after))
            self._reads[(chat_id, after)] = task
            task.add_done_callback(lambda _: self._reads.pop((chat_id, after), None))
        found = await asyncio.shield(task)
        if found is None:
            raise Transient("read")
        return found

    async def _read_range(self, chat_id: str, after: int) -> Any:
        try:
            async with self._reading:
                events = await self._timeline.events(chat_id, after, _RANGE)
        except Transient:
            return None
        parts: list[Slice] = []
        start = size = 0
        lines = [self._codec.event(event) for event in events]
        for place, line in enumerate(lines):
            length = len(line.encode()) + 1
            if place > start and size + length > FRAME_MAX:
                parts.append(slice_of(chat_id, events[start:place], lines[start:place]))
                start, size = place, 0
            size += length
        if events:
            parts.append(slice_of(chat_id, events[start:], lines[start:]))
        return parts

    # The one function that delivers

    def _deliver(self, session: Session, part: Slice, whole: str | None = None) -> None:
        """Give a session what of the slice follows its cursor, up to its own removal."""
        chat_id = part.chat_id
        cursor = session.cursors.get(chat_id)
        if cursor is None or part.last <= cursor:
            return
        if part.first > cursor + 1:
            return self._ask(session, CatchUp(chat_id))
        end = part.last
        for seq, user_id in part.removed:
            if user_id == session.user_id and seq > cursor:
                end = min(end, seq)
        removed = any(seq == end and user_id == session.user_id for seq, user_id in part.removed)
        if cursor + 1 == part.first and end == part.last:
            session.sink.send(whole if whole is not None else "\n".join(part.lines))
        else:
            session.sink.send("\n".join(part.lines[cursor + 1 - part.first : end + 1 - part.first]))
        session.cursors[chat_id] = end
        for message_id in part.done:
            session.replies.pop(message_id, None)
            if feed := self._feeds.get(chat_id):
                feed.end(message_id)
        if removed:
            self._leave(session, chat_id)
            self._spawn(self._check(session.user_id, [chat_id]))

    def _pass(self, feed: Feed, part: Slice) -> None:
        """New events of a chat, to all who hear it."""
        feed.tail = max(feed.tail, part.last)
        feed.known = max(feed.known, feed.tail)
        for message_id in part.done:
            feed.end(message_id)
        whole = "\n".join(part.lines)
        for session in list(feed.sessions):
            if feed.chat_id not in session.behind:
                self._deliver(session, part, whole)

    # What comes from the fan-out

    def handle(self, channel: str, payload: bytes) -> None:
        kind, _, id_ = channel.partition(":")
        signal = unpack(id_, payload)
        if kind == "chat":
            feed = self._feeds.get(id_)
            if feed is not None:
                self._on_chat(feed, signal)
        elif kind == "user":
            self._on_user(id_, signal)
        elif kind == "process" and isinstance(signal, Note):
            for data in signal.data:
                self._on_outcome(unpack_told(data))

    def _on_chat(self, feed: Feed, signal: Slice | Head | DeltaSignal | Frame | Note) -> None:
        if isinstance(signal, Slice):
            if signal.last <= feed.tail:
                return
            if signal.first > feed.tail + 1:
                return self._know(feed, signal.last)
            with self._around(signal):
                self._pass(feed, signal)
        elif isinstance(signal, Head):
            self._know(feed, signal.head)
        elif isinstance(signal, DeltaSignal):
            self._on_delta(feed, signal)
        elif isinstance(signal, Frame):
            for session in list(feed.sessions):
                if session.user_id != signal.but_user:
                    session.sink.send(signal.text)

    def _know(self, feed: Feed, head: int) -> None:
        """The chat reaches to `head`; what is missing is read once for all."""
        feed.known = max(feed.known, head)
        if feed.known > feed.tail and not feed.backfilling:
            feed.backfilling = True
            self._spawn(self._backfill(feed))

    async def _backfill(self, feed: Feed) -> None:
        self.counts["backfills"] += 1
        try:
            while feed.tail < feed.known and self._feeds.get(feed.chat_id) is feed:
                try:
                    parts = await self._read(feed.chat_id, feed.tail)
                except Transient:
                    await asyncio.sleep(_RETRY_S)
                    continue
                if not parts:
                    feed.known = feed.tail
                for part in parts:
                    if part.last > feed.tail:
                        self._pass(feed, part)
        finally:
            feed.backfilling = False

    def _on_user(self, user_id: str, signal: Slice | Head | DeltaSignal | Frame | Note) -> None:
        if isinstance(signal, Frame):
            for session in self.sessions_of(user_id):
                if session.opened:
                    session.sink.send(signal.text)
        elif isinstance(signal, Note) and signal.kind == "chat":
            self._spawn(self._check(user_id, [signal.data]))
        elif isinstance(signal, Note) and signal.kind == "rejected":
            told = unpack_told(signal.data)
            self._tell_rejected(told.key, told.outcome, told.tag if told.origin == self.process_id else 0)
        elif isinstance(signal, Note) and signal.kind == "revoked":
            self.revoke({signal.data})
        elif isinstance(signal, Note) and signal.kind == "evicted":
            self.evict(user_id, signal.data)

    def evict(self, user_id: str, session_ids: Sequence[str]) -> None:
        """Make room for newer sockets of the same user."""
        for session in self.sessions_of(user_id):
            if session.id in session_ids:
                session.sink.close(Close.TOO_MANY_SOCKETS, "too many sockets of this user")

    def revoke(self, auth_session_ids: set[str]) -> None:
        for session in self.sessions:
            if session.auth_session_id in auth_session_ids:
                session.sink.close(Close.UNAUTHENTICATED, "the session has ended")

    # Memberships

    async def _check(self, user_id: str, chat_ids: Sequence[str]) -> None:
        """A hint says that this user's membership changed: read it, never believe it."""
        joined = await self._joined(user_id, chat_ids)
        sessions = self.sessions_of(user_id)
        for session in sessions:
            if not session.opened:
                session.recheck.update(chat_ids)
                continue
            for chat_id in chat_ids:
                membership = joined.get(chat_id)
                cursor = session.cursors.get(chat_id)
                if membership is None:
                    if cursor is not None:
                        self._ask(session, CatchUp(chat_id))
                        self._know(self._feeds[chat_id], cursor + 1)
                elif cursor is None:
                    self._spawn(self._join(session, chat_id))
                elif cursor < membership[1]:
                    self._know(self._feeds[chat_id], membership[1])

    async def _joined(self, user_id: str, chat_ids: Sequence[str] | None) -> dict[str, tuple[int, int]]:
        """A hint comes once, so its reading is repeated until it is had or nobody is here to care."""
        while user_id in self._users:
            try:
                return await self._timeline.joined(user_id, chat_ids)
            except Transient:
                await asyncio.sleep(_RETRY_S)
        return {}

    async def _join(self, session: Session, chat_id: str) -> None:
        if chat_id in session.joining or chat_id in session.cursors:
            return
        session.joining.add(chat_id)
        try:
            await self._hear(session, [chat_id])
            joined = (await self._timeline.joined(session.user_id, [chat_id])).get(chat_id)
            found = await self._history.memberships(
                session.user_id, archived=None, before=None, limit=1, unread_max=WELCOME_UNREAD_MAX, chat_ids=[chat_id]
            )
        except Transient:
            self._unhear(chat_id)
            await asyncio.sleep(_RETRY_S)
            if not session.closed:
                self._spawn(self._check(session.user_id, [chat_id]))
            return
        finally:
            session.joining.discard(chat_id)
        feed = self._feeds.get(chat_id)
        if joined is None or not found or feed is None or session.closed or chat_id in session.cursors:
            return self._unhear(chat_id)
        joined_seq, head = joined
        chat = self._codec.chat(found[0])
        session.sink.send(self._codec.frame({"type": "chat.joined", "chat": chat, "after": joined_seq - 1}))
        self._register(session, feed, joined_seq - 1)
        self._know(feed, head)
        self._spawn(self._show_open_replies(session, [chat_id]))

    # Outcomes

    def expect_outcome(self, key: Key) -> asyncio.Future[tuple[Outcome, bool]]:
        """For callers that wait: (outcome, whether it is a repeat). Give it up with `forget_outcome`."""
        future: asyncio.Future[tuple[Outcome, bool]] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(key, []).append(future)
        return future

    def forget_outcome(self, key: Key, future: asyncio.Future[tuple[Outcome, bool]]) -> None:
        waiting = self._waiters.get(key, [])
        if future in waiting:
            waiting.remove(future)
        if not waiting:
            self._waiters.pop(key, None)

    def _on_outcome(self, told: Told) -> None:
        for place, future in enumerate(self._waiters.get(told.key, ())):
            if not future.done():  # several calls with one id at once: one of them did it
                future.set_result((told.outcome, told.repeat or place > 0))
        if told.outcome.code is not None and not told.repeat:
            return self._tell_rejected(told.key, told.outcome, told.tag)
        for session in self.sessions_of(told.key[1]):
            if told.tag in session.asked:
                self._answer(session, told.tag, told.outcome, told.outcome.seq is not None and not told.repeat)

    def _answer(self, session: Session, tag: int, outcome: Outcome, event_follows: bool) -> None:
        asked = session.asked.pop(tag)
        if outcome.code is not None:
            session.refused(tag)
            session.sink.send(self._rejected_frame(asked.key, outcome, asked.ref))
        elif not event_follows:
            frame: dict[str, object] = {"type": "committed", "ref": asked.ref, "chat_id": asked.key[0]}
            frame[_id_name(outcome)] = asked.key[2]
            if outcome.seq is not None:
                frame["seq"] = outcome.seq
            session.sink.send(self._codec.frame(frame))

    def _rejected_frame(self, key: Key, outcome: Outcome, ref: str | None) -> str:
        frame: dict[str, object] = {"type": "rejected"}
        if ref is not None:
            frame["ref"] = ref
        frame |= {
            "chat_id": key[0],
            _id_name(outcome): key[2],
            "code": outcome.code,
            "reason": outcome.reason,
            "policies": list(outcome.policies),
        }
        return self._codec.frame(frame)

    def _tell_rejected(self, key: Key, outcome: Outcome, tag: int = 0) -> None:
        """To all sessions of the sender, once; with its ref to the one that asked."""
        now = monotonic()
        if now - self._told.get(key, -_TOLD_S) < _TOLD_S:
            return
        self._told[key] = now
        if self._users.get(key[1]) or key in self._waiters:
            self._on_rejected(key[1])
        for future in self._waiters.get(key, ()):
            if not future.done():
                future.set_result((outcome, False))
        for session in self.sessions_of(key[1]):
            known = tag if tag in session.asked else next(iter(session.asked_for(key)), 0) if not tag else 0
            asked = session.asked.pop(known, None)
            session.refused(known)
            if not session.opened:
                continue
            session.sink.send(self._rejected_frame(key, outcome, asked.ref if asked else None))

    # Replies that stream

    def _on_delta(self, feed: Feed, delta: DeltaSignal) -> None:
        if delta.message_id in feed.ended:
            return
        frame: str | None = None
        for session in list(feed.sessions):
            if feed.chat_id in session.behind:
                continue
            at = session.replies.get(delta.message_id, (0, 0))
            if delta.attempt < at[0] or (delta.attempt == at[0] and delta.index < at[1]):
                continue
            fresh = delta.attempt > at[0]
            if delta.index != (0 if fresh else at[1]):
                self._snapshot(feed, delta.message_id)
                continue
            if frame is None:
                frame = self._codec.frame(
                    {
                        "type": "reply.delta",
                        "chat_id": feed.chat_id,
                        "message_id": delta.message_id,
                        "attempt": delta.attempt,
                        "index": delta.index,
                        "text": delta.text,
                    }
                )
            session.replies[delta.message_id] = (delta.attempt, delta.index + 1)
            session.sink.send(frame)

    def _snapshot(self, feed: Feed, message_id: str) -> None:
        if message_id not in feed.snapshots:
            feed.snapshots.add(message_id)
            self._spawn(self._fetch_snapshot(feed, message_id))

    async def _fetch_snapshot(self, feed: Feed, message_id: str) -> None:
        try:
            text = await self._live.get((feed.chat_id, message_id))
        finally:
            feed.snapshots.discard(message_id)
        if text is not None:
            for session in list(feed.sessions):
                self._give_snapshot(session, feed, message_id, text)

    def _give_snapshot(self, session: Session, feed: Feed, message_id: str, text: LiveText) -> None:
        if feed.chat_id in session.behind:
            return
        if message_id in feed.ended or (text.attempt, text.next_index) <= session.replies.get(message_id, (0, 0)):
            return
        session.replies[message_id] = (text.attempt, text.next_index)
        session.sink.send(
            self._codec.frame(
                {
                    "type": "reply.snapshot",
                    "chat_id": feed.chat_id,
                    "message_id": message_id,
                    "attempt": text.attempt,
                    "next_index": text.next_index,
                    "text": text.text,
                }
            )
        )

    async def _show_open_replies(self, session: Session, chat_ids: list[str]) -> None:
        """Who comes in the middle of an answer gets its text so far, unasked."""
        for chat_id, message_id in await self._timeline.open_replies(chat_ids):
            text = await self._live.get((chat_id, message_id))
            feed = self._feeds.get(chat_id)
            if text is not None and feed is not None and session in feed.sessions:
                self._give_snapshot(session, feed, message_id, text)

    # Healing

    def reset(self) -> None:
        """The fan-out's connection was lost: anything may have been missed."""
        self._doubt = True
        self._poll_now.set()

    async def run(self) -> None:
        """One poll heals what a gap doesn't show; callers that wait too long are looked up."""
        next_poll = monotonic()
        while True:
            if monotonic() >= next_poll or self._poll_now.is_set():
                self._poll_now.clear()
                next_poll = monotonic() + POLL_S
                try:
                    healing = await self._heal.poll()
                    if healing is not None and not defect("no_poll"):
                        await self._apply(healing)
                except Transient:
                    self._doubt = True
            if self._looking is None or self._looking.done():
                self._looking = self._group.create_task(self._tolerate(self._look_up()))
            now = monotonic()
            self._told = {key: at for key, at in self._told.items() if now - at < _TOLD_S}
            try:
                async with asyncio.timeout(max(0.1, min(_LOOK_UP_AFTER_S / 2, next_poll - monotonic()))):
                    await self._poll_now.wait()
            except TimeoutError:
                pass

    async def _apply(self, healing: Healing) -> None:
        if healing.too_late or healing.epoch != self.epoch:
            self.epoch = healing.epoch
            for session in self.sessions:
                session.sink.close(Close.RESTART, "resume")
            return
        behind = [
            feed for chat_id, head in healing.heads.items() if (feed := self._feeds.get(chat_id)) and head > feed.tail
        ]
        if behind:
            await asyncio.sleep(_HEAD_GRACE_S)
        for feed in behind:
            if healing.heads[feed.chat_id] > feed.tail:
                self.counts["poll_repairs"] += 1
                self._doubt = True
                self._know(feed, healing.heads[feed.chat_id])
        for user_id in healing.users:
            if user_id in self._users:
                self._spawn(self._check_all(user_id))
        for refusal in healing.refused:
            self._tell_refused(refusal)
        if healing.revoked:
            self.revoke(healing.revoked)

    def _tell_refused(self, refusal: Refusal) -> None:
        key = (refusal.chat_id, refusal.actor_id, refusal.id)
        if refusal.actor_id in self._users:
            self._tell_rejected(key, refusal.outcome)

    async def _check_all(self, user_id: str) -> None:
        joined = await self._joined(user_id, None)
        known = {chat_id for session in self.sessions_of(user_id) for chat_id in session.cursors}
        await self._check(user_id, sorted(joined.keys() | known))

    async def _look_up(self) -> None:
        """Outcomes that nobody told: after a second of waiting, ask the database."""
        doubt, self._doubt = self._doubt, False
        late = monotonic() - _LOOK_UP_AFTER_S
        waiting = [
            (session, tag, asked)
            for session in self.sessions
            for tag, asked in session.asked.items()
            if asked.at < late and ((doubt and asked.at > late - _LOOK_BACK_S) or not asked.is_send)
        ]
        for session, tag, asked in waiting:
            outcome = await self._history.outcome(*asked.key)
            if outcome is not None and tag in session.asked:
                self._answer(session, tag, outcome, event_follows=False)

    async def close_all(self, code: int, reason: str, slices: int, pause_s: float, retry_after_ms: int) -> None:
        """Draining: tell all, then close them a slice at a time, so that they don't all reconnect at once."""
        sessions = self.sessions
        for session in sessions:
            session.sink.send(self._codec.frame({"type": "draining", "reconnect_after_ms": retry_after_ms}))
        size = max(1, len(sessions) // slices)
        for start in range(0, len(sessions), size):
            for session in sessions[start : start + size]:
                session.sink.close(code, reason)
            await asyncio.sleep(pause_s)


def _id_name(outcome: Outcome) -> str:
    return "client_message_id" if outcome.type == "message.send" else "command_id"
