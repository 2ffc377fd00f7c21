"""What the policies say about somebody in a chat: owners and admins ask about all, others about themselves."""

from __future__ import annotations

from dataclasses import replace

from app.application.authorize import Pep, Reader
from app.application.ports.history import History
from app.domain.errors import Code, ParleyError, not_found
from app.domain.policy import Answer, Question, question
from app.domain.replies import RegenerateReply
from app.domain.values import Member, Role

_NOT_OF_A_CHAT = ("person.add", "users.administer", "assistant.configure", "chat.moderate", "assistant.speak")
"""What depends on more than a chat and a membership."""


class Explain:
    def __init__(self, reader: Reader, pep: Pep, history: History) -> None:
        self._reader = reader
        self._pep = pep
        self._history = history

    async def ask(
        self, asker_id: str, chat_id: str, action: str, user_id: str | None, message_id: str | None
    ) -> tuple[Question, Answer]:
        """(what the policies were asked, their answer) for `user_id`, the asker where it is None. message_id: what the
        action would be about. Raises ParleyError."""
        chat, me = await self._reader.permit(asker_id, chat_id, "policy.explain")
        about = user_id or asker_id
        if about != asker_id and me.role not in (Role.OWNER, Role.ADMIN):
            raise ParleyError(Code.NOT_ALLOWED, "only an owner or an admin may ask about others")
        if action in _NOT_OF_A_CHAT or not self._pep.knows(action):
            raise ParleyError(Code.INVALID, "action: no such action")
        member = me if about == asker_id else await self._history.member(chat_id, about)
        own = message_id is not None and await self._author(me, chat_id, message_id, action) == about
        asked = question(action, chat, member, self._history.now(), own=own)
        answer = self._pep.ask(asked)
        # What a host or an issuer says of somebody is theirs to know.
        return (asked if about == asker_id else replace(asked, person=())), answer

    async def _author(self, me: Member, chat_id: str, message_id: str, action: str) -> str:
        """Whose the message is; of a reply that would be written anew: who asked."""
        message = await self._history.message(chat_id, message_id)
        if message is None or not me.sees(message):
            raise not_found()
        if action == RegenerateReply.type and message.reply_to is not None:
            message = await self._history.message(chat_id, message.reply_to) or message
        return message.sender_id
