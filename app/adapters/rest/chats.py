"""Chats, members and bans: commands take the socket's path, reads go to the store, all by the policies' door."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Response

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
from app.adapters.rest.lists import Listed
from app.adapters.rest.problems import responses
from app.application.services import Services
from app.domain import commands as c
from app.domain.errors import Code, ParleyError, not_found
from app.domain.ids import created_chat_id, direct_chat_id

router = APIRouter(route_class=Route, prefix="/v1", tags=["chats"])


async def _chat_json(services: Services, user_id: str, chat_id: str) -> dict[str, object]:
    found = await services.history.memberships(
        user_id, archived=None, before=None, limit=1, unread_max=1_000, chat_ids=[chat_id]
    )
    if not found:
        raise not_found()
    return services.codec.chat(found[0])


# ---- Chats


@router.post("/chats", status_code=201, summary="Start a chat", response_model=wire.ChatJson,
             responses=responses(*RULES))  # fmt: skip
async def create_chat(
    body: wire.NewChat, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    others = [user_id for user_id in dict.fromkeys(body.member_ids) if user_id != who.user_id]
    command_id = key or services.new_id()
    if body.kind == "direct":
        if len(others) != 1:
            raise ParleyError(Code.INVALID, "a direct chat takes exactly one other person in member_ids")
        chat_id = direct_chat_id(who.user_id, others[0])
    else:
        chat_id = created_chat_id(who.user_id, command_id)
    if body.assistant is not None and body.kind != "assistant":
        raise ParleyError(Code.INVALID, "assistant: only a chat of kind assistant has one of its own")
    settings = body.assistant or wire.NewAssistant()
    action = c.CreateChat(body.kind, body.title, tuple(others), settings.model, settings.instructions)
    outcome, repeat = await run(services, who, chat_id, action, command_id)
    made = not repeat and outcome.seq is not None
    return answer(await _chat_json(services, who.user_id, chat_id), 201 if made else 200, outcome.seq)


@router.get(
    "/chats", summary="My chats, latest activity first", response_model=Listed[wire.ChatJson], responses=responses()
)
async def chats(
    who: BearerArg,
    services: ServicesArg,
    cursor: str | None = None,
    limit: Limit = 50,
    archived: bool = False,
) -> Response:
    query = f"chats {archived}"
    place = place_of(services, who, query, cursor, (datetime, str))
    before = (place[0], place[1]) if place else None
    found = await services.history.memberships(
        who.user_id, archived=archived, before=before, limit=limit + 1, unread_max=1_000
    )
    page, next_cursor = found[:limit], None
    if len(found) > limit:
        last = page[-1].chat
        next_cursor = cursor_of(services, who, query, [last.last_at, last.id])
    return answer({"items": [services.codec.chat(m) for m in page], "next_cursor": next_cursor})


@router.get("/chats/{chat_id}", summary="A chat", response_model=wire.ChatJson, responses=responses(Code.NOT_FOUND))
async def chat(chat_id: PathId, who: BearerArg, services: ServicesArg) -> Response:
    await services.reader.permit(who.user_id, chat_id)
    return answer(await _chat_json(services, who.user_id, chat_id))


@router.patch("/chats/{chat_id}", summary="Change a chat", response_model=wire.ChatJson, responses=responses(*RULES))
async def update_chat(
    chat_id: PathId, body: wire.ChatChanges, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    given: list[str] = [name for name in ("title", "archived", "assistant") if name in body.model_fields_set]
    if "assistant" in given and body.assistant is not None:
        given += [name for name in ("model", "instructions") if name in body.assistant.model_fields_set]
    settings = body.assistant or wire.NewAssistant()
    action = c.UpdateChat(tuple(given), body.title, body.archived, settings.model, settings.instructions)
    outcome, _ = await run(services, who, chat_id, action, key)
    return answer(await _chat_json(services, who.user_id, chat_id), 200, outcome.seq)


# ---- Members and bans


@router.get(
    "/chats/{chat_id}/members",
    summary="Who is in it",
    response_model=Listed[wire.MemberJson],
    responses=responses(Code.NOT_FOUND),
)
async def members(
    chat_id: PathId, who: BearerArg, services: ServicesArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    await services.reader.permit(who.user_id, chat_id)
    place = place_of(services, who, f"members {chat_id}", cursor, (str,))
    found = await services.history.members(chat_id, place[0] if place else None, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    next_cursor = cursor_of(services, who, f"members {chat_id}", [page[-1].user.id]) if more else None
    return answer({"items": [wire.member_json(m) for m in page], "next_cursor": next_cursor})


@router.post("/chats/{chat_id}/members", status_code=201, summary="Add a person", response_model=wire.MemberJson,
             responses=responses(*RULES))  # fmt: skip
async def add_member(
    chat_id: PathId, body: wire.NewMember, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, repeat = await run(services, who, chat_id, c.AddMember(body.user_id, body.role), key)
    made = not repeat and outcome.seq is not None
    await still_reads(services, who, chat_id, repeat)
    return await _member_answer(services, chat_id, body.user_id, outcome.seq, 201 if made else 200)


async def _member_answer(
    services: Services, chat_id: str, user_id: str, seq: int | None, status: int = 200
) -> Response:
    member = await services.history.member(chat_id, user_id)
    if member is None:
        raise not_found()
    return answer(wire.member_json(member), status, seq)


@router.patch("/chats/{chat_id}/members/{user_id}", summary="Change role or mute", response_model=wire.MemberJson,
              responses=responses(*RULES))  # fmt: skip
async def update_member(
    chat_id: PathId,
    user_id: PathId,
    body: wire.MemberChanges,
    who: BearerArg,
    services: ServicesArg,
    key: IdempotencyKey = None,
) -> Response:
    given = tuple(name for name in ("role", "muted_until") if name in body.model_fields_set)
    if "role" in given and body.role is None:
        raise ParleyError(Code.INVALID, "role: owner, admin, member or reader")
    action = c.UpdateMember(user_id, given, body.role, body.muted_until)
    outcome, repeat = await run(services, who, chat_id, action, key)
    await still_reads(services, who, chat_id, repeat)
    return await _member_answer(services, chat_id, user_id, outcome.seq)


@router.delete("/chats/{chat_id}/members/{user_id}", status_code=204, summary="Remove a person; oneself: leave",
               responses=responses(*RULES))  # fmt: skip
async def remove_member(
    chat_id: PathId, user_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, _ = await run(services, who, chat_id, c.RemoveMember(user_id), key)
    return nothing(outcome.seq)


@router.put("/chats/{chat_id}/bans/{user_id}", status_code=204, summary="Remove a person and keep them out",
            responses=responses(*RULES))  # fmt: skip
async def ban(
    chat_id: PathId, user_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, _ = await run(services, who, chat_id, c.BanMember(user_id), key)
    return nothing(outcome.seq)


@router.delete("/chats/{chat_id}/bans/{user_id}", status_code=204, summary="Lift a ban", responses=responses(*RULES))
async def unban(
    chat_id: PathId, user_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, _ = await run(services, who, chat_id, c.UnbanMember(user_id), key)
    return nothing(outcome.seq)


@router.get(
    "/chats/{chat_id}/bans",
    summary="Who is kept out",
    response_model=Listed[wire.PersonJson],
    responses=responses(Code.NOT_FOUND, Code.NOT_ALLOWED),
)
async def bans(
    chat_id: PathId, who: BearerArg, services: ServicesArg, cursor: str | None = None, limit: Limit = 50
) -> Response:
    await services.reader.permit(who.user_id, chat_id, "bans.read")
    place = place_of(services, who, f"bans {chat_id}", cursor, (str,))
    found = await services.history.bans(chat_id, place[0] if place else None, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    next_cursor = cursor_of(services, who, f"bans {chat_id}", [page[-1].id]) if more else None
    return answer({"items": [wire.person_json(p) for p in page], "next_cursor": next_cursor})
