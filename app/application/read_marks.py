"""How far somebody has read: moves no seq of a chat."""

from __future__ import annotations

from app.application.authorize import Reader
from app.application.chats import UNREAD_MAX
from app.application.ports.fan_out import FanOut
from app.application.ports.history import History
from app.application.ports.socket import Codec
from app.application.signals import SIGNAL_MEMBERS_MAX, Frame, chat_channel, pack_frame, user_channel


class ReadMarks:
    def __init__(self, reader: Reader, history: History, fan_out: FanOut, codec: Codec) -> None:
        self._reader = reader
        self._history = history
        self._fan_out = fan_out
        self._codec = codec

    async def mark(self, user_id: str, chat_id: str, seq: int) -> tuple[int, int]:
        """(read_seq, unread). Only moves forward; beyond the head counts as the head. Raises ParleyError."""
        chat, _ = await self._reader.permit(user_id, chat_id)
        read_seq, unread = await self._history.mark_read(user_id, chat_id, seq, chat.head, UNREAD_MAX)
        frame = self._codec.read_marked(chat_id, user_id, read_seq)
        channel = chat_channel(chat_id) if chat.members_count <= SIGNAL_MEMBERS_MAX else user_channel(user_id)
        await self._fan_out.publish([(channel, pack_frame(Frame(frame)))])
        return read_seq, unread
