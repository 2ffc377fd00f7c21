"""Why the rules decide as they do."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.adapters.rest.door import ReaderArg, Route, UseCasesArg, answer
from app.adapters.rest.problems import responses
from app.adapters.wire.policies import Explain, ExplainJson, explain_json
from app.domain.errors import Code

router = APIRouter(route_class=Route, prefix="/v1", tags=["policies"])


@router.post("/policy/explain", summary="Why may, or may not, somebody do this", response_model=ExplainJson,
             responses=responses(Code.NOT_FOUND, Code.NOT_ALLOWED))  # fmt: skip
async def explain_(body: Explain, who: ReaderArg, use_cases: UseCasesArg) -> Response:
    asked = await use_cases.explain.ask(who.user_id, body.chat_id, body.action, body.user_id, body.message_id)
    return answer(explain_json(*asked))
