"""Assistants' replies over REST."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.adapters.rest.door import RULES, BearerArg, IdempotencyKey, PathId, Route, UseCasesArg, made
from app.adapters.rest.problems import responses
from app.adapters.wire.messages import MessageJson, message_json
from app.adapters.wire.replies import NewRemark
from app.domain.errors import Code
from app.domain.replies import SteerReply, StopReply

router = APIRouter(route_class=Route, prefix="/v1", tags=["assistant"])


@router.post("/chats/{chat_id}/messages/{message_id}/stop", summary="Stop a reply",
             response_model=MessageJson, responses=responses(*RULES))  # fmt: skip
async def stop(
    chat_id: PathId, message_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    action = StopReply(message_id)
    return made(await use_cases.messages.act(who.user_id, chat_id, message_id, action, key), message_json)


@router.post("/chats/{chat_id}/messages/{message_id}/steer", summary="A remark to an answer whose turn hasn't come",
             response_model=MessageJson, responses=responses(*RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
async def steer(
    chat_id: PathId,
    message_id: PathId,
    body: NewRemark,
    who: BearerArg,
    use_cases: UseCasesArg,
    key: IdempotencyKey = None,
) -> Response:
    action = SteerReply(message_id, body.text)
    return made(await use_cases.messages.act(who.user_id, chat_id, message_id, action, key), message_json)


@router.post("/chats/{chat_id}/messages/{message_id}/regenerate", status_code=201, summary="Answer anew",
             response_model=MessageJson, responses=responses(*RULES))  # fmt: skip
async def regenerate(
    chat_id: PathId, message_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    return made(
        await use_cases.messages.regenerate(who.user_id, chat_id, message_id, key, who.scopes), message_json, 201
    )
