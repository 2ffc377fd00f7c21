"""Messages, the timeline, search, replies: commands take the socket's path, reads go to the store, by the policies' door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.adapters import wire
from app.adapters.rest.door import (
    RULES,
    BearerArg,
    IdempotencyKey,
    Limit,
    PathId,
    Route,
    ServicesArg,
    answer,
    cursor_of,
    nothing,
    place_of,
    run,
    still_reads,
)
from app.adapters.rest.lists import Listed, ListedBySeq
from app.adapters.rest.problems import responses
from app.application.accounts import Bearer
from app.application.ports import Search
from app.application.reads import mark_read
from app.application.search import highlights, search, words_of
from app.application.services import Services
from app.domain import commands as c
from app.domain.errors import Code, ParleyError, not_found
from app.domain.message import Message, check_body, check_text

router = APIRouter(route_class=Route, prefix="/v1")
SeqQuery = Annotated[int | None, Query(ge=0, le=2**63 - 1)]


async def _message(services: Services, chat_id: str, message_id: str) -> Message:
    message = await services.history.message(chat_id, message_id)
    if message is None:
        raise not_found()
    return message


@router.get(
    "/chats/{chat_id}/messages",
    summary="History",
    tags=["messages"],
    response_model=ListedBySeq[wire.MessageJson],
    responses=responses(Code.NOT_FOUND),
)
async def messages(
    chat_id: PathId,
    who: BearerArg,
    services: ServicesArg,
    before: SeqQuery = None,
    after: SeqQuery = None,
    limit: Limit = 50,
) -> Response:
    if before is not None and after is not None:
        raise ParleyError(Code.INVALID, "before or after, not both")
    await services.reader.permit(who.user_id, chat_id)
    page = await services.history.messages(chat_id, before, after, limit)
    return answer({"items": [wire.message_json(m) for m in page.messages], "has_more": page.has_more})


@router.post("/chats/{chat_id}/messages", status_code=201, summary="Send a message", tags=["messages"],
             response_model=wire.MessageJson, responses=responses(*RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
async def send(chat_id: PathId, body: wire.NewMessage, who: BearerArg, services: ServicesArg) -> Response:
    check_body(body.body, services.settings.body_max)
    action = c.SendMessage(body.body, body.reply_to)
    outcome, repeat = await run(services, who, chat_id, action, body.client_message_id)
    return await _message_at(services, chat_id, outcome.seq, 200 if repeat else 201)


async def _message_at(services: Services, chat_id: str, seq: int | None, status: int) -> Response:
    message = await services.history.message_at(chat_id, seq) if seq is not None else None
    if message is None:
        raise ParleyError(Code.CONFLICT, "this id was another command's")
    return answer(wire.message_json(message), status, seq)


@router.get("/chats/{chat_id}/messages/{message_id}", summary="A message", tags=["messages"],
            response_model=wire.MessageJson, responses=responses(Code.NOT_FOUND))  # fmt: skip
async def message(chat_id: PathId, message_id: PathId, who: BearerArg, services: ServicesArg) -> Response:
    await services.reader.permit(who.user_id, chat_id)
    return answer(wire.message_json(await _message(services, chat_id, message_id)))


@router.patch("/chats/{chat_id}/messages/{message_id}", summary="Edit a message", tags=["messages"],
              response_model=wire.MessageJson, responses=responses(*RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
async def edit(
    chat_id: PathId,
    message_id: PathId,
    body: wire.NewBody,
    who: BearerArg,
    services: ServicesArg,
    key: IdempotencyKey = None,
) -> Response:
    check_body(body.body, services.settings.body_max)
    return await _on_message(services, who, chat_id, message_id, c.EditMessage(message_id, body.body), key)


@router.delete("/chats/{chat_id}/messages/{message_id}", summary="Delete a message", tags=["messages"],
               response_model=wire.MessageJson, responses=responses(*RULES))  # fmt: skip
async def delete(
    chat_id: PathId, message_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    return await _on_message(services, who, chat_id, message_id, c.DeleteMessage(message_id), key)


async def _on_message(
    services: Services, who: Bearer, chat_id: str, message_id: str, action: c.Action, key: str | None
) -> Response:
    outcome, repeat = await run(services, who, chat_id, action, key)
    await still_reads(services, who, chat_id, repeat)
    return answer(wire.message_json(await _message(services, chat_id, message_id)), 200, outcome.seq)


@router.put("/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", summary="React", tags=["messages"],
            response_model=wire.MessageJson, responses=responses(*RULES))  # fmt: skip
async def react(
    chat_id: PathId,
    message_id: PathId,
    emoji: wire.Emoji,
    who: BearerArg,
    services: ServicesArg,
    key: IdempotencyKey = None,
) -> Response:
    return await _on_message(services, who, chat_id, message_id, c.AddReaction(message_id, emoji), key)


@router.delete("/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", status_code=204, tags=["messages"],
               summary="Take a reaction back", responses=responses(*RULES))  # fmt: skip
async def unreact(
    chat_id: PathId,
    message_id: PathId,
    emoji: wire.Emoji,
    who: BearerArg,
    services: ServicesArg,
    key: IdempotencyKey = None,
) -> Response:
    outcome, _ = await run(services, who, chat_id, c.RemoveReaction(message_id, emoji), key)
    return nothing(outcome.seq)


@router.put(
    "/chats/{chat_id}/read",
    summary="Mark as read",
    tags=["messages"],
    response_model=wire.ReadJson,
    responses=responses(Code.NOT_FOUND),
)
async def read(chat_id: PathId, body: wire.ReadSeq, who: BearerArg, services: ServicesArg) -> Response:
    read_seq, unread = await mark_read(services, who.user_id, chat_id, body.seq)
    return answer({"read_seq": read_seq, "unread": unread})


@router.get("/chats/{chat_id}/timeline", summary="Durable events", tags=["messages"], response_model=wire.TimelineJson,
            responses=responses(Code.NOT_FOUND))  # fmt: skip
async def timeline(
    chat_id: PathId,
    who: BearerArg,
    services: ServicesArg,
    after: Annotated[int, Query(ge=0, le=2**63 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Response:
    chat_, _ = await services.reader.permit(who.user_id, chat_id)
    events = await services.timeline.events(chat_id, after, limit)
    head = max(chat_.head, events[-1].seq if events else 0)
    has_more = bool(events) and events[-1].seq < head
    return answer({"items": [wire.event_json(e) for e in events], "has_more": has_more, "head": head})


# ---- Search

TimeQuery = Annotated[wire.Time | None, Query(description="RFC 3339, with its offset")]


@router.get("/search", summary="Find messages", tags=["messages"], response_model=Listed[wire.FoundMessageJson],
            responses=responses(Code.NOT_FOUND))  # fmt: skip
async def search_(
    who: BearerArg,
    services: ServicesArg,
    q: Annotated[str, Query(max_length=500, description="all of these words, in any order and case")],
    chat_id: Annotated[wire.Id | None, Query()] = None,
    sender_id: Annotated[wire.Id | None, Query()] = None,
    since: TimeQuery = None,
    until: TimeQuery = None,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    words = words_of(check_text(q, "q"))
    query = f"search {words} {chat_id} {sender_id} {since} {until}"
    place = place_of(services, who, query, cursor, (datetime, str))
    before = (place[0], place[1]) if place else None
    asked = Search(words, chat_id, sender_id, since, until, before)
    found = await search(services, who.user_id, asked, limit + 1)
    page, next_cursor = found[:limit], None
    if len(found) > limit:
        next_cursor = cursor_of(services, who, query, [page[-1].created_at, page[-1].id])
    items = [{**wire.message_json(m), "highlights": highlights(m.body or "", words)} for m in page]
    return answer({"items": items, "next_cursor": next_cursor})


# ---- Assistants' replies


@router.post("/chats/{chat_id}/messages/{message_id}/stop", summary="Stop a reply", tags=["assistant"],
             response_model=wire.MessageJson, responses=responses(*RULES))  # fmt: skip
async def stop(
    chat_id: PathId, message_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    return await _on_message(services, who, chat_id, message_id, c.StopReply(message_id), key)


@router.post("/chats/{chat_id}/messages/{message_id}/regenerate", status_code=201, summary="Answer anew",
             tags=["assistant"], response_model=wire.MessageJson, responses=responses(*RULES))  # fmt: skip
async def regenerate(
    chat_id: PathId, message_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, repeat = await run(services, who, chat_id, c.RegenerateReply(message_id), key)
    await still_reads(services, who, chat_id, repeat)
    return await _message_at(services, chat_id, outcome.seq, 200 if repeat else 201)
