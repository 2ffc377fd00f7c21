"""Chats over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

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
from app.adapters.wire import chats as wire
from app.adapters.wire.values import Listed
from app.application.chats import ChatAssistant
from app.application.ports.history import Membership
from app.domain.chats import UpdateChat
from app.domain.errors import Code, ParleyError
from app.domain.text import check_text

router = APIRouter(route_class=Route, prefix="/v1", tags=["chats"])


def _assistant(body: wire.NewAssistant | None) -> ChatAssistant | None:
    if body is None:
        return None
    given = tuple(name for name in ("model", "instructions") if name in body.model_fields_set)
    return ChatAssistant(given, body.model, body.instructions, body.user_id)


@router.post("/chats", status_code=201, summary="Start a chat", response_model=wire.ChatJson,
             responses=responses(*RULES))  # fmt: skip
async def create_chat(
    body: wire.NewChat, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    done = await use_cases.chats.create(
        who.user_id, body.kind, body.title, body.member_ids, _assistant(body.assistant), key
    )
    return made(done, wire.chat_json, 201)


@router.get(
    "/chats",
    summary="My chats, latest message or joining first",
    response_model=Listed[wire.ChatJson],
    responses=responses(),
)
async def chats(
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    cursor: str | None = None,
    limit: Limit = 50,
    archived: bool = False,
    hidden: bool = False,
    query: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="what a word of the title, or a member's name, begins with"),
    ] = None,
) -> Response:
    named = None if query is None else " ".join(check_text(query, "query").split())
    if named == "":
        raise ParleyError(Code.EMPTY, "query: nothing to see in it")
    asked = f"chats {archived} {hidden} {named or ''}"
    paging: Paging[Membership] = Paging(cursors, who.user_id, asked, cursor, limit, datetime, str)
    before = (paging.place[0], paging.place[1]) if paging.place else None
    found = await use_cases.chats.mine(who.user_id, archived, hidden, before, paging.to_ask, named)
    return answer(paging.page(found, wire.chat_json, lambda found: [found.moved_at, found.chat.id]))


@router.get("/chats/{chat_id}", summary="A chat", response_model=wire.ChatJson, responses=responses(Code.NOT_FOUND))
async def chat(chat_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    return answer(wire.chat_json(await use_cases.chats.one(who.user_id, chat_id)))


@router.patch("/chats/{chat_id}", summary="Change a chat", response_model=wire.ChatJson, responses=responses(*RULES))
async def update_chat(
    chat_id: PathId, body: wire.ChatChanges, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    of = _assistant(body.assistant) or ChatAssistant()
    given = (*(name for name in type(body).model_fields if name in body.model_fields_set), *of.given)
    changes = UpdateChat(
        given,
        body.title,
        body.archived,
        of.model,
        of.instructions,
        of.user_id,
        body.local_only,
        body.assistant_consent,
        body.history,
    )
    done = await use_cases.chats.update(who.user_id, chat_id, changes, key)
    return made(done, wire.chat_json)


@router.post("/chats/{chat_id}/fork", status_code=201, summary="Go on from a message in a chat of one's own",
             response_model=wire.ChatJson, responses=responses(*RULES))  # fmt: skip
async def fork_chat(
    chat_id: PathId, body: wire.NewFork, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    return made(await use_cases.chats.fork(who.user_id, chat_id, body.message_id, key), wire.chat_json, 201)


@router.put("/chats/{chat_id}/hidden", status_code=204, summary="Hide it from my list",
            description="Until somebody says something in it.", responses=responses(Code.NOT_FOUND))  # fmt: skip
async def hide(chat_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.chats.hide(who.user_id, chat_id, True)
    return nothing()


@router.delete("/chats/{chat_id}/hidden", status_code=204, summary="Show it in my list again",
               responses=responses(Code.NOT_FOUND))  # fmt: skip
async def show(chat_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.chats.hide(who.user_id, chat_id, False)
    return nothing()
