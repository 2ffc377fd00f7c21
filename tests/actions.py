"""All that can be asked of a chat, in one place for tests."""

from datetime import UTC, datetime

from app.domain.chats import CreateChat, NameChat, UpdateChat
from app.domain.members import AddMember, BanMember, RemoveMember, UnbanMember, UpdateMember
from app.domain.messages import DeleteMessage, EditMessage, SendMessage
from app.domain.moderation import Moderate
from app.domain.pins import PinMessage, UnpinMessage
from app.domain.provisioning import ImportMessage, PostMessage, ProvisionChat
from app.domain.reactions import AddReaction, RemoveReaction
from app.domain.replies import CompleteReply, ExpireReply, RegenerateReply, SpeakUp, SteerReply, StopReply
from app.domain.values import Failure, Usage

__all__ = [
    "EXAMPLES",
    "AddMember", "AddReaction", "BanMember", "CompleteReply", "CreateChat", "DeleteMessage", "EditMessage",
    "ExpireReply", "ImportMessage", "Moderate", "NameChat", "PinMessage", "PostMessage", "ProvisionChat", "RegenerateReply", "RemoveMember", "RemoveReaction", "SendMessage", "SpeakUp", "SteerReply", "StopReply",
    "UnbanMember", "UnpinMessage", "UpdateChat", "UpdateMember",
]  # fmt: skip

EXAMPLES = (
    SendMessage("ü 👍", "m", "m"), EditMessage("m", "y"), DeleteMessage("m"), AddReaction("m", "👍"), RemoveReaction("m", "👍"),
    PinMessage("m"), UnpinMessage("m"), CreateChat("group", "t", ("u", "v"), "model", "i"), UpdateChat(("title",), "t", True),
    NameChat("t"), AddMember("u", "member"), UpdateMember("u", ("muted_until",), None, datetime(2026, 1, 1, tzinfo=UTC)),
    RemoveMember("u"), BanMember("u"), UnbanMember("u"), StopReply("m"), RegenerateReply("m"),
    Moderate("ban", "u", "why", datetime(2026, 1, 1, tzinfo=UTC)),
    CompleteReply("m", 2, "failed", "text", Failure("cut", "why"), Usage(1, 2)), ExpireReply("m", 1),
    SpeakUp("m", 3, "u"), SteerReply("m", "shorter"),
    ProvisionChat("group", "t", (("u", "member"),), True, datetime(2020, 1, 1, tzinfo=UTC)), PostMessage("hello", "k", "a service"),
    ImportMessage("m", "hello", datetime(2020, 1, 1, tzinfo=UTC), "m"),
)  # fmt: skip
"""One of each, with every field given: for tests that go over all."""
