"""Messages, for callers that wait: write, act on what was written, read."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.application.authorize import Reader
from app.application.kept_pages import KeptPages
from app.application.ports.history import History, Page
from app.application.ports.socket import Codec
from app.application.ports.store import Timeline
from app.application.submit import Done, Submitter
from app.domain.command import Action
from app.domain.errors import Code, ParleyError, not_found
from app.domain.events import Event, Opaque
from app.domain.messages import SendMessage
from app.domain.replies import RegenerateReply
from app.domain.scopes import Scopes
from app.domain.values import Chat, Member, Message

_PAGE_TRIES = 3


@dataclass(frozen=True, slots=True)
class TimelinePart:
    events: list[Event]
    has_more: bool
    head: int


class Messages:
    """Each command raises ParleyError, StillOpen; each read ParleyError."""

    def __init__(
        self, submitter: Submitter, reader: Reader, history: History, timeline: Timeline, codec: Codec
    ) -> None:
        self._codec = codec
        self._kept = KeptPages()
        self._submitter = submitter
        self._reader = reader
        self._history = history
        self._timeline = timeline

    async def send(
        self, user_id: str, chat_id: str, id_: str, action: SendMessage, scopes: Scopes = None
    ) -> Done[Message]:
        """The same id again is the first message again; to who is out meanwhile only what was theirs to know. scopes: of the
        key that asks."""
        done = await self._submitter.run(user_id, chat_id, action, id_, scopes)
        message = await self._as_known_to(user_id, await self._at(chat_id, done.seq))
        return Done(message, done.seq, done.made)

    async def _as_known_to(self, user_id: str, message: Message) -> Message:
        """Who was out since doesn't see what became of it after the removal. Asked behind the reading: a removal in between
        had committed, perhaps, before what was read."""
        _, member = await self._history.chat_for(message.chat_id, user_id)
        if member is not None and member.sees(message):
            return message
        left_at = await self._history.left_at(message.chat_id, user_id)
        changed_at = message.deleted_at or message.edited_at
        changed = changed_at is not None and (left_at is None or changed_at >= left_at)
        if changed:
            message = replace(message, body=None, edited_at=None, deleted_at=None)
        return replace(message, reactions=())

    async def regenerate(
        self, user_id: str, chat_id: str, message_id: str, id_: str | None, scopes: Scopes = None
    ) -> Done[Message]:
        """The new reply."""
        done = await self._submitter.run(user_id, chat_id, RegenerateReply(message_id), id_, scopes)
        return await self._shown_after(user_id, done, await self._at(chat_id, done.seq))

    async def act(self, user_id: str, chat_id: str, message_id: str, action: Action, id_: str | None) -> Done[Message]:
        """Any other action on a message; with the message as it is after it."""
        done = await self._submitter.run(user_id, chat_id, action, id_)
        return await self._shown_after(user_id, done, await self._found(chat_id, message_id))

    async def _shown_after(self, user_id: str, done: Done[None], message: Message) -> Done[Message]:
        """What an act left; a repeat opens no door to who is out."""
        if done.made:
            message = await self._as_known_to(user_id, message)
        else:
            _, me = await self._reader.permit(user_id, message.chat_id)
            if not me.sees(message):  # an id that was used before names another message, or one came anew since
                raise not_found()
        return Done(message, done.seq, done.made)

    async def act_only(self, user_id: str, chat_id: str, action: Action, id_: str | None) -> Done[None]:
        """The same, for who doesn't want to see the message."""
        return await self._submitter.run(user_id, chat_id, action, id_)

    async def one(self, user_id: str, chat_id: str, message_id: str) -> Message:
        return await self._reader.read(user_id, chat_id, lambda me: self._seen(me, chat_id, message_id))

    async def page(self, user_id: str, chat_id: str, before: int | None, after: int | None, limit: int) -> Page:
        """after: oldest first; before, or neither: newest first."""
        if before is not None and after is not None:
            raise ParleyError(Code.INVALID, "before or after, not both")
        return await self._reader.read(
            user_id, chat_id, lambda me: self._history.messages(chat_id, before, after, limit, me.sees_from)
        )

    async def page_json(self, user_id: str, chat_id: str, before: int | None, after: int | None, limit: int) -> bytes:
        """The same, encoded: where the chat stands as it stood, it isn't read again. Raises ParleyError."""
        if self._history.tells_heads and (before is None or after is None):
            for _ in range(_PAGE_TRIES):  # where the chat moves on in between, its head is asked for anew
                chat, me = await self._reader.permit(user_id, chat_id)
                if me.sees_from:
                    break
                key = (chat_id, chat.head, before, after, limit)
                if (kept := self._kept.get(key)) is not None:
                    return kept
                page = await self._history.page_at(chat_id, chat.head, before, after, limit)
                if page is not None:
                    encoded = self._codec.page(page)
                    self._kept.keep(key, encoded)
                    return encoded
        return self._codec.page(await self.page(user_id, chat_id, before, after, limit))

    async def pins(self, user_id: str, chat_id: str, before: int | None, limit: int) -> list[tuple[int, Message]]:
        """(seq of the event that pinned it, the message), newest pin first."""
        return await self._reader.read(
            user_id, chat_id, lambda me: self._history.pins(chat_id, before, limit, me.sees_from)
        )

    async def timeline(self, user_id: str, chat_id: str, after: int, limit: int) -> TimelinePart:
        """Durable events, as the socket would have told them."""
        events, chat = await self._reader.read(user_id, chat_id, lambda me: self._part(me, chat_id, after, limit))
        head = max(chat.head, events[-1].seq if events else 0)
        return TimelinePart(events, bool(events) and events[-1].seq < head, head)

    async def _part(self, me: Member, chat_id: str, after: int, limit: int) -> tuple[list[Event], Chat]:
        """Of what was before this member nothing; of what happened since to messages from then the places alone."""
        found = await self._timeline.events(chat_id, max(after, me.sees_from - 1), limit)
        events = [
            replace(e, payload=Opaque()) if isinstance(e.payload, Message) and not me.sees(e.payload) else e
            for e in found
        ]
        chat, _ = await self._history.chat_for(chat_id, me.user.id)
        if chat is None:
            raise not_found()
        return events, chat

    async def _seen(self, me: Member, chat_id: str, message_id: str) -> Message:
        message = await self._found(chat_id, message_id)
        if not me.sees(message):
            raise not_found()
        return message

    async def _found(self, chat_id: str, message_id: str) -> Message:
        message = await self._history.message(chat_id, message_id)
        if message is None:
            raise not_found()
        return message

    async def _at(self, chat_id: str, seq: int | None) -> Message:
        message = await self._history.message_at(chat_id, seq) if seq is not None else None
        if message is None:
            raise ParleyError(Code.CONFLICT, "this id was another command's")
        return message
