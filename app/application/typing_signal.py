"""Who is typing: a signal, which may be lost."""

from __future__ import annotations

import asyncio

from app.application.authorize import Pep
from app.application.background import Background
from app.application.hub.sessions import Session
from app.application.ports.errors import Transient
from app.application.ports.fan_out import FanOut
from app.application.ports.history import History
from app.application.ports.socket import Codec
from app.application.signals import SIGNAL_MEMBERS_MAX, Frame, chat_channel, pack_frame
from app.domain.policy import question

TYPING_EXPIRES_MS = 6_000
TYPING_EVERY_S = 3.0


class TypingSignal:
    def __init__(self, pep: Pep, history: History, fan_out: FanOut, codec: Codec, background: Background) -> None:
        self._pep = pep
        self._history = history
        self._fan_out = fan_out
        self._codec = codec
        self._background = background

    def say(self, session: Session, chat_id: str) -> None:
        """Tell it to the others, soon: of a chat that this socket hears, and not more often than every 3 s."""
        now = asyncio.get_running_loop().time()
        if chat_id in session.cursors and now - session.typed.get(chat_id, -TYPING_EVERY_S) >= TYPING_EVERY_S:
            session.typed[chat_id] = now
            self._background.create_task(self.tell(session.user_id, chat_id))

    async def tell(self, user_id: str, chat_id: str) -> None:
        """To the others, where the policies let them hear it; else nothing happens."""
        try:
            chat, member = await self._history.chat_for(chat_id, user_id)
        except Transient:
            return
        if chat is None or chat.members_count > SIGNAL_MEMBERS_MAX:
            return
        if not self._pep.ask(question("typing", chat, member, self._history.now())).allowed:
            return
        frame = self._codec.typing(chat_id, user_id, TYPING_EXPIRES_MS)
        await self._fan_out.publish([(chat_channel(chat_id), pack_frame(Frame(frame, but_user=user_id)))])
