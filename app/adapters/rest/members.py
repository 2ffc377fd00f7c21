"""Members and bans over REST."""

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
    refuse_nulls,
)
from app.adapters.rest.problems import responses
from app.adapters.wire import members as wire
from app.adapters.wire.people import PersonJson, person_json
from app.adapters.wire.values import Listed
from app.domain.errors import Code
from app.domain.members import UpdateMember
from app.domain.values import Attention, Member, Person

router = APIRouter(route_class=Route, prefix="/v1", tags=["chats"])


@router.get(
    "/chats/{chat_id}/members",
    summary="Who is in it",
    response_model=Listed[wire.MemberJson],
    responses=responses(Code.NOT_FOUND),
)
async def members(
    chat_id: PathId,
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    paging: Paging[Member] = Paging(cursors, who.user_id, f"members {chat_id}", cursor, limit, str)
    after = paging.place[0] if paging.place else None
    found = await use_cases.members.of(who.user_id, chat_id, after, paging.to_ask)
    return answer(paging.page(found, wire.member_json, lambda member: [member.user.id]))


@router.post("/chats/{chat_id}/members", status_code=201, summary="Add a person", response_model=wire.MemberJson,
             responses=responses(*RULES))  # fmt: skip
async def add_member(
    chat_id: PathId, body: wire.NewMember, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    done = await use_cases.members.add(who.user_id, chat_id, body.user_id, body.role, key)
    return made(done, wire.member_json, 201)


@router.put("/chats/{chat_id}/refused", status_code=204, summary="Not to be added to it again",
            description="For who is in the chat, or was.", responses=responses(Code.NOT_FOUND))  # fmt: skip
async def refuse(chat_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.members.refuse(who.user_id, chat_id, True)
    return nothing()


@router.delete("/chats/{chat_id}/refused", status_code=204, summary="To be added to it again by whoever may",
               responses=responses(Code.NOT_FOUND))  # fmt: skip
async def allow(chat_id: PathId, who: BearerArg, use_cases: UseCasesArg) -> Response:
    await use_cases.members.refuse(who.user_id, chat_id, False)
    return nothing()


@router.patch("/chats/{chat_id}/members/{user_id}", summary="Change role or mute", response_model=wire.MemberJson,
              responses=responses(*RULES))  # fmt: skip
async def update_member(
    chat_id: PathId,
    user_id: PathId,
    body: wire.MemberChanges,
    who: BearerArg,
    use_cases: UseCasesArg,
    key: IdempotencyKey = None,
) -> Response:
    refuse_nulls(body, but=("role", "muted_until", "budget_per_hour"))
    given = tuple(name for name in type(body).model_fields if name in body.model_fields_set)
    changes = UpdateMember(
        user_id, given, body.role, body.muted_until, body.attention or Attention.ADDRESSED, body.budget_per_hour
    )
    done = await use_cases.members.update(who.user_id, chat_id, changes, key)
    return made(done, wire.member_json)


@router.delete("/chats/{chat_id}/members/{user_id}", status_code=204, summary="Remove a person; oneself: leave",
               responses=responses(*RULES))  # fmt: skip
async def remove_member(
    chat_id: PathId, user_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    return nothing((await use_cases.members.remove(who.user_id, chat_id, user_id, key)).seq)


@router.put("/chats/{chat_id}/bans/{user_id}", status_code=204, summary="Remove a person and keep them out",
            responses=responses(*RULES))  # fmt: skip
async def ban(
    chat_id: PathId, user_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    return nothing((await use_cases.members.ban(who.user_id, chat_id, user_id, key)).seq)


@router.delete("/chats/{chat_id}/bans/{user_id}", status_code=204, summary="Lift a ban", responses=responses(*RULES))
async def unban(
    chat_id: PathId, user_id: PathId, who: BearerArg, use_cases: UseCasesArg, key: IdempotencyKey = None
) -> Response:
    return nothing((await use_cases.members.unban(who.user_id, chat_id, user_id, key)).seq)


@router.get(
    "/chats/{chat_id}/bans",
    summary="Who is kept out",
    response_model=Listed[PersonJson],
    responses=responses(Code.NOT_FOUND, Code.NOT_ALLOWED),
)
async def bans(
    chat_id: PathId,
    who: BearerArg,
    use_cases: UseCasesArg,
    cursors: CursorsArg,
    cursor: str | None = None,
    limit: Limit = 50,
) -> Response:
    paging: Paging[Person] = Paging(cursors, who.user_id, f"bans {chat_id}", cursor, limit, str)
    after = paging.place[0] if paging.place else None
    found = await use_cases.members.banned(who.user_id, chat_id, after, paging.to_ask)
    return answer(paging.page(found, person_json, lambda person: [person.id]))
