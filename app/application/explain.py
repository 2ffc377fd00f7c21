"""What the policies say about somebody in a chat: owners and admins ask about all, others about themselves."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from app.application.services import Services
from app.domain.decide import question
from app.domain.errors import Code, ParleyError, not_found
from app.domain.rules import Answer


async def explain(
    services: Services,
    asker_id: str,
    chat_id: str,
    action: str,
    user_id: str | None,
    message_id: str | None,
    now: datetime,
) -> tuple[dict[str, Any], Answer]:
    """(the facts that the policies saw, their answer) for `user_id`, the asker where it is None."""
    chat, me = await services.reader.permit(asker_id, chat_id, "policy.explain")
    about = user_id or asker_id
    if about != asker_id and me.role not in ("owner", "admin"):
        raise ParleyError(Code.NOT_ALLOWED, "only an owner or an admin may ask about others")
    member = me if about == asker_id else await services.history.member(chat_id, about)
    facts: dict[str, Any] = {}
    if message_id is not None:
        message = await services.history.message(chat_id, message_id)
        if message is None:
            raise not_found()
        author = message.sender_id
        if action == "reply.regenerate" and message.reply_to is not None:
            asked_message = await services.history.message(chat_id, message.reply_to)
            author = asked_message.sender_id if asked_message else author
        facts["own"] = author == about
    asked = question(action, chat, member, now, **facts)
    answered = services.pep.ask(asked)
    if answered.policies == ("policy-error",):
        raise ParleyError(Code.INVALID, "action: no such action")
    return asdict(asked), answered
