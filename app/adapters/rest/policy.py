"""Why the rules decide as they do."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.adapters import wire
from app.adapters.rest.door import (
    BearerArg,
    Route,
    ServicesArg,
    answer,
)
from app.adapters.rest.problems import responses
from app.application.clock import utc_now
from app.application.explain import explain
from app.domain.errors import Code

router = APIRouter(route_class=Route, prefix="/v1", tags=["policies"])


@router.post("/policy/explain", summary="Why may, or may not, somebody do this", response_model=wire.ExplainJson,
             responses=responses(Code.NOT_FOUND, Code.NOT_ALLOWED))  # fmt: skip
async def explain_(body: wire.Explain, who: BearerArg, services: ServicesArg) -> Response:
    asked, answered = await explain(
        services, who.user_id, body.chat_id, body.action, body.user_id, body.message_id, utc_now()
    )
    decision = "allow" if answered.allowed else "deny"
    return answer({"decision": decision, "policies": answered.policies, "facts": asked})
