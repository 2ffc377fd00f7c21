"""The hub: what reaches which socket of this process, and from where on.

One function delivers (`_deliver`): live events, backfills, resumes and syncs all pass it, with a cursor for each
(session, chat). A seq that doesn't follow the cursor is never sent: the session falls behind and is caught up from the
database. A slice that removes the session's user ends the chat for the session at that event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Any

from app.application.background import Background
from app.application.cutpoints import defect
from app.application.feeds import Feed, Feeds
from app.application.outcomes import LOOK_UP_AFTER_S, Outcomes
from app.application.ports import (
    Codec,
    FanOut,
    Heal,
    Healing,
    History,
    LiveTexts,
    Membership,
    Timeline,
    Transient,
)
from app.application.ranges import Ranges
from app.application.sessions import CatchUp, Session, Sessions
from app.application.signals import (
    DeltaSignal,
    Frame,
    Head,
    Note,
    Slice,
    process_channel,
    unpack,
    unpack_told,
    user_channel,
)
from app.application.streams import Streams
from app.domain.errors import Close

MISSED_EVENTS_MAX = 500
MISSED_BYTES_MAX = 1024 * 1024
WELCOME_CHATS = 200
WELCOME_UNREAD_MAX = 100
POLL_S = 2.0
_HEAD_GRACE_S = 0.2
_RETRY_S = 0.2
_WELCOME_BYTES = 700 * 1024


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
        self._codec = codec
        self._group = group
        self._around = around
        self._sessions = Sessions()
        self._feeds = Feeds(fan_out, self._spawn)
        self._ranges = Ranges(timeline, codec, group)
        self._streams = Streams(self._feeds, live, timeline, codec, self._spawn)
        self.outcomes = Outcomes(self._sessions, history, codec, on_rejected)
        self._poll_now = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self.counts = {"backfills": 0, "poll_repairs": 0, "resets": 0}

    async def start(self) -> None:
        self.epoch = await self._heal.epoch()
        await self._fan_out.subscribe([process_channel(self.process_id)])

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
        self._sessions.add(session)
        await self._fan_out.subscribe([user_channel(session.user_id)])
        mine = await self._timeline.joined(session.user_id, None)
        await self._feeds.hear(mine)
        registered = False
        try:
            registered = await self._welcome(session, welcome, resume, epoch, mine)
        finally:
            if not registered:
                for chat_id in mine:
                    self._feeds.unhear(chat_id)

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
            self._feeds.unhear(chat_id)
        for chat_id, after in resume.items():
            self._ask(session, CatchUp(chat_id, after, (None,), epoch != self.epoch))
        session.opened = True
        if session.recheck:
            self._spawn(self._check(session.user_id, list(session.recheck)))
        if heads:
            self._spawn(self._streams.show_open(session, list(heads)))
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

    async def _unsubscribe_user(self, user_id: str) -> None:
        if user_id not in self._sessions:
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
                self._feeds.unhear(chat_id)

    def _forget_feeds(self, session: Session) -> None:
        for chat_id in list(session.cursors):
            self._leave(session, chat_id)

    def drop(self, session: Session) -> None:
        """The socket is gone."""
        session.closed = True
        self._forget_feeds(session)
        session.behind.clear()
        if self._sessions.remove(session):
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
            parts = await self._ranges.read(chat_id, cursor)
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
            await self._feeds.hear([chat_id])
            if session.closed or session.behind.get(chat_id) is not item or chat_id in session.cursors:
                self._feeds.unhear(chat_id)
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
            parts = await self._ranges.read(item.chat_id, after)
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
            self._spawn(self._streams.show_open(session, [item.chat_id]))

    def _end_named(self, session: Session, item: CatchUp, type_: str, **fields: object) -> None:
        for ref in item.refs:
            told = {"ref": ref} if ref is not None else {}
            session.sink.send(self._codec.frame({"type": type_, **told, "chat_id": item.chat_id, **fields}))

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
                self.outcomes.hear(unpack_told(data))

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
            self._streams.hear(feed, signal)
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
                    parts = await self._ranges.read(feed.chat_id, feed.tail)
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
            for session in self._sessions.of(user_id):
                if session.opened:
                    session.sink.send(signal.text)
        elif isinstance(signal, Note) and signal.kind == "chat":
            self._spawn(self._check(user_id, [signal.data]))
        elif isinstance(signal, Note) and signal.kind == "rejected":
            told = unpack_told(signal.data)
            self.outcomes.tell_rejected(told.key, told.outcome, told.tag if told.origin == self.process_id else 0)
        elif isinstance(signal, Note) and signal.kind == "revoked":
            self.revoke({signal.data})
        elif isinstance(signal, Note) and signal.kind == "evicted":
            self.evict(user_id, signal.data)

    def evict(self, user_id: str, session_ids: Sequence[str]) -> None:
        """Make room for newer sockets of the same user."""
        for session in self._sessions.of(user_id):
            if session.id in session_ids:
                session.sink.close(Close.TOO_MANY_SOCKETS, "too many sockets of this user")

    def revoke(self, auth_session_ids: set[str]) -> None:
        for session in self._sessions.all():
            if session.auth_session_id in auth_session_ids:
                session.sink.close(Close.UNAUTHENTICATED, "the session has ended")

    # Memberships

    async def _check(self, user_id: str, chat_ids: Sequence[str]) -> None:
        """A hint says that this user's membership changed: read it, never believe it."""
        joined = await self._joined(user_id, chat_ids)
        sessions = self._sessions.of(user_id)
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
        while user_id in self._sessions:
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
            await self._feeds.hear([chat_id])
            joined = (await self._timeline.joined(session.user_id, [chat_id])).get(chat_id)
            found = await self._history.memberships(
                session.user_id, archived=None, before=None, limit=1, unread_max=WELCOME_UNREAD_MAX, chat_ids=[chat_id]
            )
        except Transient:
            self._feeds.unhear(chat_id)
            await asyncio.sleep(_RETRY_S)
            if not session.closed:
                self._spawn(self._check(session.user_id, [chat_id]))
            return
        finally:
            session.joining.discard(chat_id)
        feed = self._feeds.get(chat_id)
        if joined is None or not found or feed is None or session.closed or chat_id in session.cursors:
            return self._feeds.unhear(chat_id)
        joined_seq, head = joined
        chat = self._codec.chat(found[0])
        session.sink.send(self._codec.frame({"type": "chat.joined", "chat": chat, "after": joined_seq - 1}))
        self._register(session, feed, joined_seq - 1)
        self._know(feed, head)
        self._spawn(self._streams.show_open(session, [chat_id]))

    # Healing

    def reset(self) -> None:
        """The fan-out's connection was lost: anything may have been missed."""
        self.outcomes.doubt = True
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
                    self.outcomes.doubt = True
            if self._looking is None or self._looking.done():
                self._looking = self._group.create_task(self._tolerate(self.outcomes.look_up()))
            try:
                async with asyncio.timeout(max(0.1, min(LOOK_UP_AFTER_S / 2, next_poll - monotonic()))):
                    await self._poll_now.wait()
            except TimeoutError:
                pass

    async def _apply(self, healing: Healing) -> None:
        if healing.too_late or healing.epoch != self.epoch:
            self.epoch = healing.epoch
            for session in self._sessions.all():
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
                self.outcomes.doubt = True
                self._know(feed, healing.heads[feed.chat_id])
        for user_id in healing.users:
            if user_id in self._sessions:
                self._spawn(self._check_all(user_id))
        for refusal in healing.refused:
            if refusal.actor_id in self._sessions:
                self.outcomes.tell_rejected((refusal.chat_id, refusal.actor_id, refusal.id), refusal.outcome)
        if healing.revoked:
            self.revoke(healing.revoked)

    async def _check_all(self, user_id: str) -> None:
        joined = await self._joined(user_id, None)
        known = {chat_id for session in self._sessions.of(user_id) for chat_id in session.cursors}
        await self._check(user_id, sorted(joined.keys() | known))

    async def close_all(self, code: int, reason: str, slices: int, pause_s: float, retry_after_ms: int) -> None:
        """Draining: tell all, then close them a slice at a time, so that they don't all reconnect at once."""
        sessions = self._sessions.all()
        for session in sessions:
            session.sink.send(self._codec.frame({"type": "draining", "reconnect_after_ms": retry_after_ms}))
        size = max(1, len(sessions) // slices)
        for start in range(0, len(sessions), size):
            for session in sessions[start : start + size]:
                session.sink.close(code, reason)
            await asyncio.sleep(pause_s)
