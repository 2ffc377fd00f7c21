"""Pins over REST."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.adapters.rest.cursors import Paging
from app.adapters.rest.door import (
    RULES,
    BearerArg,
    CursorsArg,
    IdempotencyKey,
    Limit,
    PathId,
    Route,
    UseCasesArg,
    answer,
    made,
    nothing,
)
from app.adapters.rest.problems import responses
from app.adapters.wire.messages import MessageJson, message_json
from app.adapters.wire.values import Listed
from app.domain.errors import Code
from app.domain.pins import PinMessage, UnpinMessage
from app.domain.values import Message

router = APIRouter(route_class=Route, prefix="/v1", tags=["messages"])


@router.get("/chats/{chat_id}/pins", summary="What is pinned, newest pin first", response_model=Listed[MessageJson],
            responses=responses(Code.NOT_FOUND))  # fmt: skip
async def pins(
    chat_id: PathId,
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    paging: Paging[tuple[int, Message]] = Paging(cursors, who.user_id, f"pins {chat_id}", cursor, limit, int)
    before = paging.place[0] if paging.place else None
    found = await use_cases.messages.pins(who.user_id, chat_id, before, paging.to_ask)
    return answer(paging.page(found, lambda pinned: message_json(pinned[1]), lambda pinned: [pinned[0]]))


@router.put("/chats/{chat_id}/pins/{message_id}", summary="Pin a message", response_model=MessageJson,
            responses=responses(*RULES))  # fmt: skip
async def pin(
    chat_id: PathId, message_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    action = PinMessage(message_id)
    return made(await use_cases.messages.act(who.user_id, chat_id, message_id, action, key), message_json)


@router.delete("/chats/{chat_id}/pins/{message_id}", status_code=204, summary="Unpin a message",
               responses=responses(*RULES))  # fmt: skip
async def unpin(
    chat_id: PathId, message_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    return nothing((await use_cases.messages.act_only(who.user_id, chat_id, UnpinMessage(message_id), key)).seq)
