"""Chats, members, messages: commands take the socket's path, reads go to the store, all by the policies' door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.adapters import wire
from app.adapters.rest.door import (
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
)
from app.adapters.rest.lists import Listed, ListedBySeq
from app.adapters.rest.problems import responses
from app.application.accounts import Bearer
from app.application.clock import utc_now
from app.application.explain import explain
from app.application.ports import Search
from app.application.reads import mark_read
from app.application.search import highlights, search, words_of
from app.application.services import Services
from app.domain import commands as c
from app.domain.errors import Code, ParleyError, not_found
from app.domain.ids import created_chat_id, direct_chat_id
from app.domain.message import Message, check_body, check_text

router = APIRouter(route_class=Route, prefix="/v1", tags=["chats"])
_RULES = (Code.NOT_FOUND, Code.NOT_ALLOWED, Code.MUTED, Code.BANNED, Code.ARCHIVED, Code.CONFLICT)
SeqQuery = Annotated[int | None, Query(ge=0, le=2**63 - 1)]


async def _chat_json(services: Services, user_id: str, chat_id: str) -> dict[str, object]:
    found = await services.history.memberships(
        user_id, archived=None, before=None, limit=1, unread_max=1_000, chat_ids=[chat_id]
    )
    if not found:
        raise not_found()
    return services.codec.chat(found[0])


async def _message(services: Services, chat_id: str, message_id: str) -> Message:
    message = await services.history.message(chat_id, message_id)
    if message is None:
        raise not_found()
    return message


# ---- Chats


@router.post("/chats", status_code=201, summary="Start a chat", response_model=wire.ChatJson,
             responses=responses(*_RULES))  # fmt: skip
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


@router.patch("/chats/{chat_id}", summary="Change a chat", response_model=wire.ChatJson, responses=responses(*_RULES))
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
             responses=responses(*_RULES))  # fmt: skip
async def add_member(
    chat_id: PathId, body: wire.NewMember, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, repeat = await run(services, who, chat_id, c.AddMember(body.user_id, body.role), key)
    made = not repeat and outcome.seq is not None
    await _still_reads(services, who, chat_id, repeat)
    return await _member_answer(services, chat_id, body.user_id, outcome.seq, 201 if made else 200)


async def _still_reads(services: Services, who: Bearer, chat_id: str, repeat: bool) -> None:
    """A repeat is answered also after a removal, but it opens no door: what it would show is read anew."""
    if repeat:
        await services.reader.permit(who.user_id, chat_id)


async def _member_answer(
    services: Services, chat_id: str, user_id: str, seq: int | None, status: int = 200
) -> Response:
    member = await services.history.member(chat_id, user_id)
    if member is None:
        raise not_found()
    return answer(wire.member_json(member), status, seq)


@router.patch("/chats/{chat_id}/members/{user_id}", summary="Change role or mute", response_model=wire.MemberJson,
              responses=responses(*_RULES))  # fmt: skip
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
    await _still_reads(services, who, chat_id, repeat)
    return await _member_answer(services, chat_id, user_id, outcome.seq)


@router.delete("/chats/{chat_id}/members/{user_id}", status_code=204, summary="Remove a person; oneself: leave",
               responses=responses(*_RULES))  # fmt: skip
async def remove_member(
    chat_id: PathId, user_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, _ = await run(services, who, chat_id, c.RemoveMember(user_id), key)
    return nothing(outcome.seq)


@router.put("/chats/{chat_id}/bans/{user_id}", status_code=204, summary="Remove a person and keep them out",
            responses=responses(*_RULES))  # fmt: skip
async def ban(
    chat_id: PathId, user_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, _ = await run(services, who, chat_id, c.BanMember(user_id), key)
    return nothing(outcome.seq)


@router.delete("/chats/{chat_id}/bans/{user_id}", status_code=204, summary="Lift a ban", responses=responses(*_RULES))
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


# ---- Messages


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
             response_model=wire.MessageJson, responses=responses(*_RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
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
              response_model=wire.MessageJson, responses=responses(*_RULES, Code.EMPTY, Code.TOO_LARGE))  # fmt: skip
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
               response_model=wire.MessageJson, responses=responses(*_RULES))  # fmt: skip
async def delete(
    chat_id: PathId, message_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    return await _on_message(services, who, chat_id, message_id, c.DeleteMessage(message_id), key)


async def _on_message(
    services: Services, who: Bearer, chat_id: str, message_id: str, action: c.Action, key: str | None
) -> Response:
    outcome, repeat = await run(services, who, chat_id, action, key)
    await _still_reads(services, who, chat_id, repeat)
    return answer(wire.message_json(await _message(services, chat_id, message_id)), 200, outcome.seq)


@router.put("/chats/{chat_id}/messages/{message_id}/reactions/{emoji}", summary="React", tags=["messages"],
            response_model=wire.MessageJson, responses=responses(*_RULES))  # fmt: skip
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
               summary="Take a reaction back", responses=responses(*_RULES))  # fmt: skip
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


# ---- Assistants' replies and policies


@router.post("/chats/{chat_id}/messages/{message_id}/stop", summary="Stop a reply", tags=["assistant"],
             response_model=wire.MessageJson, responses=responses(*_RULES))  # fmt: skip
async def stop(
    chat_id: PathId, message_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    return await _on_message(services, who, chat_id, message_id, c.StopReply(message_id), key)


@router.post("/chats/{chat_id}/messages/{message_id}/regenerate", status_code=201, summary="Answer anew",
             tags=["assistant"], response_model=wire.MessageJson, responses=responses(*_RULES))  # fmt: skip
async def regenerate(
    chat_id: PathId, message_id: PathId, who: BearerArg, services: ServicesArg, key: IdempotencyKey = None
) -> Response:
    outcome, repeat = await run(services, who, chat_id, c.RegenerateReply(message_id), key)
    await _still_reads(services, who, chat_id, repeat)
    return await _message_at(services, chat_id, outcome.seq, 200 if repeat else 201)


@router.post("/policy/explain", summary="Why may, or may not, somebody do this", tags=["policies"], response_model=wire.ExplainJson,
             responses=responses(Code.NOT_FOUND, Code.NOT_ALLOWED))  # fmt: skip
async def explain_(body: wire.Explain, who: BearerArg, services: ServicesArg) -> Response:
    asked, answered = await explain(
        services, who.user_id, body.chat_id, body.action, body.user_id, body.message_id, utc_now()
    )
    decision = "allow" if answered.allowed else "deny"
    return answer({"decision": decision, "policies": answered.policies, "facts": asked})
