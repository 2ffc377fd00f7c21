"""Why somebody may, or may not."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from app.adapters.wire.examples import CHAT
from app.adapters.wire.values import Id, Request, Shown, Text
from app.domain.policy import Answer, Question, facts_of


class Explain(Request):
    action: Annotated[Text, Field(max_length=64)]
    chat_id: Id
    user_id: Id | None = None
    message_id: Id | None = None


class ExplainJson(TypedDict):
    """facts: what the policies were told."""

    decision: Literal["allow", "deny"]
    policies: list[str]
    facts: dict[str, Any]


def explain_json(asked: Question, answer: Answer) -> dict[str, Any]:
    return {
        "decision": "allow" if answer.allowed else "deny",
        "policies": list(answer.policies),
        "facts": {"action": asked.action} | facts_of(asked),
    }


BODIES = (
    Shown(Explain, {"action": "message.send", "chat_id": CHAT}),
    Shown(
        ExplainJson,
        {"decision": "allow", "policies": ["members-write"], "facts": {"action": "message.send", "role": "owner"}},
    ),
)
