"""Chats, for callers that wait: start one, change it, see one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.application.authorize import Reader
from app.application.ports.fan_out import FanOut
from app.application.ports.history import History, Membership
from app.application.ports.socket import Codec
from app.application.signals import Frame, pack_frame, user_channel
from app.application.submit import Done, Submitter
from app.domain.chats import CreateChat, UpdateChat
from app.domain.errors import Code, ParleyError, not_found
from app.domain.ids import ASSISTANT_ID, created_chat_id, direct_chat_id
from app.domain.values import Chat, ChatKind, Fork, Member, Message, MessageKind

UNREAD_MAX = 1_000


@dataclass(frozen=True, slots=True)
class ChatAssistant:
    """What a caller says of a chat's own assistant. given: names of the fields that were named, which may be None. user_id:
    which one it is; None for the one that there is, or the built-in."""

    given: tuple[str, ...] = ()
    model: str | None = None
    instructions: str | None = None
    user_id: str | None = None


class Chats:
    def __init__(
        self,
        submitter: Submitter,
        reader: Reader,
        history: History,
        new_id: Callable[[], str],
        members_max: int,
        fan_out: FanOut,
        codec: Codec,
    ) -> None:
        self._fan_out = fan_out
        self._codec = codec
        self._members_max = members_max
        self._submitter = submitter
        self._reader = reader
        self._history = history
        self._new_id = new_id

    async def create(
        self,
        user_id: str,
        kind: str,
        title: str | None,
        member_ids: Sequence[str],
        assistant: ChatAssistant | None,
        id_: str | None,
    ) -> Done[Membership]:
        """A direct chat is get-or-create; the same id again finds what it made. Raises ParleyError, StillOpen."""
        others = [other for other in dict.fromkeys(member_ids) if other != user_id]
        command_id = id_ or self._new_id()
        if kind == ChatKind.DIRECT:
            if len(others) != 1:
                raise ParleyError(Code.INVALID, "a direct chat takes exactly one other person in member_ids")
            chat_id = direct_chat_id(user_id, others[0])
        else:
            chat_id = created_chat_id(user_id, command_id)
        if assistant is not None and kind != ChatKind.ASSISTANT:
            raise ParleyError(Code.INVALID, "assistant: only a chat of kind assistant has one of its own")
        settings = assistant or ChatAssistant()
        own_id = settings.user_id or ASSISTANT_ID
        action = CreateChat(kind, title, tuple(others), settings.model, settings.instructions, own_id)
        if len(others) >= self._members_max:  # as the rules say it, before anything is looked up of so many
            raise ParleyError(Code.CONFLICT, f"a chat takes at most {self._members_max} members")
        return await self._create(user_id, chat_id, action, command_id)

    async def update(self, user_id: str, chat_id: str, changes: UpdateChat, id_: str | None) -> Done[Membership]:
        """Raises ParleyError, StillOpen."""
        done = await self._submitter.run(user_id, chat_id, changes, id_)
        return Done(await self._membership(user_id, chat_id), done.seq, done.made)

    async def fork(self, user_id: str, chat_id: str, message_id: str, id_: str | None) -> Done[Membership]:
        """A chat of one's own with the same assistant, that goes on behind this message. Raises ParleyError, StillOpen."""

        async def found(_: Member) -> tuple[Chat, Message]:
            chat, _me = await self._history.chat_for(chat_id, user_id)
            message = await self._history.message(chat_id, message_id)
            if chat is None or message is None or message.kind == MessageKind.SYSTEM:
                raise not_found()
            return chat, message

        chat, message = await self._reader.read(user_id, chat_id, found)
        if chat.assistant is None:
            raise ParleyError(Code.INVALID, "only a chat with an assistant of its own goes on in another")
        of, command_id = chat.assistant, id_ or self._new_id()
        fork = Fork(chat_id, message.seq)
        local = chat.terms.local_only
        action = CreateChat(ChatKind.ASSISTANT, chat.title, (), of.model, of.instructions, of.user_id, fork, local)
        return await self._create(user_id, created_chat_id(user_id, command_id), action, command_id)

    async def _create(self, user_id: str, chat_id: str, action: CreateChat, command_id: str) -> Done[Membership]:
        done = await self._submitter.run(user_id, chat_id, action, command_id)
        found = await self._membership(user_id, chat_id)
        return Done(found, done.seq, done.made and done.seq is not None)

    async def one(self, user_id: str, chat_id: str) -> Membership:
        """Raises ParleyError."""
        return await self._reader.read(user_id, chat_id, lambda _: self._membership(user_id, chat_id))

    async def mine(
        self,
        user_id: str,
        archived: bool,
        hidden: bool,
        before: tuple[datetime, str] | None,
        limit: int,
        query: str | None = None,
    ) -> list[Membership]:
        """Latest message or joining first. query: what a word of the title or somebody's name begins with."""
        chat_ids = None if query is None else await self._history.called(user_id, query)
        return await self._history.memberships(
            user_id,
            archived=archived,
            hidden=hidden,
            before=before,
            limit=limit,
            unread_max=UNREAD_MAX,
            chat_ids=chat_ids,
        )

    async def hide(self, user_id: str, chat_id: str, hidden: bool) -> None:
        """From one's own list, until somebody says something in it. Raises ParleyError."""
        chat, _ = await self._reader.permit(user_id, chat_id)
        await self._history.hide(chat_id, user_id, chat.head if hidden else None)
        frame = self._codec.chat_hidden(chat_id, hidden)
        await self._fan_out.publish([(user_channel(user_id), pack_frame(Frame(frame)))])

    async def _membership(self, user_id: str, chat_id: str) -> Membership:
        found = await self._history.memberships(
            user_id, archived=None, before=None, limit=1, unread_max=UNREAD_MAX, chat_ids=[chat_id]
        )
        if not found:
            raise not_found()
        return found[0]
