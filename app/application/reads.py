"""What moves no seq: read marks and typing. Signals tell others; they may be lost."""

from __future__ import annotations

from app.application.clock import utc_now
from app.application.ports import Transient
from app.application.services import Services
from app.application.signals import Frame, chat_channel, pack_frame, user_channel
from app.domain.decide import question

SIGNAL_MEMBERS_MAX = 100
"""Typing and presence only in chats of up to so many; read marks go to all members only there."""
TYPING_EXPIRES_MS = 6_000


async def mark_read(services: Services, user_id: str, chat_id: str, seq: int) -> tuple[int, int]:
    """(read_seq, unread). Only moves forward; beyond the head counts as the head."""
    chat, _ = await services.reader.permit(user_id, chat_id)
    read_seq, unread = await services.history.mark_read(user_id, chat_id, seq, chat.head)
    frame = services.codec.frame({"type": "read.marked", "chat_id": chat_id, "user_id": user_id, "read_seq": read_seq})
    channel = chat_channel(chat_id) if chat.members_count <= SIGNAL_MEMBERS_MAX else user_channel(user_id)
    await services.fan_out.publish([(channel, pack_frame(Frame(frame)))])
    return read_seq, unread


async def tell_typing(services: Services, user_id: str, chat_id: str) -> None:
    try:
        chat, member = await services.history.chat_for(chat_id, user_id)
    except Transient:
        return
    if chat is None or chat.members_count > SIGNAL_MEMBERS_MAX:
        return
    if not services.pep.ask(question("typing", chat, member, utc_now())).allowed:
        return
    frame = services.codec.frame(
        {"type": "typing", "chat_id": chat_id, "user_id": user_id, "expires_in_ms": TYPING_EXPIRES_MS}
    )
    await services.fan_out.publish([(chat_channel(chat_id), pack_frame(Frame(frame, but_user=user_id)))])
