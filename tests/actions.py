"""All that can be asked of a chat, in one place for tests."""

from app.domain.chats import CreateChat, UpdateChat
from app.domain.members import AddMember, BanMember, RemoveMember, UnbanMember, UpdateMember
from app.domain.messages import DeleteMessage, EditMessage, SendMessage
from app.domain.pins import PinMessage, UnpinMessage
from app.domain.reactions import AddReaction, RemoveReaction
from app.domain.replies import CompleteReply, ExpireReply, RegenerateReply, StopReply

__all__ = [
    "AddMember", "AddReaction", "BanMember", "CompleteReply", "CreateChat", "DeleteMessage", "EditMessage",
    "ExpireReply", "PinMessage", "RegenerateReply", "RemoveMember", "RemoveReaction", "SendMessage", "StopReply",
    "UnbanMember", "UnpinMessage", "UpdateChat", "UpdateMember",
]  # fmt: skip
