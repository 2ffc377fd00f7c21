"""Messages over REST: history, the timeline, search, what one writes and what one does about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.adapters.rest.cursors import Paging, fitting
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
from app.adapters.wire import messages as wire
from app.adapters.wire import moderation, replies
from app.adapters.wire.reactions import Emoji
from app.adapters.wire.registry import TimelineJson, event_json
from app.adapters.wire.values import Id, Listed, ListedBySeq, Time
from app.application.ports.history import Search
from app.application.search import Found, words_of
from app.domain.errors import Code
from app.domain.messages import DeleteMessage, EditMessage, SendMessage
from app.domain.reactions import AddReaction, RemoveReaction
from app.domain.text import check_text

router = APIRouter(route_class=Route, prefix="/v1", tags=["messages"])
SeqQuery = Annotated[int | None, Query(ge=0, le=2**63 - 1)]


@router.get(
    "/chats/{chat_id}/messages",
    summary="History",
    response_model=ListedBySeq[wire.MessageJson],
    responses=responses(Code.NOT_FOUND),
)
async def messages(
    chat_id: PathId,
    who: BearerArg,
    use_cases: UseCasesArg,
    before: SeqQuery = None,
    after: SeqQuery = None,
    limit: Limit = 50,
) -> Response:
    page = await use_cases.messages.page_json(who.user_id, chat_id, before, after, limit)
    return Response(page, media_type="application/json")


@router.post("/chats/{chat_id}/messages", status_code=201, summary="Send a message",
             response_model=wire.MessageJson, responses=responses(*RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
async def send(chat_id: PathId, body: wire.NewMessage, who: BearerArg, use_cases: UseCasesArg) -> Response:
    action = SendMessage(body.body, body.reply_to, wire.parent_of(body))
    done = await use_cases.messages.send(who.user_id, chat_id, body.client_message_id, action, who.scopes)
    return made(done, wire.message_json, 201)


@router.get("/chats/{chat_id}/messages/{message_id}", summary="A message",
            response_model=wire.MessageJson, responses=responses(Code.NOT_FOUND))  # fmt: skip
async def message(chat_id: PathId, message_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    return answer(wire.message_json(await use_cases.messages.one(who.user_id, chat_id, message_id)))


@router.patch("/chats/{chat_id}/messages/{message_id}", summary="Edit a message",
              response_model=wire.MessageJson, responses=responses(*RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
async def edit(
    chat_id: PathId,
    message_id: PathId,
    body: wire.NewBody,
    who: BearerArg,
    use_cases: UseCasesArg,
    key: IdempotencyKey = None,
) -> Response:
    action = EditMessage(message_id, body.body)
    return made(await use_cases.messages.act(who.user_id, chat_id, message_id, action, key), wire.message_json)


@router.delete("/chats/{chat_id}/messages/{message_id}", summary="Delete a message",
               response_model=wire.MessageJson, responses=responses(*RULES))  # fmt: skip
async def delete(
    chat_id: PathId, message_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    action = DeleteMessage(message_id)
    return made(await use_cases.messages.act(who.user_id, chat_id, message_id, action, key), wire.message_json)


@router.get("/chats/{chat_id}/messages/{message_id}/provenance", summary="How an answer came about",
            response_model=replies.ProvenanceJson, responses=responses(Code.NOT_FOUND, Code.CONFLICT))  # fmt: skip
async def provenance(chat_id: PathId, message_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    return answer(replies.provenance_json(await use_cases.answers.origins(who, chat_id, message_id)))


@router.post("/chats/{chat_id}/messages/{message_id}/report", status_code=201, summary="Report a message to operators",
             description="Each person reports a message once: a second time is answered with the first (200).",
             response_model=moderation.ReportJson, responses=responses(Code.NOT_FOUND, Code.EMPTY))  # fmt: skip
async def report(
    chat_id: PathId, message_id: PathId, body: moderation.NewReport, who: BearerArg, use_cases: UseCasesArg
) -> Response:
    found, is_new = await use_cases.operators.report(who.user_id, chat_id, message_id, body.reason)
    return answer(moderation.report_json(found), 201 if is_new else 200)


@router.put("/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", summary="React",
            response_model=wire.MessageJson, responses=responses(*RULES))  # fmt: skip
async def react(
    chat_id: PathId,
    message_id: PathId,
    emoji: Emoji,
    who: BearerArg,
    use_cases: UseCasesArg,
    key: IdempotencyKey = None,
) -> Response:
    action = AddReaction(message_id, emoji)
    return made(await use_cases.messages.act(who.user_id, chat_id, message_id, action, key), wire.message_json)


@router.delete("/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", status_code=204,
               summary="Take a reaction back", responses=responses(*RULES))  # fmt: skip
async def unreact(
    chat_id: PathId,
    message_id: PathId,
    emoji: Emoji,
    who: BearerArg,
    use_cases: UseCasesArg,
    key: IdempotencyKey = None,
) -> Response:
    return nothing(
        (await use_cases.messages.act_only(who.user_id, chat_id, RemoveReaction(message_id, emoji), key)).seq
    )


@router.put(
    "/chats/{chat_id}/read",
    summary="Mark as read",
    response_model=wire.ReadJson,
    responses=responses(Code.NOT_FOUND),
)
async def read(chat_id: PathId, body: wire.ReadSeq, who: BearerArg, use_cases: UseCasesArg) -> Response:
    read_seq, unread = await use_cases.read_marks.mark(who.user_id, chat_id, body.seq)
    return answer(wire.read_json(read_seq, unread))


@router.get("/chats/{chat_id}/timeline", summary="Durable events", response_model=TimelineJson,
            responses=responses(Code.NOT_FOUND))  # fmt: skip
async def timeline(
    chat_id: PathId,
    who: BearerArg,
    use_cases: UseCasesArg,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    part = await use_cases.messages.timeline(who.user_id, chat_id, after, limit)
    items = fitting([event_json(event) for event in part.events])
    return answer({"items": items, "has_more": part.has_more or len(items) < len(part.events), "head": part.head})


TimeQuery = Annotated[Time | None, Query(description="RFC 3339, with its offset")]


@router.get("/search", summary="Find messages", response_model=Listed[wire.FoundMessageJson],
            responses=responses(Code.NOT_FOUND))  # fmt: skip
async def search_(
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    q: Annotated[str, Query(max_length=500, description="all of these words, in any order and case")],
    chat_id: Annotated[Id | None, Query()] = None,
    sender_id: Annotated[Id | None, Query()] = None,
    since: TimeQuery = None,
    until: TimeQuery = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    words = words_of(check_text(q, "q"))
    query = f"search {[''.join(word.letters) for word in words]} {chat_id} {sender_id} {since} {until}"
    paging: Paging[Found] = Paging(cursors, who.user_id, query, cursor, limit, datetime, str)
    before = (paging.place[0], paging.place[1]) if paging.place else None
    asked = Search(words, chat_id, sender_id, since, until, before)
    found = await use_cases.search.find(who.user_id, asked, paging.limit)
    return answer(
        paging.page(
            found.items,
            lambda one: {**wire.message_json(one.message), "highlights": one.highlights},
            lambda one: [one.message.created_at, one.message.id],
            list(found.goes_on) if found.goes_on else None,
        )
    )
